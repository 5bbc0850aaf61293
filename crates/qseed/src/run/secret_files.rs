//! Notices changes of the secrets' files, and that other users can use them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qseed_config::{Exposure, NamedSecret};
use qseed_engine::{PartitionId, SourceId};
use qseed_secrets::Exposed;

use crate::assemble::Plan;

/// How often files are checked while something waits for a change.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Whose secret a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Source(SourceId),
    Partition(PartitionId),
}

/// Device, inode, size and time of change; none while the file is missing.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The files that hold secrets, each with its stamp at the last check.
#[derive(Debug)]
pub(super) struct SecretFiles(BTreeMap<PathBuf, (Stamp, Vec<Owner>)>);

impl SecretFiles {
    pub(super) fn new(plan: &Plan) -> Self {
        let sources = plan.sources.keys();
        let sources =
            sources.filter_map(|id| Some((plan.access_token_file(*id)?, Owner::Source(*id))));
        let partitions = plan.partitions.keys();
        let partitions =
            partitions.filter_map(|id| Some((plan.pin_file(*id)?, Owner::Partition(*id))));
        let mut files = BTreeMap::new();
        for (path, owner) in sources.chain(partitions) {
            let now = stamp(&path);
            let (_, owners) = files.entry(path).or_insert((now, Vec::new()));
            owners.push(owner);
        }
        Self(files)
    }

    /// Whose files changed since the last check.
    pub(super) fn changed(&mut self) -> Vec<Owner> {
        let mut changed = Vec::new();
        for (path, (before, owners)) in &mut self.0 {
            let now = stamp(path);
            if std::mem::replace(before, now) != now {
                changed.extend_from_slice(owners);
            }
        }
        changed
    }
}

/// A warning of an exposed secret is repeated after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(3_600);

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
        if logged.is_some_and(|(known, at)| *known == faults && at.elapsed() < REPEAT_AFTER) {
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
