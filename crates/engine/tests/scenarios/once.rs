//! `--once`: each partition is seeded once or given up.

use std::time::Duration;

use qseed_engine::{
    Event, Fact, FetchFault, Next, PartitionFact, PartitionState, SourceFact, TokenFault,
    WorkerFact, WorkerId,
};

use crate::story::{Call, Did, Source, Story, p, s, secs, usual};

/// Runs until nothing is left to do.
fn run_to_the_end(story: &mut Story) {
    while !story.engine.is_finished() {
        assert!(story.now().since_start() < secs(600), "it never ends");
        story.run(Duration::from_millis(10));
    }
}

fn promises(story: &Story) -> Vec<&Fact> {
    let promise = |fact: &&Fact| match fact {
        Fact::Partition(_, PartitionFact::Failed { next, .. })
        | Fact::Source(
            _,
            SourceFact::FetchFailed { next, .. } | SourceFact::DeliveryRejected { next, .. },
        )
        | Fact::Worker(_, WorkerFact::Failed { next, .. }) => *next != Next::GiveUp,
        _ => false,
    };
    story.news.iter().filter(promise).collect()
}

fn starts(story: &Story) -> usize {
    story.count(|did| matches!(did, Did::Start(_)))
}

#[test]
fn each_partition_is_seeded_once_while_another_hangs() {
    let mut settings = usual(3);
    for partition in &mut settings.partitions {
        partition.period = secs(1);
    }
    let mut story = Story::once(settings);
    story.seeding.insert(p(0), Call::Hangs);
    story.run(secs(20));
    assert!(!story.engine.is_finished());
    run_to_the_end(&mut story);
    assert_eq!((story.seeds(1).len(), story.seeds(2).len()), (1, 1));
    assert_eq!(story.state(0), PartitionState::ModuleHung);
    assert_eq!(promises(&story), Vec::<&Fact>::new());
    story.run(secs(200));
    assert_eq!(starts(&story), 1, "the worker is needed no more");
}

#[test]
fn a_neighbours_crash_leaves_no_partition_unseeded() {
    for culprits in [vec![0], vec![3], vec![2, 5, 7]] {
        for concurrency in [1, 2, 8] {
            let mut settings = usual(8);
            settings.modules[0].concurrency = concurrency;
            let mut story = Story::once(settings);
            for number in &culprits {
                story.seeding.insert(p(*number), Call::CrashesWorker);
            }
            run_to_the_end(&mut story);
            for number in 0..8 {
                let seeds = usize::from(!culprits.contains(&number));
                assert_eq!(story.seeds(number).len(), seeds, "{number} of {culprits:?}");
            }
            assert!(promises(&story).len() < starts(&story), "each retry came");
        }
    }
}

#[test]
fn what_failed_is_not_tried_again_and_no_retry_is_promised() {
    let mut story = Story::once(usual(3));
    story.opening.insert(p(0), Call::Fails(TokenFault::Missing));
    story.seeding.insert(p(1), Call::Fails(TokenFault::Module));
    run_to_the_end(&mut story);
    story.run(secs(100));
    assert_eq!(promises(&story), Vec::<&Fact>::new());
    assert_eq!(story.count(|did| *did == Did::Open(p(0))), 1);
    assert_eq!(story.seeds(2).len(), 1);

    let mut story = Story::once(usual(2));
    let away = Some(secs(1));
    story
        .sources
        .insert(s(0), Source::Fails(FetchFault::Transient, away));
    run_to_the_end(&mut story);
    story.run(secs(100));
    assert_eq!(story.count(|did| matches!(did, Did::Ask(..))), 1);
    assert_eq!(promises(&story), Vec::<&Fact>::new());
    assert_eq!(story.state(0), PartitionState::WaitingForEntropy);
}

#[test]
fn a_module_that_never_loads_is_given_up() {
    let mut story = Story::once(usual(2));
    let text = || "no such file".to_owned();
    let worker = WorkerId(1);
    story.tell(Event::WorkerFailed {
        worker,
        text: text(),
    });
    story.tell(Event::WorkerExited {
        worker,
        text: text(),
    });
    assert!(story.engine.is_finished());
    assert_eq!(promises(&story), Vec::<&Fact>::new());
    story.run(secs(100));
    assert_eq!(starts(&story), 1);

    // One that crashes as it loads may do so by chance.
    let mut story = Story::once(usual(2));
    for number in 1..=3 {
        assert!(!story.engine.is_finished());
        let worker = WorkerId(number);
        story.tell(Event::WorkerExited {
            worker,
            text: text(),
        });
        let before = starts(&story);
        while starts(&story) == before && !story.engine.is_finished() {
            story.run(Duration::from_millis(1));
        }
    }
    assert!(story.engine.is_finished());
    assert_eq!(starts(&story), 3);
    assert!(promises(&story).len() < 3);
}
