//! The keys that sign notes and check them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, PqdsaKeyPair,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::note::{Note, Signature, check_name};

/// How a key signs: the signature types of <https://c2sp.org/signed-note> that qseed knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// 0x01: Ed25519 over the note's text.
    Ed25519,
    /// 0x04: Ed25519 over a checkpoint and the time, as witnesses sign.
    Ed25519Cosignature,
    /// 0x06: ML-DSA-44 over a checkpoint and the time.
    MlDsa44Cosignature,
}

impl Algorithm {
    fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Ed25519Cosignature => 0x04,
            Self::MlDsa44Cosignature => 0x06,
        }
    }

    fn from_code(code: u8) -> Result<Self, Error> {
        match code {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::Ed25519Cosignature),
            0x06 => Ok(Self::MlDsa44Cosignature),
            _ => Err(Error::Algorithm(code)),
        }
    }

    /// The length of a public key, in bytes.
    fn key_length(self) -> usize {
        match self {
            Self::Ed25519 | Self::Ed25519Cosignature => 32,
            Self::MlDsa44Cosignature => 1312,
        }
    }
}

/// A key that checks signatures ("vkey").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public_key: Vec<u8>,
    id: [u8; 4],
}

impl VerifierKey {
    fn new(name: &str, algorithm: Algorithm, public_key: &[u8]) -> Result<Self, Error> {
        check_name(name)?;
        if public_key.len() != algorithm.key_length() {
            return Err(Error::Key("its public key has the wrong length"));
        }
        let named = [name.as_bytes(), b"\n", &[algorithm.code()], public_key].concat();
        let hash = digest(&SHA256, &named);
        let id = *hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        Ok(Self {
            name: name.to_owned(),
            algorithm,
            public_key: public_key.to_owned(),
            id,
        })
    }

    /// The key's name; for a ledger's own keys, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key, raw.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The identifier that signatures carry.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether a signature names this key. It may still be false.
    #[must_use]
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        signature.name() == self.name && signature.key_id() == self.id
    }

    /// Whether a signature that names this key is the key's, over this text; with the time in it, if it has one
    /// (seconds since 1970).
    pub fn verify(&self, text: &str, signature: &Signature) -> Result<Option<u64>, Error> {
        let forged = || Error::Forged {
            name: self.name.clone(),
        };
        if !self.is_named_by(signature) {
            return Err(forged());
        }
        let valid = match self.algorithm {
            Algorithm::Ed25519 => self
                .is_valid(text.as_bytes(), signature.bytes())
                .then_some(None),
            Algorithm::Ed25519Cosignature => timed(signature).and_then(|(time, bytes)| {
                let message = format!("cosignature/v1\ntime {time}\n{text}");
                self.is_valid(message.as_bytes(), bytes)
                    .then_some(Some(time))
            }),
            Algorithm::MlDsa44Cosignature => timed(signature).and_then(|(time, bytes)| {
                let message = cosigned_message(&self.name, time, &text.parse().ok()?)?;
                self.is_valid(&message, bytes).then_some(Some(time))
            }),
        };
        valid.ok_or_else(forged)
    }

    fn is_valid(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = &self.public_key[..];
        let result = match self.algorithm {
            Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            Algorithm::MlDsa44Cosignature => {
                UnparsedPublicKey::new(&ML_DSA_44, key).verify(message, signature)
            }
        };
        result.is_ok()
    }
}

/// The vkey: `<name>+<identifier>+<type and public key>`.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id);
        let key = STANDARD.encode([&[self.algorithm.code()], &self.public_key[..]].concat());
        write!(f, "{}+{id:08x}+{key}", self.name)
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Key(
                "it needs a name, an identifier and a key, with `+` between them",
            ));
        };
        let key = STANDARD
            .decode(key)
            .map_err(|_| Error::Key("its key is not in base64"))?;
        let (&code, public_key) = key.split_first().ok_or(Error::Key("its key is empty"))?;
        let key = Self::new(name, Algorithm::from_code(code)?, public_key)?;
        if format!("{:08x}", u32::from_be_bytes(key.id)) != id {
            return Err(Error::Key("its identifier belongs to another name or key"));
        }
        Ok(key)
    }
}

/// A signature that was found to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// By this key.
    pub by: &'a VerifierKey,
    /// The time in the signature, in seconds since 1970; none for plain Ed25519.
    pub time: Option<u64>,
}

/// Which of these keys signed the note. Signatures of other keys are ignored; one false signature in the name
/// of a known key spoils the note.
pub fn signers<'a>(note: &Note, keys: &'a [VerifierKey]) -> Result<Vec<Signed<'a>>, Error> {
    let mut signers: Vec<Signed<'a>> = Vec::new();
    for signature in note.signatures() {
        for by in keys.iter().filter(|key| key.is_named_by(signature)) {
            let time = by.verify(note.text(), signature)?;
            if !signers.iter().any(|known| known.by == by) {
                signers.push(Signed { by, time });
            }
        }
    }
    if signers.is_empty() {
        return Err(Error::Unsigned);
    }
    Ok(signers)
}

