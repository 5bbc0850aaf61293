//! The PIN guard's key, and the tags by which the daemon remembers PINs without knowing them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use qseed_secrets::Secret;
use rustix::rand::GetRandomFlags;
use zeroize::Zeroizing;

use crate::directory::TokenInfo;
use crate::failure::{FailureClass, TokenFailure};
use crate::wire::{DeviceTags, PinTag};

/// The key's length in bytes: HMAC-SHA-256's own.
const KEY_BYTES: usize = 32;

/// Keeps these tags apart from any other use of the key, now or later.
const PURPOSE: &[u8] = b"qseed PIN guard 1";

/// The same for the tags of devices.
const OF_DEVICE: &[u8] = b"qseed PIN guard 1, device";
const OF_TOKEN: &[u8] = b"qseed PIN guard 1, token";

/// What a digest is about.
struct Named<'a> {
    parts: Vec<&'a [u8]>,
    user_type: u64,
}

impl<'a> Named<'a> {
    fn token(token: &'a TokenInfo, user_type: u64) -> Self {
        Self {
            parts: vec![token.serial.as_bytes(), token.label.as_bytes()],
            user_type,
        }
    }

    fn device(token: &'a TokenInfo, user_type: u64) -> Self {
        let names = [&token.manufacturer, &token.model, &token.serial];
        Self {
            parts: names.map(String::as_bytes).to_vec(),
            user_type,
        }
    }
}

/// Whether a digest is about a PIN.
#[derive(Clone, Copy)]
enum PinPart<'a> {
    None,
    /// Without a PIN: what will be entered at the token.
    Of(Option<&'a Secret>),
}

/// Makes tags, and the key when first needed.
pub(super) struct Guard {
    path: PathBuf,
    may_be_made: bool,
    key: Mutex<Option<hmac::Key>>,
}

impl Guard {
    pub(super) fn new(path: PathBuf, may_be_made: bool) -> Self {
        Self {
            path,
            may_be_made,
            key: Mutex::new(None),
        }
    }

    /// The tag of a PIN at a token for a kind of user (`CK_USER_TYPE`); without a PIN, the tag of
    /// what will be entered at the token.
    pub(super) fn tag(
        &self,
        token: &TokenInfo,
        user_type: u64,
        pin: Option<&Secret>,
    ) -> Result<PinTag, TokenFailure> {
        self.digest(PURPOSE, &Named::token(token, user_type), PinPart::Of(pin))
    }

    /// The tags by which tokens are known that may count wrong PINs together with this one.
    pub(super) fn device_tags(
        &self,
        token: &TokenInfo,
        user_type: u64,
    ) -> Result<DeviceTags, TokenFailure> {
        let device = Named::device(token, user_type);
        Ok(DeviceTags {
            device: self.digest(OF_DEVICE, &device, PinPart::None)?,
            token: self.digest(OF_TOKEN, &Named::token(token, user_type), PinPart::None)?,
        })
    }

