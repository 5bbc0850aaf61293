//! Judges what is announced: every fault is, soon after it began, and one that goes on is not
//! announced again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use qseed_engine::announcer::{Announcer, Summary};
use qseed_engine::{Fact, Moment, PartitionFact, PartitionId};

use crate::Checked;

/// A fault of a partition is announced within this time.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(11);

#[derive(Debug, Default)]
pub(crate) struct Announcements {
    announcer: Announcer,
    /// Partitions whose last attempt failed, each with the lines about that.
    failing: BTreeMap<PartitionId, Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Moment,
    failures: u32,
    lines: u32,
}

impl Announcements {
    pub(crate) fn new(summaries: bool) -> Self {
        let mut new = Self::default();
        new.announcer.sum_up(summaries);
        new
    }

    /// Takes in what happened; returns whether the log has it.
    pub(crate) fn take(&mut self, now: Moment, fact: &Fact) -> bool {
        let is_news = self.announcer.take(now, fact).is_news;
        if let Fact::Partition(partition, fact) = fact {
            match fact {
                PartitionFact::Failed { .. } => {
                    let failing = self.failing.entry(partition.id).or_insert(Failing {
                        since: now,
                        failures: 0,
                        lines: 0,
                    });
                    failing.failures += 1;
                    failing.lines += u32::from(is_news);
                }
                PartitionFact::Seeded { .. } | PartitionFact::Removed => {
                    self.failing.remove(&partition.id);
                }
                // It is announced again, whatever was announced before.
                PartitionFact::Mended => {
                    if let Some(failing) = self.failing.get_mut(&partition.id) {
                        failing.lines = failing.lines.min(1);
                    }
                }
                _ => {}
            }
        }
        is_news
    }

    /// Lets time pass.
    pub(crate) fn due(&mut self, now: Moment) -> Checked {
        let left_out = |line: &Summary| matches!(line, Summary::MoreFailures { .. });
        if self.announcer.due(now).iter().any(left_out) {
            for failing in self.failing.values_mut().filter(|f| f.lines == 0) {
                failing.lines = 1;
            }
        }
        for (id, failing) in &self.failing {
            if failing.lines == 0 && now.since(failing.since) > ANNOUNCED_WITHIN {
                return Err(format!(
                    "{id:?} fails since {:?}, unannounced",
                    failing.since
                ));
            }
            // Each kind of failure once, and then at growing intervals.
            let days = now.since(failing.since).as_secs() / (24 * 3600);
            let at_most = 12 + 6 + u32::try_from(days).unwrap_or(u32::MAX);
            if failing.lines > at_most {
                let (lines, failures) = (failing.lines, failing.failures);
                return Err(format!("{id:?}: {lines} lines about {failures} failures"));
            }
        }
        Ok(())
    }

    pub(crate) fn entries(&self) -> usize {
        self.announcer.entries()
    }
}
