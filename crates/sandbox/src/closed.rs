//! Files that are closed to modules, and everything else.
//!
//! Landlock only allows. So, of each folder that leads to a closed file, every entry is allowed but
//! the ones that are closed or lead to one. What comes into such a folder later is not allowed: a
//! process that starts then may open it. This suits folders in which packages and operators put
//! things, and no module does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

/// Where modules make no files beside qseed's. In `/tmp` or in somebody's home they may.
const QUIET_PLACES: [&str; 4] = ["/etc", "/run", "/srv", "/var"];
const BUSY_PLACES: [&str; 2] = ["/run/user", "/var/tmp"];

/// Files that no module may open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Closed {
    /// One file.
    File(PathBuf),
    /// Files in this folder; folders in it are open.
    FilesIn(PathBuf),
    /// Entries whose path begins so.
    BeginningWith(PathBuf),
}

impl Closed {
    /// The folder that holds what is closed, without links on the way. `None` where it is not there.
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(fs::canonicalize(path).ok()?.parent()?.to_owned()),
            Self::FilesIn(folder) => fs::canonicalize(folder).ok(),
            Self::BeginningWith(path) => fs::canonicalize(path.parent()?).ok(),
        }
    }
}

/// Whether a closed file can be closed without closing what a module may need: only in the places
/// where modules make no files.
#[must_use]
pub fn is_closable(closed: &Closed) -> bool {
    let (Closed::File(path) | Closed::FilesIn(path) | Closed::BeginningWith(path)) = closed;
    // One that is not there yet will be in a folder that is.
    let mut above = path.ancestors();
    let folder = closed.folder();
    let folder = folder.or_else(|| above.find_map(|above| fs::canonicalize(above).ok()));
    folder.is_none_or(|folder| is_quiet(&folder))
}

fn is_quiet(folder: &Path) -> bool {
    let within = |place: &&str| folder.starts_with(place);
    QUIET_PLACES.iter().any(within) && !BUSY_PLACES.iter().any(within)
}

/// What is closed in a folder.
#[derive(Debug, Default)]
struct ClosedHere {
    files: bool,
    names: BTreeSet<Vec<u8>>,
    beginnings: Vec<Vec<u8>>,
}

impl ClosedHere {
    fn has(&self, name: &OsStr, kind: Kind) -> bool {
        let name = name.as_bytes();
        (self.files && kind == Kind::File)
            || self.names.contains(name)
            || self.beginnings.iter().any(|it| name.starts_with(it))
    }
}

/// How an entry is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// A closed file that may be read.
    ReadableFile,
}

/// An entry of a folder, whatever its name.
type Identity = (u64, u64);

/// What is open in the folders that lead to closed files.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    closed: BTreeMap<PathBuf, ClosedHere>,
    /// A closed file that may be read.
    readable: PathBuf,
    known: BTreeSet<Identity>,
}

impl Entries {
    /// What is not closed. Only files that [`is_closable`] are.
    pub(crate) fn beside(closed: &[Closed], readable: &Path) -> Self {
        Self::of(closed.iter().filter(|item| is_closable(item)), readable)
    }

