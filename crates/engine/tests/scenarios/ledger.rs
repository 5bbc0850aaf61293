//! A ledger that must have a record of each seed before it leaves.

use std::time::Duration;

use qseed_engine::{Event, Fact, PartitionFact, PartitionState, Reserve, Settings, TokenFault};

use crate::story::{Call, Did, Ledger, Story, p, secs, usual};

fn required(partitions: u32) -> Settings {
    Settings {
        record_first: true,
        ..usual(partitions)
    }
}

fn seeds(story: &Story) -> usize {
    story.count(|did| matches!(did, Did::Seed(..)))
}

fn intents(story: &Story) -> usize {
    story.count(|did| matches!(did, Did::Intend(_)))
}

/// The ledger records what it got while it hung.
fn record_all(story: &mut Story) {
    let intents = std::mem::take(&mut story.unrecorded);
    let recorded = true;
    story.tell(Event::IntentsRecorded { intents, recorded });
}

/// Seeds that were made and never left, and those that their worker had and did not answer for.
fn lost(story: &Story) -> (usize, usize) {
    let lost = |had: bool| {
        let facts = story.facts.iter();
        let lost = facts.filter(|fact| {
            matches!(fact, Fact::Partition(_, PartitionFact::SeedLost { given, .. }) if *given == had)
        });
        lost.count()
    };
    (lost(false), lost(true))
}

#[test]
fn a_seed_leaves_after_its_intent_is_recorded() {
    let mut story = Story::new(required(1));
    story.ledger_takes = Duration::from_millis(700);
    story.run(secs(25));
    assert_eq!(story.seeds(0), [0, 10, 20]);
    let order = story.did.iter().filter_map(|(at, did)| match did {
        Did::Intend(_) => Some((at.since_start(), "intend")),
        Did::Seed(..) => Some((at.since_start(), "seed")),
        _ => None,
    });
    let order: Vec<_> = order.collect();
    for pair in order.chunks(2) {
        assert_eq!((pair[0].1, pair[1].1), ("intend", "seed"));
        assert_eq!(pair[1].0, pair[0].0 + Duration::from_millis(700));
    }
}

#[test]
fn best_effort_waits_for_no_ledger() {
    let mut story = Story::new(usual(3));
    story.ledger = Ledger::Hangs;
    story.tell(Event::LedgerWritable(false));
    story.run(secs(15));
    assert_eq!((intents(&story), seeds(&story)), (0, 6));
}

#[test]
fn partitions_that_are_due_together_share_a_sync_whatever_the_concurrency_is() {
    let mut story = Story::new(required(400));
    // As slow as a busy disk: one sync for each four, which is the concurrency, would take 40 s.
    story.ledger_takes = Duration::from_millis(400);
    story.run(secs(60));
    for number in [0, 399] {
        assert_eq!(story.seeds(number), [0, 10, 20, 30, 40, 50]);
    }
}

#[test]
fn nothing_is_downloaded_or_injected_while_the_ledger_cannot_be_written() {
    let mut story = Story::new(required(3));
    story.run(secs(5));
    assert_eq!(seeds(&story), 3);
    story.ledger = Ledger::Fails;
    let broken = story.now();
    story.run(secs(600));
    assert_eq!(seeds(&story), 3);
    assert_eq!(
        story.asked_since(broken).len(),
        1,
        "for the seeds that could not be recorded"
    );
    assert_eq!(lost(&story), (3, 0));
    for number in 0..3 {
        assert_eq!(story.state(number), PartitionState::Error);
        let view = story.engine.partition(p(number)).expect("configured");
        let why = view.last_error.expect("it says why");
        assert!(why.contains("the ledger"), "{why}");
    }
    story.ledger = Ledger::Works;
    let mended = story.now();
    story.tell(Event::LedgerWritable(true));
    story.run(secs(1));
    assert!((0..3).all(|number| story.seeds_since(number, mended) == 1));
    assert_eq!(story.state(0), PartitionState::Seeded);
}

#[test]
fn a_ledger_that_fails_before_it_is_asked_costs_no_entropy() {
    let mut settings = required(2);
    settings.reserve = Some(Reserve {
        cover: secs(600),
        max_age: secs(3600),
    });
    let mut story = Story::new(settings);
    story.run(secs(5));
    story.tell(Event::LedgerWritable(false));
    let broken = story.now();
    story.run(secs(60));
    assert_eq!(story.asked_since(broken), []);
    assert_eq!(intents(&story), 2, "although there is entropy");
}

