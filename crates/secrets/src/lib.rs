//! Secrets and the references by which a configuration names them.
//!
//! A PIN, an access token or a key is written into the configuration as itself or as a reference:
//! `file:PATH`, `env:NAME` or `credential:NAME` (a file in systemd's `$CREDENTIALS_DIRECTORY`).
//! A reference is read each time the secret is needed, so that a rotated secret takes effect
//! without a restart. Nothing here prints a secret; [`memory`] keeps them from swap and dumps.

pub mod environment;
mod file;
pub mod memory;
pub mod pipe;

use file::open_regular;
pub use file::{Exposed, exposed, read_at_most, read_regular};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// The longest secret that is read, in bytes: private keys in PEM are a few thousand.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// A secret's bytes, which all clones share, wiped when the last one is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: Arc<Zeroizing<Vec<u8>>>,
}

impl Secret {
    /// Takes over `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let bytes = Arc::new(Zeroizing::new(bytes));
        Self { bytes }
    }

    /// Takes over what a file or a variable held, without one trailing line end, which editors and
    /// `echo` leave and nobody means.
    fn without_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        let bytes = Arc::new(bytes);
        Self { bytes }
    }

    /// The secret's bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The secret as text, or `None` where it is not UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// Written out in the configuration.
    Literal(Secret),
    /// The content of a file.
    File(PathBuf),
    /// The value of an environment variable of qseed's own.
    Environment(String),
    /// A file of this name in `$CREDENTIALS_DIRECTORY`, as systemd's `LoadCredential=` makes it.
    Credential(String),
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing, empty, or cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said, or what is wrong with the file.
        source: io::Error,
    },
    /// The environment variable holds no secret.
    #[error("the environment variable {0} {1}")]
    NoVariable(String, &'static str),
    /// A `credential:` reference without systemd's directory.
    #[error("credential:{0} needs $CREDENTIALS_DIRECTORY, which systemd sets for LoadCredential=")]
    NoCredentials(String),
}

impl SecretRef {
    /// Reads a configuration's text: a reference where it begins like one, else a literal.
    ///
    /// # Errors
    /// A text that says what is wrong with a reference that names nothing.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("file:") {
            // RFC 8089 writes an absolute path as file:///path as well.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err("file: needs a path");
            }
            return Ok(Self::File(PathBuf::from(path)));
        }
        if let Some(name) = text.strip_prefix("env:") {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err("env: needs the name of an environment variable");
            }
            return Ok(Self::Environment(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("credential:") {
            if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
                return Err("credential: needs the name of a credential, without a folder");
            }
            return Ok(Self::Credential(name.to_owned()));
        }
        Ok(Self::Literal(Secret::new(text.as_bytes().to_vec())))
    }

    /// The reference with a relative `file:` path counted from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            other => other,
        }
    }

    /// Reads the secret as it is now. A trailing line end in a file is not part of it.
    ///
    /// # Errors
    /// [`SecretError`] where the file or the variable is missing, empty or too long.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Literal(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
            Self::Credential(name) => read_file(&credential_path(name)?),
            Self::Environment(name) => {
                let nothing = |why| SecretError::NoVariable(name.clone(), why);
                let value = environment::value_of(name);
                let value = value.map_err(|_| nothing("cannot be read from its pipe"))?;
                let value = value.ok_or_else(|| nothing("is not set"))?;
                let secret = Secret::without_line_end(value);
                if secret.bytes.is_empty() {
                    return Err(nothing("holds no secret: it is empty"));
                }
                Ok(secret)
            }
        }
    }

    /// Whether the secret could be read now, without reading a file: a process that has no
    /// business with a secret need not hold it.
    ///
    /// # Errors
    /// [`SecretError`], as [`SecretRef::read`] says it.
    pub fn examine(&self) -> Result<(), SecretError> {
        match self {
            Self::Literal(_) | Self::Environment(_) => self.read().map(drop),
            Self::File(path) => examine_file(path),
            Self::Credential(name) => examine_file(&credential_path(name)?),
        }
    }

    /// The file that holds the secret, where one does.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => credential_path(name).ok(),
            Self::Literal(_) | Self::Environment(_) => None,
        }
    }

    /// Whether the configuration itself holds the secret.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How an error or a status names the secret: the reference, never a literal's content.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("the secret in the configuration"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
    Ok(Path::new(&folder).join(name))
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let bytes = read_regular(path, MAX_SECRET_BYTES).map_err(|why| unreadable(path, why))?;
    let secret = Secret::without_line_end(bytes);
    if secret.bytes.is_empty() {
        return Err(empty(path));
    }
    Ok(secret)
}

