//! The test CA and the certificates that it makes. Its key never leaves the process.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::durations::parse_duration;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What is right or wrong with the service's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// For 127.0.0.1, `::1` and localhost, by the service's CA, for a year.
    #[default]
    Good,
    /// Good for so long from now on.
    ExpiresIn(Duration),
    /// Expired yesterday.
    Expired,
    /// Valid from tomorrow on.
    NotYetValid,
    /// For a name that is not the service's.
    WrongName,
    /// By a CA that nobody knows, of the same name as the service's.
    OtherAuthority,
    /// Its own authority, as `openssl req -x509` makes it.
    SelfSigned,
    /// The same, expired yesterday.
    SelfSignedExpired,
    /// The same, for a name that is not the service's.
    SelfSignedWrongName,
}

impl FromStr for Certificate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = text.strip_prefix("expires-in=") {
            return parse_duration(time).map(Self::ExpiresIn);
        }
        Ok(match text {
            "good" => Self::Good,
            "expired" => Self::Expired,
            "not-yet-valid" => Self::NotYetValid,
            "wrong-name" => Self::WrongName,
            "other-authority" => Self::OtherAuthority,
            "self-signed" => Self::SelfSigned,
            "self-signed-expired" => Self::SelfSignedExpired,
            "self-signed-wrong-name" => Self::SelfSignedWrongName,
            _ => {
                return Err(
                    "good, expired, not-yet-valid, wrong-name, other-authority, self-signed, \
                     self-signed-expired, self-signed-wrong-name or expires-in=TIME"
                        .to_owned(),
                );
            }
        })
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA, the service's key and a client's certificate, all made at start.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    server_key: KeyPair,
    pub(crate) client: ClientIdentity,
}

/// What a client shows where mutual TLS is asked for, as PEM.
pub(crate) struct ClientIdentity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let issuer = new_issuer()?;
        let client = new_client(&issuer)?;
        Ok(Self {
            issuer,
            server_key: KeyPair::generate()?,
            client,
        })
    }

    /// The CA's certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// SHA-256 over the service's `SubjectPublicKeyInfo`. All its certificates have the same key.
    pub(crate) fn server_spki_sha256(&self) -> [u8; 32] {
        let info = self.server_key.subject_public_key_info();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &info);
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    pub(crate) fn server_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.server_key.serialize_der()).into()
    }

    /// A certificate for the service.
    pub(crate) fn issue(&self, kind: Certificate) -> Result<rcgen::Certificate, rcgen::Error> {
        let now = SystemTime::now();
        let (from, until) = match kind {
            Certificate::Expired | Certificate::SelfSignedExpired => (now - 30 * DAY, now - DAY),
            Certificate::NotYetValid => (now + DAY, now + 365 * DAY),
            Certificate::ExpiresIn(time) => (now - DAY, now + time),
            _ => (now - DAY, now + 365 * DAY),
        };
        let names: &[&str] = match kind {
            Certificate::WrongName | Certificate::SelfSignedWrongName => &["elsewhere.example"],
            _ => &["127.0.0.1", "::1", "localhost"],
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "qseed entropy-service, for tests");
        params.not_before = from.into();
        params.not_after = until.into();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        match kind {
            Certificate::SelfSigned
            | Certificate::SelfSignedExpired
            | Certificate::SelfSignedWrongName => {
                params.use_authority_key_identifier_extension = false;
                params.key_usages.clear();
                params.extended_key_usages.clear();
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.self_signed(&self.server_key)
            }
            Certificate::OtherAuthority => params.signed_by(&self.server_key, &*new_issuer()?),
            _ => params.signed_by(&self.server_key, &*self.issuer),
        }
    }
}

fn new_issuer() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "qseed test CA, trust it in tests only");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn new_client(issuer: &CertifiedIssuer<'static, KeyPair>) -> Result<ClientIdentity, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "qseed client, for tests");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &**issuer)?;
    Ok(ClientIdentity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// The folder with `ca.pem`, `server.pem`, `client.pem` and `client.key`.
pub(crate) struct Folder {
    path: PathBuf,
    /// Removes a temporary folder when the service goes.
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// Makes the folder, or a temporary one, and writes the files that stay.
    pub(crate) fn write(path: Option<&Path>, authority: &Authority) -> io::Result<Self> {
        let folder = if let Some(path) = path {
            fs::create_dir_all(path)?;
            Self {
                path: path.to_owned(),
                _temporary: None,
            }
        } else {
            let temporary = tempfile::Builder::new()
                .prefix("entropy-service.")
                .tempdir()?;
            Self {
                path: temporary.path().to_owned(),
                _temporary: Some(temporary),
            }
        };
        write_file(&folder.file("ca.pem"), 0o644, &authority.pem())?;
        write_file(
            &folder.file("client.pem"),
            0o644,
            &authority.client.certificate,
        )?;
        write_file(&folder.file("client.key"), 0o600, &authority.client.key)?;
        Ok(folder)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn write_server(&self, pem: &str) -> io::Result<()> {
        write_file(&self.file("server.pem"), 0o644, pem)
    }
}

/// Writes a file in one step for readers, under a temporary name first.
fn write_file(path: &Path, mode: u32, content: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)?;
    file.write_all(content.as_bytes())?;
    fs::rename(unfinished, path)
}
