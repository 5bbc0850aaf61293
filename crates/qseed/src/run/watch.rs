//! Notices that a secret's file was changed, while something waits for that, and that other users
//! can use it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qseed_config::{Exposure, NamedSecret};
use qseed_engine::{PartitionId, SourceId};
use qseed_secrets::Exposed;

use crate::assemble::Plan;

/// How often files are looked at while something waits for a change.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Whom a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Source(SourceId),
    Partition(PartitionId),
}

/// Device, inode, size and time of change; none while the file is missing.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The files that hold secrets, as they were when they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    stamps: BTreeMap<PathBuf, Stamp>,
    files: Vec<(PathBuf, Whose)>,
}

impl Watch {
    pub(super) fn new(plan: &Plan) -> Self {
        let sources = plan
            .sources
            .keys()
            .filter_map(|id| Some((plan.access_token_file(*id)?, Whose::Source(*id))));
        let partitions = plan
            .partitions
            .keys()
            .filter_map(|id| Some((plan.pin_file(*id)?, Whose::Partition(*id))));
        let files: Vec<_> = sources.chain(partitions).collect();
        let stamps = files
            .iter()
            .map(|(path, _)| (path.clone(), stamp(path)))
            .collect();
        Self { stamps, files }
    }

    /// Whose files were changed since they were looked at last.
    pub(super) fn changed(&mut self) -> Vec<Whose> {
        let mut changed = Vec::new();
        let now: BTreeMap<_, _> = self
            .stamps
            .keys()
            .map(|path| (path.clone(), stamp(path)))
            .collect();
        for (path, whose) in &self.files {
            if self.stamps.get(path) != now.get(path) {
                changed.push(*whose);
            }
        }
        self.stamps = now;
        changed
    }
}

/// How long a warning of an exposed secret is not repeated.
const SAID_FOR: Duration = Duration::from_secs(3_600);

/// What other users can do with the secrets' files, as it was logged last.
#[derive(Debug)]
pub(super) struct Exposures {
    /// Whether other users may read secrets.
    pub(super) may_be_readable: bool,
    logged: BTreeMap<PathBuf, (Vec<Exposed>, Instant)>,
}

impl Exposures {
    pub(super) fn new(may_be_readable: bool) -> Self {
        Self {
            may_be_readable,
            logged: BTreeMap::new(),
        }
    }

    /// What to warn of after a secret was read from a file.
    pub(super) fn after_reading(&mut self, secret: &NamedSecret<'_>) -> Vec<Exposure> {
        let Some(path) = secret.reference.path() else {
            return Vec::new();
        };
        let mut exposures = Exposure::of_secret(&path, &secret.what);
        exposures.retain(|it| !self.may_be_readable || it.fault != Exposed::Readable);
        let faults: Vec<_> = exposures.iter().map(|it| it.fault).collect();
        if faults.is_empty() {
            self.logged.remove(&path);
            return exposures;
        }
        let logged = self.logged.get(&path);
        if logged.is_some_and(|(known, at)| *known == faults && at.elapsed() < SAID_FOR) {
            return Vec::new();
        }
        self.logged.insert(path, (faults, Instant::now()));
        exposures
    }
}

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}