fn examine_file(path: &Path) -> Result<(), SecretError> {
    let (_, metadata) = open_regular(path).map_err(|why| unreadable(path, why))?;
    if metadata.len() == 0 {
        return Err(empty(path));
    }
    Ok(())
}

fn empty(path: &Path) -> SecretError {
    let why = io::Error::new(io::ErrorKind::InvalidData, "it is empty");
    unreadable(path, why)
}

fn unreadable(path: &Path, source: io::Error) -> SecretError {
    let path = path.to_owned();
    SecretError::Unreadable { path, source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::{Exposed, SecretError, SecretRef, exposed};

    fn parse(text: &str) -> SecretRef {
        SecretRef::parse(text).expect("a valid reference")
    }

    #[test]
    fn references_are_told_from_literals() {
        assert_eq!(parse("file:/etc/pin"), SecretRef::File("/etc/pin".into()));
        assert_eq!(parse("file:///etc/pin"), SecretRef::File("/etc/pin".into()));
        assert_eq!(parse("env:PIN"), SecretRef::Environment("PIN".into()));
        assert_eq!(parse("credential:pin"), SecretRef::Credential("pin".into()));
        assert!(parse("0012").is_literal());
        assert!(parse("user:password").is_literal());
        for wrong in ["file:", "env:", "env:A=B", "credential:", "credential:../x"] {
            assert!(SecretRef::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_trailing_line_end_is_not_part_of_a_secret() {
        for (content, secret) in [
            ("1234\n", "1234"),
            ("1234\r\n", "1234"),
            ("1234", "1234"),
            (" 1 \n\n", " 1 \n"),
        ] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(content.as_bytes()).expect("written");
            let read = SecretRef::File(file.path().to_owned())
                .read()
                .expect("read");
            assert_eq!(read.expose_str(), Some(secret));
        }
    }

    #[test]
    fn empty_missing_and_huge_files_hold_no_secret() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let reference = SecretRef::File(file.path().to_owned());
        assert!(matches!(
            reference.read(),
            Err(SecretError::Unreadable { .. })
        ));
        file.write_all(&vec![b'1'; super::MAX_SECRET_BYTES + 1])
            .expect("written");
        assert!(matches!(
            reference.read(),
            Err(SecretError::Unreadable { .. })
        ));
        drop(file);
        assert!(matches!(
            reference.read(),
            Err(SecretError::Unreadable { .. })
        ));
        for (content, holds) in [("\n", false), ("\r\n", false), (" ", true)] {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(content.as_bytes()).expect("written");
            let reference = SecretRef::File(file.path().to_owned());
            assert_eq!(reference.read().is_ok(), holds, "{content:?}");
        }
        assert!(matches!(
            parse("env:QSEED_TEST_NOT_SET").read(),
            Err(SecretError::NoVariable(..))
        ));
    }

    #[test]
    fn pipes_devices_and_folders_hold_no_secret_and_hold_nobody_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).expect("a link");
        for path in [pipe, link, "/dev/zero".into(), folder.path().to_owned()] {
            let read = SecretRef::File(path.clone()).read();
            assert!(
                matches!(read, Err(SecretError::Unreadable { .. })),
                "{path:?}"
            );
        }
    }

    #[test]
    fn printing_shows_no_secret() {
        let literal = parse("hunter2");
        assert!(!format!("{literal} {literal:?}").contains("hunter2"));
        let secret = literal.read().expect("a literal");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn others_who_can_read_or_write_are_noticed() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (mode, faults) in [
            (0o600, &[][..]),
            (0o640, &[]),
            (0o644, &[Exposed::Readable]),
            (0o622, &[Exposed::Writable]),
            (0o660, &[Exposed::Writable]),
            (0o666, &[Exposed::Writable, Exposed::Readable]),
        ] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode))
                .expect("chmod");
            assert_eq!(exposed(file.path()).expect("stat"), faults, "{mode:o}");
        }
    }

    #[test]
    fn a_file_belongs_to_root_or_to_the_user_that_qseed_runs_as() {
        for (owner, user, accepted) in [
            (0, 1000, true),
            (1000, 1000, true),
            (1001, 1000, false),
            (1000, 0, false),
        ] {
            let faults = super::file::faults(0o600, owner, user);
            assert_eq!(faults.is_empty(), accepted, "{owner} {user}");
        }
    }
}