#[test]
fn a_recorded_seed_waits_too_while_the_ledger_cannot_be_written() {
    let mut settings = required(2);
    settings.modules[0].concurrency = 1;
    let mut story = Story::new(settings);
    story.seeding.insert(p(0), Call::WorksAfter(3));
    story.seeding.insert(p(1), Call::WorksAfter(3));
    story.run(secs(2));
    assert_eq!((intents(&story), seeds(&story)), (2, 1));
    story.tell(Event::LedgerWritable(false));
    story.run(secs(30));
    assert_eq!(seeds(&story), 1);
    story.tell(Event::LedgerWritable(true));
    story.run(secs(1));
    assert_eq!((seeds(&story), lost(&story)), (2, (0, 0)));
}

#[test]
fn a_hanging_ledger_holds_seeds_back_and_nothing_else() {
    let mut story = Story::new(required(2));
    story.ledger = Ledger::Hangs;
    // Far longer than the deadline of a call.
    story.run(secs(120));
    assert_eq!(seeds(&story), 0);
    assert_eq!(story.count(|did| matches!(did, Did::End(..))), 0);
    assert_eq!(story.state(0), PartitionState::Error, "it is late, and why");
    assert_eq!(story.unrecorded.len(), 2);
    story.ledger = Ledger::Works;
    record_all(&mut story);
    story.run(secs(1));
    assert_eq!((story.seeds(0).len(), story.seeds(1).len()), (1, 1));
    assert_eq!(lost(&story), (0, 0));
}

#[test]
fn a_seed_without_an_answer_is_a_fact() {
    let mut settings = required(2);
    settings.modules[0].concurrency = 1;
    let mut story = Story::new(settings);
    story.run(secs(5));
    story.seeding.insert(p(0), Call::CrashesWorker);
    story.run(secs(6));
    assert_eq!(lost(&story), (1, 1), "one waited for the other's call");
    story.seeding.clear();
    story.run(secs(60));
    assert_eq!(lost(&story), (1, 1));
    assert_eq!(intents(&story), seeds(&story) + 1);
}

#[test]
fn a_seed_that_is_not_wanted_any_more_is_dropped() {
    let mut story = Story::new(required(2));
    story.ledger = Ledger::Hangs;
    story.run(secs(5));
    story.settings.partitions[0].size = 32;
    story.reload();
    assert_eq!(lost(&story), (1, 0), "the size is another one");
    story.settings.partitions.remove(1);
    story.reload();
    assert_eq!(lost(&story), (2, 0), "the partition is gone");
    story.ledger = Ledger::Works;
    record_all(&mut story);
    story.run(secs(1));
    assert_eq!((intents(&story), seeds(&story)), (3, 1), "of the new size");
}

#[test]
fn another_mode_takes_effect_at_once() {
    let mut story = Story::new(required(2));
    story.ledger = Ledger::Hangs;
    story.run(secs(20));
    assert_eq!(seeds(&story), 0);
    story.settings.record_first = false;
    story.reload();
    story.run(secs(20));
    assert_eq!(story.seeds(0).len(), 2);
    record_all(&mut story);
    story.run(secs(10));
    assert_eq!(story.seeds(0).len(), 3);
}

#[test]
fn a_refused_seed_with_an_intent_is_refused_once() {
    let mut story = Story::new(required(1));
    story
        .seeding
        .insert(p(0), Call::Fails(TokenFault::SeedingRefused));
    story.run(secs(30));
    assert_eq!((intents(&story), seeds(&story)), (1, 1));
    assert_eq!(lost(&story), (0, 0));
}

#[test]
fn once_ends_with_a_reason_where_the_ledger_cannot_be_written() {
    for known_before in [true, false] {
        let mut story = Story::once(required(3));
        story.ledger = Ledger::Fails;
        if known_before {
            story.tell(Event::LedgerWritable(false));
        }
        while !story.engine.is_finished() {
            assert!(story.now().since_start() < secs(60), "it never ends");
            story.run(Duration::from_millis(10));
        }
        assert_eq!(seeds(&story), 0);
        for view in story.engine.partitions() {
            assert!(!view.seeded);
            let why = view.last_error.expect("it says why");
            assert!(why.contains("the ledger"), "{why}");
        }
    }
}

#[test]
fn once_seeds_each_partition_after_its_intent() {
    let mut story = Story::once(required(3));
    while !story.engine.is_finished() {
        assert!(story.now().since_start() < secs(60), "it never ends");
        story.run(Duration::from_millis(10));
    }
    assert_eq!((intents(&story), seeds(&story)), (3, 3));
}