    /// HMAC over what is named, and a PIN where it is about one.
    fn digest(
        &self,
        purpose: &[u8],
        named: &Named<'_>,
        pin: PinPart<'_>,
    ) -> Result<PinTag, TokenFailure> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &mut *key {
            Some(key) => key,
            none => none.insert(self.read_or_make()?),
        };
        let mut hmac = hmac::Context::with_key(key);
        // Each part behind its length, so that no two different lists of parts look alike.
        let mut add = |part: &[u8]| {
            hmac.update(&(part.len() as u64).to_be_bytes());
            hmac.update(part);
        };
        add(purpose);
        named.parts.iter().for_each(|part| add(part));
        add(&named.user_type.to_be_bytes());
        if let PinPart::Of(pin) = pin {
            add(&[u8::from(pin.is_some())]);
            add(pin.map(Secret::expose).unwrap_or_default());
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac.sign().as_ref());
        Ok(PinTag(tag))
    }

    fn read_or_make(&self) -> Result<hmac::Key, TokenFailure> {
        let trouble = |what: &str, error: &io::Error| {
            let text = format!(
                "cannot {what} the PIN guard's key {}: {error}",
                self.path.display()
            );
            TokenFailure::new(FailureClass::GuardKeyMissing, text)
        };
        match read(&self.path) {
            Ok(key) => Ok(key),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble("read", &error)),
            Err(_) if !self.may_be_made => Err(TokenFailure::new(
                FailureClass::GuardKeyMissing,
                format!(
                    "the PIN guard's key {} is missing, and it is made only while the guard's file \
                     beside it can be written and holds no PIN back: make the state directory \
                     writable, bring the key back, or let the held PINs be tried again with qseed \
                     guard --clear and restart qseed",
                    self.path.display()
                ),
            )),
            Err(_) => {
                make(&self.path).map_err(|error| trouble("make", &error))?;
                // Another worker may have been first: the file's key is the key.
                read(&self.path).map_err(|error| trouble("read", &error))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<hmac::Key> {
    // One byte more than a key, to notice a longer file.
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    let mut file = File::open(path)?;
    let mut read = 0;
    while read < bytes.len() {
        match file.read(&mut bytes[read..])? {
            0 => break,
            more => read += more,
        }
    }
    if read != KEY_BYTES {
        let wrong = "it does not hold 32 bytes";
        return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes[..KEY_BYTES]))
}

/// Makes the key under a name of its own and gives it its name when it is on the disk, so that
/// neither a crash nor another worker that does the same leaves half a key.
fn make(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rustix::rand::getrandom(&mut key[..], GetRandomFlags::empty())?;
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    // Left by a worker that died in between and had the same process id.
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = file.write_all(&key[..]).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&new, path));
    std::fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use qseed_secrets::Secret;

    use super::Guard;
    use crate::directory::{TokenFlags, TokenInfo, Version};
    use crate::failure::FailureClass;

    fn token(serial: &str, label: &str) -> TokenInfo {
        let version = Version { major: 1, minor: 0 };
        TokenInfo {
            slot_id: 0,
            slot_description: String::new(),
            slot_manufacturer: String::new(),
            label: label.into(),
            serial: serial.into(),
            model: String::new(),
            manufacturer: String::new(),
            hardware: version,
            firmware: version,
            flags: TokenFlags::default(),
        }
    }

    fn guard(folder: &Path, may_be_made: bool) -> Guard {
        Guard::new(folder.join("state/guard.key"), may_be_made)
    }

    #[test]
    fn the_key_is_made_once_and_for_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let pin = Secret::new(b"1234".to_vec());
        let tag = |guard: &Guard| guard.tag(&token("1", "a"), 1, Some(&pin)).expect("a key");
        let first = tag(&guard(folder.path(), true));
        assert_eq!(tag(&guard(folder.path(), true)), first);
        assert_eq!(tag(&guard(folder.path(), false)), first);
        let file = folder.path().join("state/guard.key");
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = std::fs::read_dir(folder.path().join("state")).expect("a folder");
        assert_eq!(files.count(), 1, "nothing else is left");
    }

    #[test]
    fn different_tokens_users_and_pins_have_different_tags() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), true);
        let tag = |serial, label, user, pin: Option<&[u8]>| {
            let pin = pin.map(|pin| Secret::new(pin.to_vec()));
            guard
                .tag(&token(serial, label), user, pin.as_ref())
                .expect("a key")
        };
        let mut tags = vec![
            tag("1", "a", 1, Some(b"1234")),
            tag("1", "a", 0, Some(b"1234")),
            tag("1", "a", 1, Some(b"12345")),
            tag("1a", "", 1, Some(b"1234")),
            tag("", "1a", 1, Some(b"1234")),
            tag("1", "a", 1, Some(b"")),
            tag("1", "a", 1, None),
        ];
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 7);
    }

    #[test]
    fn a_missing_or_broken_key_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = |may| {
            let failure = guard(folder.path(), may).tag(&token("1", "a"), 1, None);
            failure.expect_err("no key").class
        };
        assert_eq!(failure(false), FailureClass::GuardKeyMissing);
        std::fs::create_dir(folder.path().join("state")).expect("made");
        for content in [&[7; 31][..], &[7; 33]] {
            std::fs::write(folder.path().join("state/guard.key"), content).expect("written");
            assert_eq!(failure(true), FailureClass::GuardKeyMissing);
        }
    }
}
