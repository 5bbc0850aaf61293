use qseed_engine::{Event, Limits, PartitionState, Rate};

use crate::story::{Call, Did, Source, Story, p, partition, s, secs, usual};

#[test]
fn what_is_unchanged_is_not_disturbed() {
    let mut story = Story::new(usual(3));
    story.run(secs(15));
    story.settings.partitions.remove(2);
    story.settings.partitions.push(partition(7));
    story.reload();
    story.run(secs(30));
    assert_eq!(story.seeds(0), [0, 10, 20, 30, 40]);
    assert_eq!(story.seeds(2), [0, 10]);
    assert_eq!(story.seeds(7), [15, 20, 30, 40]);
    assert_eq!(story.count(|did| *did == Did::Open(p(0))), 1);
}

#[test]
fn a_size_that_changes_while_the_partition_waits_is_the_next_one() {
    let mut story = Story::new(usual(1));
    story.run(secs(5));
    story.sources.insert(s(0), Source::Hangs);
    story.run(secs(10));
    story.settings.partitions[0].size = 100;
    story.sources.clear();
    story.reload();
    story.run(secs(70));
    let sizes: Vec<usize> = story
        .did
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Seed(_, made_of) => {
                Some(made_of.portions.iter().map(|portion| portion.bytes).sum())
            }
            _ => None,
        })
        .collect();
    assert_eq!(sizes[0], 48);
    assert!(sizes.len() > 2);
    assert!(sizes[1..].iter().all(|size| *size == 100), "{sizes:?}");
}

#[test]
fn another_period_counts_from_now_on() {
    let mut story = Story::new(usual(1));
    story.run(secs(15));
    story.settings.partitions[0].period = secs(3);
    story.reload();
    story.run(secs(10));
    assert_eq!(story.seeds(0), [0, 10, 18, 21, 24]);
}

#[test]
fn a_partition_that_comes_back_while_its_call_is_in_flight_is_opened_after_it() {
    let mut story = Story::new(usual(2));
    story
        .seeding
        .insert(p(1), Call::FailsSlowly(qseed_engine::TokenFault::Device));
    story.run(secs(5));
    let gone = story.settings.partitions.pop().expect("two");
    story.reload();
    story.run(secs(1));
    story.settings.partitions.push(gone);
    story.seeding.clear();
    story.reload();
    story.run(secs(5));
    assert_eq!(story.count(|did| *did == Did::Open(p(1))), 1);
    story.run(secs(20));
    assert_eq!(story.count(|did| *did == Did::Open(p(1))), 2);
    assert_eq!(story.state(1), PartitionState::Seeded);
}

#[test]
fn a_new_rate_limit_counts_what_was_sent_before() {
    let mut story = Story::new(usual(1));
    story.run(secs(15));
    story.settings.sources[0].rate_limit = Some(Rate {
        requests: 1,
        per: secs(60),
    });
    // A source without a limit does not remember what it was sent: it counts from now on.
    story.reload();
    story.run(secs(300));
    let asked = story.count(|did| matches!(did, Did::Ask(..)));
    assert!(asked <= 2 + 6, "{asked} requests");
}

#[test]
fn limits_that_the_service_announces_are_kept() {
    let mut story = Story::new(usual(4));
    story.tell(Event::LimitsLearnt {
        source: s(0),
        limits: Limits {
            min_size: 1,
            max_size: 48,
            min_count: 1,
            max_count: 2,
        },
    });
    story.run(secs(15));
    story.settings.partitions.pop();
    story.reload();
    story.run(secs(30));
    let largest = story.did.iter().filter_map(|(_, did)| match did {
        Did::Ask(_, bytes) => Some(*bytes),
        _ => None,
    });
    assert_eq!(largest.max(), Some(96));
}

#[test]
fn a_replaced_module_is_loaded_again_at_once() {
    let mut story = Story::new(usual(2));
    story.run(secs(5));
    story.settings.modules[0].revision += 1;
    story.reload();
    story.run(secs(10));
    assert_eq!(story.count(|did| matches!(did, Did::Start(_))), 2);
    assert_eq!(story.seeds(0), [0, 10]);
}