/// The keys that sign a ledger's checkpoints: an Ed25519 and an ML-DSA-44 key from one secret.
pub struct SigningKey {
    origin: String,
    ed25519: Ed25519KeyPair,
    ml_dsa: PqdsaKeyPair,
    verifier_keys: [VerifierKey; 2],
}

impl SigningKey {
    /// The keys of this secret, for the ledger of this origin, which becomes their name.
    pub fn new(secret: &[u8; 32], origin: &str) -> Result<Self, Error> {
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(&*seed(secret, b"qseed ledger Ed25519")?)
            .map_err(|_| Error::Signing)?;
        let ml_dsa = PqdsaKeyPair::from_seed(
            &ML_DSA_44_SIGNING,
            &*seed(secret, b"qseed ledger ML-DSA-44")?,
        )
        .map_err(|_| Error::Signing)?;
        let verifier_keys = [
            VerifierKey::new(origin, Algorithm::Ed25519, ed25519.public_key().as_ref())?,
            VerifierKey::new(
                origin,
                Algorithm::MlDsa44Cosignature,
                ml_dsa.public_key().as_ref(),
            )?,
        ];
        Ok(Self {
            origin: origin.to_owned(),
            ed25519,
            ml_dsa,
            verifier_keys,
        })
    }

    /// The ledger that these keys sign for.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys that check what these sign: Ed25519, then ML-DSA-44.
    #[must_use]
    pub fn verifier_keys(&self) -> &[VerifierKey; 2] {
        &self.verifier_keys
    }

    /// Signs a checkpoint of this key's origin with Ed25519; a strong one with ML-DSA-44 too, at this time
    /// (seconds since 1970).
    pub fn sign(&self, checkpoint: &Checkpoint, strong: Option<u64>) -> Result<Note, Error> {
        if checkpoint.origin != self.origin {
            return Err(Error::Origin {
                origin: checkpoint.origin.clone(),
                key: self.origin.clone(),
            });
        }
        let [ed25519, ml_dsa] = &self.verifier_keys;
        let text = checkpoint.to_string();
        let plain = self.ed25519.sign(text.as_bytes()).as_ref().to_owned();
        let mut signatures = vec![Signature::new(self.origin.clone(), ed25519.id, plain)?];
        if let Some(time) = strong {
            let message = cosigned_message(&self.origin, time, checkpoint).ok_or(Error::Signing)?;
            let mut bytes = time.to_be_bytes().to_vec();
            bytes.resize(8 + ML_DSA_44_SIGNING.signature_len(), 0);
            self.ml_dsa
                .sign(&message, &mut bytes[8..])
                .map_err(|_| Error::Signing)?;
            signatures.push(Signature::new(self.origin.clone(), ml_dsa.id, bytes)?);
        }
        Note::new(text, signatures)
    }
}

/// The secrets stay out of it.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A key's seed: HKDF-SHA-256 of the secret (RFC 5869), without salt.
fn seed(secret: &[u8; 32], label: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    let key = Salt::new(HKDF_SHA256, &[]).extract(secret);
    key.expand(&[label], HKDF_SHA256)
        .and_then(|bytes| bytes.fill(&mut *seed))
        .map_err(|_| Error::Signing)?;
    Ok(seed)
}

/// The latest time that a cosignature can have.
const LATEST: u64 = i64::MAX as u64;

/// The time that a cosignature begins with, and the signature after it.
fn timed(signature: &Signature) -> Option<(u64, &[u8])> {
    let (time, bytes) = signature.bytes().split_first_chunk()?;
    let time = u64::from_be_bytes(*time);
    (time <= LATEST).then_some((time, bytes))
}

/// What ML-DSA-44 signs (<https://c2sp.org/tlog-cosignature>, `cosigned_message`); none where a name does not
/// fit into it.
fn cosigned_message(cosigner: &str, time: u64, checkpoint: &Checkpoint) -> Option<Vec<u8>> {
    let mut message = b"subtree/v1\n\0".to_vec();
    append_name(&mut message, cosigner)?;
    message.extend((time <= LATEST).then_some(time)?.to_be_bytes());
    append_name(&mut message, &checkpoint.origin)?;
    message.extend(0_u64.to_be_bytes());
    message.extend(checkpoint.size.to_be_bytes());
    message.extend(checkpoint.root);
    Some(message)
}

fn append_name(message: &mut Vec<u8>, name: &str) -> Option<()> {
    let length = u8::try_from(name.len()).ok().filter(|length| *length > 0)?;
    message.push(length);
    message.extend(name.as_bytes());
    Some(())
}
