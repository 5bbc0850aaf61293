//! The PIN guard's key, and the tags by which the daemon remembers PINs without knowing them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aws_lc_rs::hmac;
use qseed_model::Login;
use qseed_model::pins::{
    DevicePinTag, DeviceTag, GUARD_KEY_BYTES, KeyTag, PinTag, PinTags, TokenTag,
};
use qseed_secrets::Secret;
use rustix::fs::{Mode, OFlags};
use rustix::rand::GetRandomFlags;
use zeroize::Zeroizing;

use super::locked;
use crate::directory::TokenInfo;
use crate::failure::{FailureClass, TokenFailure};

/// What each digest is for: different purposes give different digests.
const OF_PIN: &[u8] = b"qseed PIN guard 2, PIN";
const OF_PIN_AT_DEVICE: &[u8] = b"qseed PIN guard 2, PIN at device";
const OF_TOKEN: &[u8] = b"qseed PIN guard 2, token";
const OF_DEVICE: &[u8] = b"qseed PIN guard 2, device";
const OF_KEY: &[u8] = b"qseed PIN guard 2, key";

/// The key's file. It is read for each PIN, so that a key that was lost or replaced is noticed
/// before the next one is presented.
pub(super) struct GuardKey {
    path: PathBuf,
    /// Locked while one of the worker's threads reads or makes it.
    in_use: Mutex<()>,
}

impl GuardKey {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            in_use: Mutex::new(()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the key if it is missing.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&self.path),
            key => key.map(drop),
        }
    }

    /// The digests of a PIN at a token for a kind of user; without a PIN, those of the PIN that will
    /// be entered at the token. A key that is missing is made if it may be.
    ///
    /// A token is its manufacturer, model, serial number and label; a device is the same without
    /// the label, since tokens of one device may differ in nothing else.
    pub(super) fn tags(
        &self,
        token: &TokenInfo,
        login: Login,
        pin: Option<&Secret>,
        may_be_made: bool,
    ) -> Result<PinTags, TokenFailure> {
        let key = &self.read_or_make(may_be_made)?;
        let device = [&token.manufacturer, &token.model, &token.serial].map(String::as_bytes);
        let label = token.label.as_bytes();
        let user_type = user_type(login).to_be_bytes();
        let is_known = [u8::from(pin.is_some())];
        let pin = [
            &user_type[..],
            &is_known,
            pin.map(Secret::expose).unwrap_or_default(),
        ];
        let with_label = [&device[..], &[label]].concat();
        Ok(PinTags {
            tag: PinTag(digest(key, OF_PIN, &[&with_label[..], &pin].concat())),
            at_device: DevicePinTag(digest(key, OF_PIN_AT_DEVICE, &[&device[..], &pin].concat())),
            token: TokenTag(digest(key, OF_TOKEN, &with_label)),
            device: DeviceTag(digest(key, OF_DEVICE, &device)),
            key: KeyTag(digest(key, OF_KEY, &[])),
        })
    }

    fn read_or_make(&self, may_be_made: bool) -> Result<hmac::Key, TokenFailure> {
        let _in_use = locked(&self.in_use);
        let path = self.path.display();
        let failure = |text: String| TokenFailure::new(FailureClass::GuardKeyMissing, text);
        let cannot =
            |what, error| failure(format!("cannot {what} the PIN guard's key {path}: {error}"));
        match read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            key => return key.map_err(|error| cannot("read", error)),
        }
        if !may_be_made {
            return Err(failure(format!(
                "the PIN guard's key {path} is missing, and qseed makes no new one: the guard's file \
                 was made with the old one, is lost or cannot be written. Let qseed write to \
                 `state_dir`, restore the key, or run: qseed guard --reset"
            )));
        }
        // A worker whose module is loaded may have no access to the state directory any more: the
        // next one makes the key before that.
        make(&self.path).map_err(|error| TokenFailure {
            class: FailureClass::ReloadModule,
            ..cannot("make", error)
        })?;
        // Another worker may have been first: the file's key is the key.
        read(&self.path).map_err(|error| cannot("read", error))
    }
}

/// The number of the kind of user that logs in (`CK_USER_TYPE`).
fn user_type(login: Login) -> u64 {
    match login {
        Login::So => 0,
        Login::None | Login::User | Login::Protected => 1,
        Login::Vendor(number) => number.into(),
    }
}

/// The first bytes of HMAC-SHA-256 over parts, each behind its length, so that no two different
/// lists of parts look alike.
fn digest<const N: usize>(key: &hmac::Key, purpose: &[u8], parts: &[&[u8]]) -> [u8; N] {
    let mut hmac = hmac::Context::with_key(key);
    for part in [purpose].iter().chain(parts) {
        hmac.update(&(part.len() as u64).to_be_bytes());
        hmac.update(part);
    }
    let mut digest = [0; N];
    digest.copy_from_slice(&hmac.sign().as_ref()[..N]);
    digest
}

fn read(path: &Path) -> io::Result<hmac::Key> {
    let bytes = qseed_secrets::read_at_most(&mut open(path)?, GUARD_KEY_BYTES)?;
    match bytes {
        Some(bytes) if bytes.len() == GUARD_KEY_BYTES => {
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        }
        _ => {
            let why = "it does not hold 32 bytes; restore the key, or run: qseed guard --reset";
            Err(io::Error::other(why))
        }
    }
}

