//! The secret that signs the ledger's checkpoints: 32 random bytes, written in base64.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_secrets::{SecretError, SecretRef};
use zeroize::Zeroizing;

use crate::exit::Code;
use crate::random::random_bytes;
use crate::state_dir::{Acting, StateDir, StateDirError};

/// The file in the state directory that has the key where the configuration names none.
pub(crate) const NAME: &str = "audit.key";

const BYTES: usize = 32;

/// A longer file is no key.
const MAX_FILE: u64 = 1024;

/// The key's secret, wiped when dropped.
pub(crate) type KeySecret = Zeroizing<[u8; BYTES]>;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the ledger's signing key: {0}")]
    Secret(#[from] SecretError),
    #[error("the ledger's signing key: {0}")]
    File(#[from] StateDirError),
    #[error("the ledger's signing key: {} is not there", .0.display())]
    Missing(PathBuf),
    #[error(
        "the ledger's signing key: {0} is not 32 bytes in base64, as `openssl rand -base64 32` \
         prints them"
    )]
    Malformed(String),
}

impl KeyError {
    /// The exit code for it.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Secret(_) | Self::Malformed(_) => Code::Configuration,
            Self::File(why) => why.code(),
            Self::Missing(_) => Code::Unavailable,
        }
    }
}

/// Where the key is.
#[derive(Clone, Debug)]
pub(crate) enum KeyPlace {
    /// Where the configuration says.
    Configured(SecretRef),
    /// In this state directory.
    StateDir(PathBuf),
}

impl KeyPlace {
    pub(crate) fn new(configured: Option<&SecretRef>, state_dir: &Path) -> Self {
        match configured {
            Some(reference) => Self::Configured(reference.clone()),
            None => Self::StateDir(state_dir.to_owned()),
        }
    }

    /// Reads the key. Makes none.
    pub(crate) fn read(&self, acting: Acting) -> Result<KeySecret, KeyError> {
        match self {
            Self::Configured(reference) => decode(reference.read()?.expose())
                .ok_or_else(|| KeyError::Malformed(reference.to_string())),
            Self::StateDir(path) => {
                let missing = || KeyError::Missing(path.join(NAME));
                match StateDir::open(path, acting) {
                    Ok(dir) => read_file(&dir)?.ok_or_else(missing),
                    Err(StateDirError::Io { source, .. })
                        if source.kind() == io::ErrorKind::NotFound =>
                    {
                        Err(missing())
                    }
                    Err(why) => Err(why.into()),
                }
            }
        }
    }

    /// Reads the key, or makes one in the state directory.
    pub(crate) fn read_or_make(&self) -> Result<KeySecret, KeyError> {
        let Self::StateDir(path) = self else {
            return self.read(Acting::ForItself);
        };
        let dir = StateDir::create(path)?;
        if let Some(secret) = read_file(&dir)? {
            return Ok(secret);
        }
        let secret = Zeroizing::new(random_bytes(BYTES));
        let mut text = Zeroizing::new(STANDARD.encode(&secret[..]));
        text.push('\n');
        // Another process may be first, with the key of another ledger.
        if let Err(why) = dir.make(NAME, text.as_bytes())
            && !dir.exists(NAME)
        {
            return Err(why.into());
        }
        read_file(&dir)?.ok_or_else(|| KeyError::Missing(path.join(NAME)))
    }
}

fn read_file(dir: &StateDir) -> Result<Option<KeySecret>, KeyError> {
    dir.judge_secret(NAME)?;
    let Some(text) = dir.read(NAME, MAX_FILE)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let malformed = || KeyError::Malformed(dir.path().join(NAME).display().to_string());
    decode(text.trim_ascii_end())
        .map(Some)
        .ok_or_else(malformed)
}

fn decode(text: &[u8]) -> Option<KeySecret> {
    let mut secret = Zeroizing::new([0; BYTES]);
    // The decoder wants room for what three bytes of padding could hold.
    let mut room = Zeroizing::new([0; BYTES + 3]);
    let length = STANDARD.decode_slice(text, &mut room[..]).ok()?;
    if length != BYTES {
        return None;
    }
    secret.copy_from_slice(&room[..BYTES]);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use qseed_secrets::{Secret, SecretRef};

    use super::{KeyError, KeyPlace, NAME};
    use crate::exit::Code;
    use crate::state_dir::Acting;

    #[test]
    fn a_key_is_made_once_for_the_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let place = KeyPlace::new(None, &state);
        let missing = place.read(Acting::ForItself).expect_err("no folder yet");
        assert_eq!(missing.code(), Code::Unavailable);
        let secret = place.read_or_make().expect("made");
        assert_ne!(*secret, [0; 32]);
        assert_eq!(secret, place.read_or_make().expect("read"));
        assert_eq!(secret, place.read(Acting::ForItself).expect("read"));
        let file = state.join(NAME);
        let mode = std::fs::metadata(&file).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o7777, 0o600);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("changed");
        let open = place.read_or_make().expect_err("others can read it");
        assert_eq!(open.code(), Code::Permission);
    }

    #[test]
    fn what_is_not_32_bytes_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let place = KeyPlace::new(Some(&SecretRef::File(file.clone())), folder.path());
        for wrong in ["secret", "c2VjcmV0", &"A".repeat(42), &"A".repeat(44), "="] {
            std::fs::write(&file, wrong).expect("written");
            let why = place.read_or_make().expect_err("no key");
            assert!(matches!(why, KeyError::Malformed(_)));
            assert!(!why.to_string().contains(wrong) || wrong == "=", "{why}");
        }
        std::fs::write(&file, format!("{}=\n", "A".repeat(43))).expect("written");
        assert_eq!(*place.read_or_make().expect("a key"), [0; 32]);
        let literal = SecretRef::Literal(Secret::new(format!("{}=", "A".repeat(43)).into()));
        let place = KeyPlace::new(Some(&literal), folder.path());
        assert_eq!(*place.read_or_make().expect("a key"), [0; 32]);
    }
}
