//! The audit ledger's settings.

use std::path::PathBuf;

use qseed_secrets::SecretRef;

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
