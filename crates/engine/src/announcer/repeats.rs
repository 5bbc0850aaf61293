//! A fault that goes on is announced when it starts, at growing intervals, and when it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Announcement;
use crate::time::Moment;

/// When a fault that goes on is announced again, counted from the last time.
const INTERVALS: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
];

/// How long a fault has been going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// Failures in a row, at least 1.
    pub count: u32,
    /// Since the first of them.
    pub lasting: Duration,
}

impl Repeats {
    /// The failures of several things.
    pub(super) fn in_all(of: impl Iterator<Item = Self>) -> Option<Self> {
        of.reduce(|one, other| Self {
            count: one.count.saturating_add(other.count),
            lasting: one.lasting.max(other.lasting),
        })
    }
}

#[derive(Debug)]
struct Fault {
    since: Moment,
    count: u32,
    announced: usize,
    next: Moment,
    kinds: Vec<&'static str>,
}

impl Fault {
    fn repeats(&self, now: Moment) -> Repeats {
        Repeats {
            count: self.count,
            lasting: now.since(self.since),
        }
    }
}

/// Decides which of the failures in a row of each thing are announced.
#[derive(Debug)]
pub(super) struct Faults<Id>(BTreeMap<Id, Fault>);

impl<Id: Ord> Default for Faults<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Ord> Faults<Id> {
    /// Counts a failure. It is news if it is the first in a row or the first of another kind, and
    /// then at growing intervals.
    pub(super) fn raise(&mut self, now: Moment, id: Id, kind: &'static str) -> Announcement {
        let is_new_kind = !self.knows(&id, kind);
        let fault = self.0.entry(id).or_insert_with(|| Fault {
            since: now,
            count: 0,
            announced: 0,
            next: now,
            kinds: Vec::new(),
        });
        fault.count = fault.count.saturating_add(1);
        if is_new_kind {
            fault.kinds.push(kind);
        }
        let is_news = is_new_kind || now >= fault.next;
        if is_news {
            fault.next = now + INTERVALS[fault.announced.min(INTERVALS.len() - 1)];
            fault.announced += 1;
        }
        Announcement {
            is_news,
            repeats: Some(fault.repeats(now)),
        }
    }

    /// Whether a fault goes on in which there was a failure of this kind.
    pub(super) fn knows(&self, id: &Id, kind: &'static str) -> bool {
        let fault = self.0.get(id);
        fault.is_some_and(|fault| fault.kinds.contains(&kind))
    }

    /// Announces the next failure whatever was announced before.
    pub(super) fn announce_next(&mut self, id: &Id) {
        if let Some(fault) = self.0.get_mut(id) {
            fault.kinds.clear();
        }
    }

    /// Ends the fault. Returns how long it went on, if there was one.
    pub(super) fn end(&mut self, now: Moment, id: &Id) -> Option<Repeats> {
        let fault = self.0.remove(id)?;
        Some(fault.repeats(now))
    }

    /// How many faults go on.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Faults;
    use crate::time::Moment;
    use std::time::Duration;

    #[test]
    fn a_day_of_failures_every_ten_seconds_is_a_handful_of_lines() {
        let mut faults = Faults::default();
        let announced = (0..8640)
            .filter(|tick| {
                let now = Moment::new(Duration::from_secs(tick * 10));
                faults.raise(now, 0, "timeout").is_news
            })
            .count();
        assert_eq!(
            announced, 6,
            "at 0, 1 min, 6 min, 21 min, 81 min and 441 min"
        );
        let ended = faults
            .end(Moment::new(Duration::from_secs(24 * 3600)), &0)
            .expect("a fault");
        assert_eq!(
            (ended.count, ended.lasting),
            (8640, Duration::from_secs(24 * 3600))
        );
        assert!(faults.end(Moment::START, &0).is_none());
    }

    #[test]
    fn another_kind_is_announced_at_once_but_two_in_turn_are_not() {
        let mut faults = Faults::default();
        let now = Moment::START;
        assert!(faults.raise(now, 0, "timeout").is_news);
        assert!(faults.raise(now, 0, "reset").is_news);
        assert!(!faults.raise(now, 0, "timeout").is_news);
        assert!(!faults.raise(now, 0, "reset").is_news);
    }
}
