//! The steering file as the module reads it: again whenever it changes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::plan::Plan;
use crate::{Error, Faults};

/// The file and the plan that it last made.
#[derive(Debug)]
pub(crate) struct Steering {
    path: PathBuf,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    version: Option<FileVersion>,
    plan: Arc<Plan>,
}

/// What differs between two versions of a file, whether it is replaced or written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What looking at the file showed.
#[derive(Debug)]
pub(crate) struct Look {
    /// The plan in force.
    pub(crate) plan: Arc<Plan>,
    /// Whether the file is another than at the last look, and whether it could be used.
    pub(crate) changed: Option<Result<(), Error>>,
}

impl Steering {
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let version = FileVersion::of(&path).map_err(Error::file(&path))?;
        let plan = Arc::new(Plan::new(read(&path)?)?);
        Ok(Self {
            path,
            current: RwLock::new(Current {
                version: Some(version),
                plan,
            }),
        })
    }

    /// The plan as the file has it now. A file that is gone or wrong leaves the last good plan
    /// in force.
    pub(crate) fn look(&self) -> Look {
        let version = FileVersion::of(&self.path).ok();
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.version == version {
                return Look {
                    plan: Arc::clone(&current.plan),
                    changed: None,
                };
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have read it meanwhile, and the file may have changed again.
        let version = FileVersion::of(&self.path).ok();
        if current.version == version {
            return Look {
                plan: Arc::clone(&current.plan),
                changed: None,
            };
        }
        let read = read(&self.path).and_then(|faults| current.plan.followed_by(faults));
        current.version = version;
        let changed = read.map(|plan| current.plan = Arc::new(plan));
        Look {
            plan: Arc::clone(&current.plan),
            changed: Some(changed),
        }
    }

    /// Notices every token that a stale module has not noticed so far.
    pub(crate) fn notice_all(&self) -> Arc<Plan> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.plan = Arc::new(current.plan.refreshed());
        Arc::clone(&current.plan)
    }
}

impl FileVersion {
    fn of(path: &std::path::Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

fn read(path: &std::path::Path) -> Result<Faults, Error> {
    Faults::parse(&fs::read_to_string(path).map_err(Error::file(path))?)
}
