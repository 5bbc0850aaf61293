//! A fault that goes on is said when it starts, at growing intervals, and when it ends.

use std::time::Duration;

use crate::time::Moment;

/// When a fault that goes on is said again, counted from the time it was said last.
const INTERVALS: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
];

/// How a fault stands that was just met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// How often it was met in a row, at least 1.
    pub count: u32,
    /// For how long.
    pub lasting: Duration,
}

#[derive(Clone, Debug)]
struct Fault {
    since: Moment,
    count: u32,
    told: usize,
    next: Moment,
    kinds: Vec<&'static str>,
}

/// Decides which of the faults in a row are said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaint(Option<Fault>);

impl Complaint {
    /// A fault was met. Returns how it stands if it is to be said: the first in a row, the first
    /// of another kind, and then at growing intervals.
    pub(crate) fn raise(&mut self, now: Moment, kind: &'static str) -> Option<Repeats> {
        let fault = self.0.get_or_insert_with(|| Fault {
            since: now,
            count: 0,
            told: 0,
            next: now,
            kinds: Vec::new(),
        });
        fault.count = fault.count.saturating_add(1);
        let new_kind = !fault.kinds.contains(&kind);
        if new_kind {
            fault.kinds.push(kind);
        }
        if !new_kind && now < fault.next {
            return None;
        }
        fault.next = now + INTERVALS[fault.told.min(INTERVALS.len() - 1)];
        fault.told += 1;
        Some(Repeats {
            count: fault.count,
            lasting: now.since(fault.since),
        })
    }

    /// A fault was met that is said once, as it lasts until something is changed.
    pub(crate) fn raise_once(&mut self, now: Moment, kind: &'static str) -> Option<Repeats> {
        let known = self
            .0
            .as_ref()
            .is_some_and(|fault| fault.kinds.contains(&kind));
        self.raise(now, kind).filter(|_| !known)
    }

    /// Somebody changed something about it: what comes of that is said, whatever was said before.
    pub(crate) fn say_next(&mut self) {
        if let Some(fault) = &mut self.0 {
            fault.kinds.clear();
        }
    }

    /// All is well. Returns how the fault stood, if there was one.
    pub(crate) fn end(&mut self, now: Moment) -> Option<Repeats> {
        let fault = self.0.take()?;
        Some(Repeats {
            count: fault.count,
            lasting: now.since(fault.since),
        })
    }

    /// Since when the fault goes on.
    pub(crate) fn since(&self) -> Option<Moment> {
        self.0.as_ref().map(|fault| fault.since)
    }
}

#[cfg(test)]
mod tests {
    use super::Complaint;
    use crate::time::Moment;
    use std::time::Duration;

    #[test]
    fn a_day_of_failures_every_ten_seconds_is_a_handful_of_lines() {
        let mut complaint = Complaint::default();
        let told = (0..8640)
            .filter(|tick| {
                let now = Moment::new(Duration::from_secs(tick * 10));
                complaint.raise(now, "timeout").is_some()
            })
            .count();
        assert_eq!(told, 6, "at 0, 1 min, 6 min, 21 min, 81 min and 441 min");
        let ended = complaint
            .end(Moment::new(Duration::from_secs(24 * 3600)))
            .expect("a fault");
        assert_eq!(
            (ended.count, ended.lasting),
            (8640, Duration::from_secs(24 * 3600))
        );
        assert!(complaint.end(Moment::START).is_none());
    }

    #[test]
    fn another_kind_is_said_at_once_but_two_in_turn_are_not() {
        let mut complaint = Complaint::default();
        let now = Moment::START;
        assert!(complaint.raise(now, "timeout").is_some());
        assert!(complaint.raise(now, "reset").is_some());
        assert!(complaint.raise(now, "timeout").is_none());
        assert!(complaint.raise(now, "reset").is_none());
    }
}
