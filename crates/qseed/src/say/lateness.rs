//! Lines about partitions that are late, and that are seeded again.

use std::time::Duration;

use qseed_config::Level;
use qseed_engine::PartitionState;
use qseed_engine::announcer::{Group, Repeats};
use serde_json::{Map, Value};

use super::failed_before;
use crate::log::{Entry, format_duration};

/// Partitions that were not seeded when they should have been.
pub(super) fn late(
    partitions: &Group,
    unseeded: Option<Duration>,
    period: Option<Duration>,
    causes: &[(PartitionState, usize)],
) -> Entry {
    let why = whys(causes, partitions.count);
    let period_text = period.map_or(String::new(), format_duration);
    let (event, message) = match (&partitions.some[..], unseeded.map(format_duration)) {
        ([one], Some(time)) => (
            "partition-late",
            format!(
                "{}: late: not seeded for {time}, with a period of {period_text} ({why}).",
                one.name
            ),
        ),
        ([one], None) => (
            "partition-late",
            format!("{}: late: not seeded yet ({why}).", one.name),
        ),
        (_, time) => (
            "partitions-late",
            format!(
                "{} partitions are late: not seeded {} ({why}): {}.",
                partitions.count,
                time.map_or("yet".to_owned(), |time| format!("for up to {time}")),
                names(partitions)
            ),
        ),
    };
    let causes: Map<_, _> = causes
        .iter()
        .map(|(state, count)| (state.name().to_owned(), Value::from(*count)))
        .collect();
    named(Entry::new(Level::Warn, event, message), partitions)
        .with("unseeded_seconds", unseeded.map(|time| time.as_secs_f64()))
        .with("period_seconds", period.map(|time| time.as_secs_f64()))
        .with("causes", causes)
}

/// Partitions that were late, or failed, and were seeded.
pub(super) fn seeded_again(
    partitions: &Group,
    gap: Option<Duration>,
    repeats: Option<Repeats>,
) -> Entry {
    let attempts = repeats.map(|repeats| failed_before(repeats, "failed attempt"));
    let (event, message) = if let [one] = &partitions.some[..] {
        let after = match (gap.map(format_duration), attempts) {
            (Some(gap), Some(attempts)) => format!(" after {gap} without a seed ({attempts})"),
            (Some(gap), None) => format!(" after {gap} without a seed"),
            (None, Some(attempts)) => format!(" after {attempts}"),
            (None, None) => String::new(),
        };
        (
            "partition-recovered",
            format!("{}: seeded again{after}.", one.name),
        )
    } else {
        let after = gap.map(format_duration).map_or(String::new(), |gap| {
            format!(" after up to {gap} without a seed")
        });
        let (count, names) = (partitions.count, names(partitions));
        (
            "partitions-recovered",
            format!("{count} partitions are seeded again{after}: {names}."),
        )
    };
    let entry = named(Entry::info(event, message), partitions)
        .with("gap_seconds", gap.map(|gap| gap.as_secs_f64()));
    match repeats {
        Some(repeats) => entry
            .with("failures", repeats.count)
            .with("lasting_seconds", repeats.lasting.as_secs_f64()),
        None => entry,
    }
}

fn named(entry: Entry, partitions: &Group) -> Entry {
    match &partitions.some[..] {
        [one] => entry.with("partition", &*one.name),
        several => {
            let names: Vec<_> = several.iter().map(|partition| &*partition.name).collect();
            entry
                .with("partitions", names)
                .with("count", partitions.count)
        }
    }
}

fn names(partitions: &Group) -> String {
    let names: Vec<_> = partitions.some.iter().map(|one| &*one.name).collect();
    let names = names.join(", ");
    match partitions.count.saturating_sub(partitions.some.len()) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

fn whys(causes: &[(PartitionState, usize)], count: usize) -> String {
    let whys = causes.iter().map(|(state, of)| {
        let why = why(*state);
        if *of == count {
            why.to_owned()
        } else {
            format!("{of}: {why}")
        }
    });
    whys.collect::<Vec<_>>().join("; ")
}

fn why(state: PartitionState) -> &'static str {
    match state {
        PartitionState::WaitingForEntropy => "waiting for entropy",
        PartitionState::TokenMissing => "the token is missing",
        PartitionState::PinRefused => "the token refused the PIN",
        PartitionState::PinGuarded => "the PIN is held back",
        PartitionState::SeedingRefused => "the token takes no seeds",
        PartitionState::ModuleHung => "a call to the module hangs",
        PartitionState::ModuleDown => "the module's worker process is not running",
        PartitionState::Error => "the last attempt failed",
        PartitionState::Starting | PartitionState::Seeded | PartitionState::Late => {
            "waiting for the module"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_engine::announcer::{Group, Repeats};
    use qseed_engine::{Named, PartitionId, PartitionState};

    use super::{late, seeded_again};

    fn partitions(some: u32, count: usize) -> Group {
        let named = |number| Named {
            id: PartitionId(number),
            name: format!("ca-{number}").into(),
        };
        Group {
            some: (1..=some).map(named).collect(),
            count,
        }
    }

    #[test]
    fn a_line_names_few_partitions_and_counts_many() {
        let (time, period) = (Some(Duration::from_secs(16)), Some(Duration::from_secs(10)));
        let waits = [(PartitionState::WaitingForEntropy, 1)];
        assert_eq!(
            late(&partitions(1, 1), time, period, &waits).message,
            "ca-1: late: not seeded for 16 s, with a period of 10 s (waiting for entropy)."
        );
        let causes = [
            (PartitionState::WaitingForEntropy, 490),
            (PartitionState::ModuleDown, 10),
        ];
        assert_eq!(
            late(&partitions(2, 500), time, period, &causes).message,
            "500 partitions are late: not seeded for up to 16 s (490: waiting for entropy; 10: the \
             module's worker process is not running): ca-1, ca-2 and 498 more."
        );
        assert_eq!(
            seeded_again(&partitions(2, 2), time, None).message,
            "2 partitions are seeded again after up to 16 s without a seed: ca-1, ca-2."
        );
    }

    #[test]
    fn what_went_before_a_seed_stands_in_its_line() {
        let gap = Some(Duration::from_secs(47));
        let failed = Some(Repeats {
            count: 3,
            lasting: Duration::from_secs(40),
        });
        let line = |gap, failed| seeded_again(&partitions(1, 1), gap, failed).message;
        assert_eq!(
            line(gap, failed),
            "ca-1: seeded again after 47 s without a seed (3 failed attempts in 40 s)."
        );
        assert_eq!(
            line(None, failed),
            "ca-1: seeded again after 3 failed attempts in 40 s."
        );
    }
}