    fn of<'closed>(closed: impl IntoIterator<Item = &'closed Closed>, readable: &Path) -> Self {
        let mut folders: BTreeMap<PathBuf, ClosedHere> = BTreeMap::new();
        for item in closed {
            let Some(folder) = item.folder() else {
                continue;
            };
            for above in folder.ancestors().skip(1) {
                folders.entry(above.to_owned()).or_default();
            }
            let here = folders.entry(folder).or_default();
            let name = |path: &Path| Some(path.file_name()?.as_bytes().to_vec());
            match item {
                Closed::File(path) => {
                    let real = fs::canonicalize(path).ok();
                    here.names.extend(real.as_deref().and_then(name));
                }
                Closed::FilesIn(_) => here.files = true,
                Closed::BeginningWith(path) => here.beginnings.extend(name(path)),
            }
        }
        let mut entries = Self {
            closed: folders,
            readable: fs::canonicalize(readable).unwrap_or_default(),
            known: BTreeSet::new(),
        };
        let mut known = BTreeSet::new();
        entries.list(|_, identity, _| {
            known.insert(identity);
        });
        entries.known = known;
        entries
    }

    /// Hands out every entry that is open, and how.
    pub(crate) fn each<E>(
        &self,
        mut allow: impl FnMut(OwnedFd, Kind) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut result = Ok(());
        if self.closed.is_empty() {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            if let Ok(root) = rustix::fs::open("/", flags, Mode::empty()) {
                result = allow(root, Kind::Folder);
            }
        }
        self.list(|entry, _, kind| {
            if result.is_ok() {
                result = allow(entry, kind);
            }
        });
        result
    }

    /// Whether there is an entry that was not there before.
    pub(crate) fn are_outdated(&self) -> bool {
        let mut is_new = false;
        self.list(|_, identity, _| is_new |= !self.known.contains(&identity));
        is_new
    }

    fn list(&self, mut found: impl FnMut(OwnedFd, Identity, Kind)) {
        for (folder, here) in &self.closed {
            // One that this user cannot list has nothing that could be opened by chance.
            let listing = fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in listing {
                let path = entry.path();
                if self.closed.contains_key(&path) {
                    continue;
                }
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let Ok(fd) = rustix::fs::open(&path, flags, Mode::empty()) else {
                    continue;
                };
                let Ok(stat) = rustix::fs::fstat(&fd) else {
                    continue;
                };
                let kind = match FileType::from_raw_mode(stat.st_mode) {
                    // Where a link leads is an entry of its own.
                    FileType::Symlink => continue,
                    FileType::Directory => Kind::Folder,
                    _ => Kind::File,
                };
                let kind = match here.has(&entry.file_name(), kind) {
                    true if path == self.readable => Kind::ReadableFile,
                    true => continue,
                    false => kind,
                };
                found(fd, (stat.st_dev, stat.st_ino), kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use super::{Closed, Entries, Kind, is_closable};

    /// A folder with these files.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        folder
    }

    fn kind(entries: &Entries, path: &Path) -> Option<Kind> {
        let meta = fs::symlink_metadata(path).expect("it is there");
        let mut found = None;
        entries.list(|_, identity, kind| {
            if identity == (meta.dev(), meta.ino()) {
                found = Some(kind);
            }
        });
        found
    }

    #[test]
    fn everything_is_open_but_what_is_closed() {
        let folder = tree(&[
            "etc/pin",
            "etc/token",
            "etc/vendor/conf",
            "state/guard",
            "state/key",
            "state/home/file",
            "log/audit.jsonl",
            "log/audit-1.jsonl",
            "log/other",
            "vendor/file",
            "top",
        ]);
        let at = |name: &str| folder.path().join(name);
        symlink(at("state/guard"), at("vendor-link")).expect("linked");
        symlink(at("etc/token"), at("token-link")).expect("linked");
        let closed = [
            Closed::File(at("token-link")),
            Closed::FilesIn(at("state")),
            Closed::BeginningWith(at("log/audit")),
            Closed::File(at("is/not/there")),
        ];
        let entries = Entries::of(&closed, &at("state/key"));
        let kind = |name| kind(&entries, &at(name));
        for name in [
            "etc/token",
            "state/guard",
            "log/audit.jsonl",
            "log/audit-1.jsonl",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
        // A folder that leads to what is closed would open all below it; a link, where it leads.
        for name in ["etc", "state", "log", "vendor-link", "token-link"] {
            assert_eq!(kind(name), None, "{name}");
        }
        for name in ["etc/vendor", "state/home", "vendor"] {
            assert_eq!(kind(name), Some(Kind::Folder), "{name}");
        }
        for name in ["etc/pin", "log/other", "top"] {
            assert_eq!(kind(name), Some(Kind::File), "{name}");
        }
        assert_eq!(kind("state/key"), Some(Kind::ReadableFile));
    }

    #[test]
    fn what_comes_later_makes_it_outdated() {
        let folder = tree(&["etc/token", "etc/resolv.conf", "etc/vendor/conf"]);
        let at = |name: &str| folder.path().join(name);
        let entries = || Entries::of(&[Closed::File(at("etc/token"))], Path::new(""));
        let before = entries();
        fs::write(at("etc/new"), "x").expect("written");
        fs::rename(at("etc/new"), at("etc/resolv.conf")).expect("renamed");
        assert!(before.are_outdated());
        // Others make files in the folder of all tests: so this looks at one file.
        let meta = fs::metadata(at("etc/resolv.conf")).expect("it is there");
        let identity = (meta.dev(), meta.ino());
        assert!(!before.known.contains(&identity));
        assert!(entries().known.contains(&identity));
    }

    #[test]
    fn files_are_closed_only_where_modules_make_none() {
        let closable = |path: &&str| is_closable(&Closed::FilesIn(path.into()));
        assert!(["/etc", "/var/lib", "/run"].iter().all(closable));
        assert!(!["/tmp", "/", "/dev", "/var/tmp"].iter().any(closable));
        assert!(closable(&"/var/lib/is-not-there") && !closable(&"/tmp/is-not-there/state"));
    }
}