/// Opens the key, if no other user can have written or read it.
fn open(path: &Path) -> io::Result<File> {
    let refused = |what: &str| io::Error::new(io::ErrorKind::PermissionDenied, what);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(refused("it is a link")),
        Err(why) => return Err(why.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(refused("it is no regular file"));
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&meta.uid()) {
        return Err(refused("it belongs to another user"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(refused(
            "other users can read or write it; run chmod 600 on it",
        ));
    }
    Ok(file)
}

/// Makes the key under a temporary name and links it to its real name once it is on the disk. So
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
    let mut key = Zeroizing::new([0; GUARD_KEY_BYTES]);
    rustix::rand::getrandom(&mut key[..], GetRandomFlags::empty())?;
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    // A worker that died here may have left one and had the same process id.
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

    use qseed_model::Login;
    use qseed_secrets::Secret;

    use super::GuardKey;
    use crate::directory::TokenInfo;
    use crate::failure::FailureClass;

    fn token(serial: &str, label: &str) -> TokenInfo {
        TokenInfo {
            label: label.into(),
            serial: serial.into(),
            ..TokenInfo::default()
        }
    }

    fn guard(folder: &Path) -> GuardKey {
        GuardKey::new(folder.join("state/guard.key"))
    }

    #[test]
    fn the_key_is_made_once_and_for_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let pin = Secret::new(b"1234".to_vec());
        let tag = |guard: &GuardKey, may_be_made| {
            guard.tags(&token("1", "a"), Login::User, Some(&pin), may_be_made)
        };
        let first = guard(folder.path());
        tag(&first, false).expect_err("it may not be made yet");
        let first = tag(&first, true).expect("a key");
        for may_be_made in [true, false] {
            let again = tag(&guard(folder.path()), may_be_made);
            assert_eq!(again.expect("a key"), first);
        }
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
    fn threads_that_need_the_first_key_at_once_get_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path());
        let keys = std::thread::scope(|scope| {
            let tags = || guard.tags(&token("1", "a"), Login::User, None, true);
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(tags)).collect();
            let ended = threads.into_iter().map(|it| it.join().expect("no panic"));
            ended
                .map(|tags| tags.expect("a key").key)
                .collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_that_is_replaced_or_removed_is_noticed_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path());
        let tags = |may| guard.tags(&token("1", "a"), Login::User, None, may);
        let first = tags(true).expect("a key");
        let file = folder.path().join("state/guard.key");
        std::fs::write(&file, [7; 32]).expect("replaced");
        assert_ne!(tags(false).expect("another key").key, first.key);
        std::fs::remove_file(&file).expect("removed");
        let failure = tags(false).expect_err("no key");
        assert_eq!(failure.class, FailureClass::GuardKeyMissing);
    }

    fn pin(digits: &str) -> Secret {
        Secret::new(digits.as_bytes().to_vec())
    }

    #[test]
    fn different_tokens_users_and_pins_have_different_tags() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path());
        let tag = |serial, label, user, digits: Option<&str>| {
            let pin = digits.map(pin);
            let tags = guard.tags(&token(serial, label), user, pin.as_ref(), true);
            tags.expect("a key").tag
        };
        let mut tags = vec![
            tag("1", "a", Login::User, Some("1234")),
            tag("1", "a", Login::So, Some("1234")),
            tag("1", "a", Login::User, Some("12345")),
            tag("1a", "", Login::User, Some("1234")),
            tag("", "1a", Login::User, Some("1234")),
            tag("1", "a", Login::User, Some("")),
            tag("1", "a", Login::User, None),
        ];
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 7);
    }

    #[test]
    fn a_device_is_the_same_for_every_kind_of_user_and_label() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path());
        let tags = |label, user| {
            let tags = guard.tags(&token("1", label), user, Some(&pin("1234")), true);
            tags.expect("a key")
        };
        let (user, so, renamed) = (
            tags("a", Login::User),
            tags("a", Login::So),
            tags("b", Login::User),
        );
        assert_eq!((user.device, user.token), (so.device, so.token));
        assert_eq!(
            (user.device, user.at_device),
            (renamed.device, renamed.at_device)
        );
        assert_ne!(user.at_device, so.at_device);
        assert_ne!((user.token, user.tag), (renamed.token, renamed.tag));
    }

    #[test]
    fn a_key_that_somebody_else_could_read_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = || guard(folder.path());
        guard()
            .tags(&token("1", "a"), Login::User, None, true)
            .expect("a key");
        let file = folder.path().join("state/guard.key");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&file, open).expect("changed");
        let why = guard()
            .tags(&token("1", "a"), Login::User, None, true)
            .expect_err("refused");
        assert!(why.text.contains("chmod 600"), "{why}");
    }

    #[test]
    fn a_missing_or_broken_key_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = |may| {
            let failure = guard(folder.path()).tags(&token("1", "a"), Login::User, None, may);
            failure.expect_err("no key").class
        };
        assert_eq!(failure(false), FailureClass::GuardKeyMissing);
        std::fs::create_dir(folder.path().join("state")).expect("made");
        for content in [&[7; 31][..], &[7; 33]] {
            let key = folder.path().join("state/guard.key");
            std::fs::write(&key, content).expect("written");
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))
                .expect("changed");
            assert_eq!(failure(true), FailureClass::GuardKeyMissing);
        }
    }
}
