use std::collections::BTreeSet;
use std::time::Duration;

use qseed_engine::announcer::Line;
use qseed_engine::{Event, JobId, PartitionState, TokenFault, WorkerId};

use crate::story::{Call, Did, Story, p, secs, usual};

#[test]
fn a_crash_spends_the_seed_and_the_worker_comes_back() {
    let mut story = Story::new(usual(1));
    story.run(secs(5));
    story.seeding.insert(p(0), Call::CrashesWorker);
    story.run(secs(8));
    assert_eq!(story.state(0), PartitionState::ModuleDown);
    story.seeding.clear();
    story.run(secs(90));
    assert_eq!(story.state(0), PartitionState::Seeded);
    let requests: Vec<_> = story
        .did
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Seed(_, made_of) => Some(made_of[0]),
            _ => None,
        })
        .collect();
    let distinct: BTreeSet<_> = requests.iter().map(|p| (p.request, p.offset)).collect();
    assert_eq!(distinct.len(), requests.len(), "no byte twice");
    assert_eq!(
        story.lines(|line| matches!(line, Line::WorkerRecovered { .. })),
        1
    );
}

#[test]
fn the_culprit_of_crashes_is_found_among_several_calls() {
    let mut settings = usual(8);
    settings.modules[0].concurrency = 8;
    let mut story = Story::new(settings);
    story.seeding.insert(p(3), Call::CrashesWorker);
    story.run(secs(120));
    let isolated: Vec<_> = story
        .lines
        .iter()
        .filter_map(|(_, line)| match line {
            Line::Isolated(partition) => Some(partition.id),
            _ => None,
        })
        .collect();
    assert_eq!(isolated, [p(3)]);
    let since = story.now();
    story.run(secs(200));
    for number in (0..8).filter(|number| *number != 3) {
        assert_eq!(story.seeds_since(number, since), 20);
    }
}

#[test]
fn one_that_finds_the_library_out_of_order_is_kept_apart_where_others_are_well() {
    let mut story = Story::new(usual(3));
    story.run(secs(15));
    story.seeding.insert(p(0), Call::Fails(TokenFault::General));
    story.run(secs(300));
    let starts = story.count(|did| matches!(did, Did::Start(_)));
    assert_eq!(story.lines(|line| matches!(line, Line::Isolated { .. })), 1);
    assert!(starts >= 2);
    for number in 1..3 {
        assert_eq!(story.seeds(number).len(), 32, "undisturbed");
    }
}

#[test]
fn where_the_library_is_out_of_order_for_all_the_worker_starts_anew_with_back_off() {
    let mut story = Story::new(usual(50));
    story.run(secs(100));
    for number in 0..50 {
        story
            .seeding
            .insert(p(number), Call::Fails(TokenFault::Module));
    }
    story.run(secs(600));
    let starts = story.count(|did| matches!(did, Did::Start(_)));
    assert!(starts < 250, "{starts} starts");
    assert!(story.engine.workers().count() <= 9);
    story.seeding.clear();
    let since = story.now();
    story.run(secs(90));
    for number in 0..50 {
        assert!(story.seeds_since(number, since) > 0);
    }
}

#[test]
fn openings_and_seeds_share_the_only_place() {
    let mut settings = usual(100);
    settings.modules[0].concurrency = 1;
    for partition in &mut settings.partitions {
        partition.period = secs(1);
    }
    let mut story = Story::new(settings);
    story.run(secs(30));
    assert!((0..100).all(|number| !story.seeds(number).is_empty()));
}

#[test]
fn what_a_worker_answered_just_before_it_was_killed_counts() {
    let mut story = Story::new(usual(2));
    story.seeding.insert(p(0), Call::Hangs);
    story.run(secs(15));
    story.seeding.insert(p(1), Call::Hangs);
    while story.count(|did| matches!(did, Did::End(_, true))) == 0 {
        story.run(Duration::from_micros(100));
    }
    let killed = story.now();
    let seeds = story.did.iter().filter_map(|(_, did)| match did {
        Did::Seed(partition, _) => Some(*partition),
        _ => None,
    });
    let (job, _) = (1..)
        .zip(seeds)
        .filter(|(_, id)| *id == p(1))
        .last()
        .expect("it was seeded");
    story.tell(Event::Seeded {
        worker: WorkerId(1),
        partition: p(1),
        job: JobId(job),
    });
    story.seeding.clear();
    story.run(secs(25));
    assert_eq!(story.seeds(1), [0, 10, 30, 40, 50]);
    assert!(story.seeds_since(0, killed) > 0);
}
