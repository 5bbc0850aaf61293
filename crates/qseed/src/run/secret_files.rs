//! Notices changes of the secrets' files, and that other users can use them.
//!
//! A thread of its own examines the files: one on a dead network file system must not stop the
//! daemon's loop.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use qseed_config::{Exposure, NamedSecret};
use qseed_engine::{Event, PartitionId, SourceId};
use qseed_secrets::Exposed;
use tokio::sync::mpsc::UnboundedSender;

use super::Incoming;
use crate::assemble::Plan;
use crate::say::shell;

/// How often files are checked while something waits for a change.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A warning of an exposed secret is repeated after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(3_600);

/// The most orders that wait for the thread. While it hangs, later ones are dropped.
const WAITING: usize = 1024;

/// Whose secret a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Source(SourceId),
    Partition(PartitionId),
}

/// What the thread does next.
enum Order {
    /// Report the files that changed since the last check.
    Check,
    /// Report whether other users can use this secret, which was just read.
    Examine { path: PathBuf, what: String },
}

/// The thread that examines the secrets' files of the plan; it ends with this, or with the next plan.
#[derive(Debug)]
pub(super) struct SecretFiles {
    orders: Option<SyncSender<Order>>,
    /// Whether other users may read secrets.
    may_be_readable: bool,
    events: UnboundedSender<Incoming>,
}

impl SecretFiles {
    pub(super) fn new(may_be_readable: bool, events: UnboundedSender<Incoming>) -> Self {
        Self {
            orders: None,
            may_be_readable,
            events,
        }
    }

    /// Examines the files of this plan from now on.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub(super) fn watch(&mut self, plan: &Plan) -> io::Result<()> {
        let sources = plan.sources.keys();
        let sources =
            sources.filter_map(|id| Some((plan.access_token_file(*id)?, Owner::Source(*id))));
        let partitions = plan.partitions.keys();
        let partitions =
            partitions.filter_map(|id| Some((plan.pin_file(*id)?, Owner::Partition(*id))));
        let files = sources.chain(partitions).collect();
        let (orders, to_do) = sync_channel(WAITING);
        let (may_be_readable, events) = (self.may_be_readable, self.events.clone());
        let thread = Builder::new().name("secrets".to_owned());
        thread
            .stack_size(256 * 1024)
            .spawn(move || examine(files, may_be_readable, &to_do, &events))?;
        self.orders = Some(orders);
        Ok(())
    }

    /// Has the files checked for changes.
    pub(super) fn check(&self) {
        self.order(Order::Check);
    }

    /// Has the file of a secret examined that was just read.
    pub(super) fn was_read(&self, secret: NamedSecret<'_>) {
        if let Some(path) = secret.reference.path() {
            let what = secret.what;
            self.order(Order::Examine { path, what });
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.try_send(order);
        }
    }
}

fn examine(
    files: Vec<(PathBuf, Owner)>,
    may_be_readable: bool,
    to_do: &Receiver<Order>,
    events: &UnboundedSender<Incoming>,
) {
    let mut stamps = BTreeMap::new();
    for (path, owner) in files {
        let now = stamp(&path);
        let (_, owners) = stamps.entry(path).or_insert((now, Vec::new()));
        owners.push(owner);
    }
    let mut logged = BTreeMap::new();
    for order in to_do {
        match order {
            Order::Check => {
                for (path, (before, owners)) in &mut stamps {
                    let now = stamp(path);
                    if std::mem::replace(before, now) != now {
                        for owner in owners {
                            let event = match owner {
                                Owner::Source(id) => Event::SourceSecretChanged(*id),
                                Owner::Partition(id) => Event::PinChanged(*id),
                            };
                            let _ = events.send(Incoming::Engine(event));
                        }
                    }
                }
            }
            Order::Examine { path, what } => {
                let mut exposures = Exposure::of_secret(&path, &what);
                exposures.retain(|it| !may_be_readable || it.fault != Exposed::Readable);
                for exposure in not_logged(&mut logged, path, exposures) {
                    let _ = events.send(Incoming::Log(shell::exposed(&exposure)));
                }
            }
        }
    }
}

/// The exposures of a file, unless they are those that were logged not long ago.
fn not_logged(
    logged: &mut BTreeMap<PathBuf, (Vec<Exposed>, Instant)>,
    path: PathBuf,
    exposures: Vec<Exposure>,
) -> Vec<Exposure> {
    let faults: Vec<_> = exposures.iter().map(|it| it.fault).collect();
    if faults.is_empty() {
        logged.remove(&path);
        return exposures;
    }
    let before = logged.get(&path);
    if before.is_some_and(|(known, at)| *known == faults && at.elapsed() < REPEAT_AFTER) {
        return Vec::new();
    }
    logged.insert(path, (faults, Instant::now()));
    exposures
}

/// Device, inode, size and time of change; none while the file is missing.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

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
