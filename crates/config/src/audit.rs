//! The audit ledger's settings.

use std::path::PathBuf;

use qseed_ledger::key::VerifierKey;
use qseed_model::Url;
use qseed_secrets::SecretRef;

use crate::exposure::NamedSecret;
use crate::source::Tls;

/// The audit ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Its file, which has a name; a relative path counts from [`crate::Config::state_dir`].
    pub file: PathBuf,
    /// The key that signs its checkpoints: 32 random bytes as base64. `None`: qseed makes one in
    /// the state directory.
    pub signing_key: Option<SecretRef>,
    /// What happens while the ledger cannot be written.
    pub mode: AuditMode,
    /// When the file is rotated.
    pub rotate: Rotate,
    /// Who cosigns its checkpoints.
    pub witnesses: Vec<Witness>,
    /// A program and its arguments, which get each hour's checkpoint; `None`: no program does.
    pub anchor: Option<Anchor>,
}

impl Audit {
    pub(crate) fn secrets(&self) -> impl Iterator<Item = NamedSecret<'_>> {
        let key = self.signing_key.iter().map(|reference| NamedSecret {
            what: "the ledger's signing key".to_owned(),
            reference,
        });
        let witnesses = self.witnesses.iter().filter_map(|witness| {
            Some(NamedSecret {
                what: format!("the client key for the witness {}", witness.key.name()),
                reference: witness.tls.client_key.as_ref()?,
            })
        });
        key.chain(witnesses)
    }
}

/// A witness of transparency logs that cosigns the ledger's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its submission prefix: what stands before `/add-checkpoint`.
    pub url: Url,
    /// The key that verifies its cosignatures; each witness has another.
    pub key: VerifierKey,
    /// What the TLS connection must be like.
    pub tls: Tls,
    /// Whether `http://` is wanted for a witness that is not on loopback.
    pub insecure_http: bool,
}

/// A program that carries checkpoints out of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What happens while the ledger cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// qseed goes on seeding, and counts what is not recorded.
    #[default]
    BestEffort,
    /// qseed seeds nothing that it cannot record.
    Required,
}

/// When the ledger's file is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The size in bytes at which a new file begins.
    pub size: u64,
    /// How many older files are kept.
    pub keep: usize,
}

impl Default for Rotate {
    fn default() -> Self {
        let size = 256 << 20;
        Self { size, keep: 12 }
    }
}
