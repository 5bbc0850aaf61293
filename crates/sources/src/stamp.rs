//! Noticing that a file changed, without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file is written or replaced. `None` inside: it could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Option<[i64; 7]>);

impl Stamp {
    /// The file's stamp as it is now. A missing file has one as well: it differs from a present
    /// one's.
    #[allow(clippy::cast_possible_wrap, reason = "compared for equality alone")]
    pub(crate) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|file| {
            [
                file.dev() as i64,
                file.ino() as i64,
                file.size() as i64,
                file.mtime(),
                file.mtime_nsec(),
                file.ctime(),
                file.ctime_nsec(),
            ]
        }))
    }
}
