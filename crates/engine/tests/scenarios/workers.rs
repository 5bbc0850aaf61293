use std::collections::BTreeSet;
use std::time::Duration;

use qseed_engine::{
    CallEvent, Event, Fact, JobId, Next, PartitionFact, PartitionState, TokenFault, WorkerFact,
    WorkerId, WorkerRole,
};
use qseed_model::pins::PinAnswer;

use crate::story::{Call, Did, Login, Story, p, secs, tags, usual};

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
            Did::Seed(_, made_of) => Some(made_of.portions[0]),
            _ => None,
        })
        .collect();
    let distinct: BTreeSet<_> = requests.iter().map(|p| (p.request, p.offset)).collect();
    assert_eq!(distinct.len(), requests.len(), "no byte twice");
    let recovered = |fact: &Fact| matches!(fact, Fact::Worker(_, WorkerFact::Recovered));
    assert_eq!(story.news(recovered), 1);
}

#[test]
fn the_culprit_of_crashes_is_found_among_several_calls() {
    let mut settings = usual(8);
    settings.modules[0].concurrency = 8;
    let mut story = Story::new(settings);
    story.seeding.insert(p(3), Call::CrashesWorker);
    story.run(secs(120));
    let isolated: Vec<_> = story
        .news
        .iter()
        .filter_map(|fact| match fact {
            Fact::Partition(
                partition,
                PartitionFact::Moved {
                    to: WorkerRole::Quarantine,
                    ..
                },
            ) => Some(partition.id),
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
fn a_suspect_that_hangs_holds_up_only_other_suspects() {
    let mut settings = usual(20);
    settings.modules[0].concurrency = 4;
    let mut story = Story::new(settings);
    story.run(secs(15));
    story.seeding.insert(p(0), Call::Hangs);
    story.seeding.insert(p(3), Call::CrashesWorker);
    story.run(secs(300));
    // Calls of partitions 0, 3, 4 and 5 are in flight at the first crash.
    for number in 6..20 {
        let seeds = story.seeds(number);
        let gap = seeds.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(gap.is_some_and(|gap| gap <= 20), "{number}: {gap:?}");
        assert!(seeds.last() >= Some(&290), "{number}: {seeds:?}");
    }
    assert_eq!(story.quarantines(), 2);
}

#[test]
fn more_that_hang_than_there_are_call_slots_go_to_quarantine_together() {
    let mut settings = usual(14);
    settings.modules[0].concurrency = 8;
    for partition in &mut settings.partitions {
        partition.period = secs(1);
    }
    let mut story = Story::new(settings);
    story.run(secs(15));
    for number in 0..10 {
        story.seeding.insert(p(number), Call::Hangs);
    }
    story.run(secs(75));
    let since = story.now();
    story.run(secs(100));
    for number in 10..14 {
        let seeds = story.seeds_since(number, since);
        assert!(seeds >= 95, "{number}: {seeds}");
    }
}

#[test]
fn a_library_that_is_out_of_order_for_one_partition_puts_it_in_quarantine() {
    let mut story = Story::new(usual(3));
    story.run(secs(15));
    story.seeding.insert(p(0), Call::Fails(TokenFault::General));
    story.run(secs(300));
    let starts = story.count(|did| matches!(did, Did::Start(_)));
    assert_eq!(story.quarantines(), 1);
    assert!(starts >= 2);
    for number in 1..3 {
        assert_eq!(story.seeds(number).len(), 32, "undisturbed");
    }
}

#[test]
fn a_library_that_is_broken_for_all_restarts_the_worker_with_back_off() {
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
    assert!(story.engine.workers().count() <= 2);
    story.seeding.clear();
    let since = story.now();
    story.run(secs(90));
    for number in 0..50 {
        assert!(story.seeds_since(number, since) > 0);
    }
}

#[test]
fn a_module_that_is_busy_with_seeds_still_opens_a_partition() {
    let mut settings = usual(12);
    settings.modules[0].concurrency = 1;
    let mut story = Story::new(settings);
    story
        .opening
        .insert(p(11), Call::Fails(TokenFault::Missing));
    // 11 s of work for each period of 10 s.
    for busy in 0..11 {
        story.seeding.insert(p(busy), Call::WorksAfter(1));
    }
    story.run(secs(600));
    story.opening.clear();
    let since = story.now();
    story.run(secs(120));
    assert!(story.seeds_since(11, since) >= 5);
}

#[test]
fn openings_and_seeds_share_one_call_slot() {
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
    story.tell(Event::Call {
        worker: WorkerId(1),
        partition: p(1),
        event: CallEvent::Seeded {
            job: JobId(job),
            result: Ok(()),
        },
    });
    story.seeding.clear();
    story.run(secs(25));
    assert_eq!(story.seeds(1), [0, 10, 30, 40, 50]);
    assert!(story.seeds_since(0, killed) > 0);
}

/// Tells the engine what worker 1 says without having been asked.
fn says(story: &mut Story, events: Vec<Event>) {
    for event in events {
        assert!(!story.engine.expects(&event), "{event:?}");
        story.tell(event);
    }
}

fn killed(story: &Story) -> usize {
    story.count(|did| matches!(did, Did::End(_, true)))
}

#[test]
fn a_seed_is_answered_by_its_own_number_or_its_worker_is_killed() {
    let mut story = Story::new(usual(2));
    story.seeding.insert(p(0), Call::Hangs);
    story.run(secs(1));
    let (worker, partition, job) = (WorkerId(1), p(0), JobId(77));
    says(
        &mut story,
        vec![Event::Call {
            worker,
            partition,
            event: CallEvent::Seeded {
                job,
                result: Ok(()),
            },
        }],
    );
    story.seeded.clear();
    assert_eq!(killed(&story), 1);
    assert_eq!(
        story.news(|fact| matches!(
            fact,
            Fact::Worker(
                _,
                WorkerFact::Failed {
                    next: Next::RestartWorker,
                    ..
                }
            )
        )),
        1
    );
    story.seeding.clear();
    story.run(secs(15));
    for number in 0..2 {
        assert_eq!(story.state(number), PartitionState::Seeded);
        assert!(!story.seeds(number).is_empty(), "partition {number}");
    }
}

#[test]
fn a_worker_that_answers_for_partitions_that_it_was_not_asked_about_is_killed() {
    let mut settings = usual(2);
    settings.modules.push(qseed_engine::ModuleSettings {
        id: qseed_engine::ModuleId(1),
        ..settings.modules[0].clone()
    });
    settings.partitions[1].module = qseed_engine::ModuleId(1);
    let worker = WorkerId(1);
    let job = JobId(1);
    let failure = || qseed_engine::TokenFailure {
        fault: TokenFault::Missing,
        text: "it lies".to_owned(),
        returned: None,
    };
    // Of the neighbour's partition, of its own one without a call, of one that is not there.
    for partition in [p(1), p(0), p(9)] {
        for number in 0..5 {
            let mut story = Story::new(settings.clone());
            story.run(secs(5));
            let event = match number {
                0 => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::Opened(Ok(())),
                },
                1 => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::Opened(Err(failure())),
                },
                2 => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::Seeded {
                        job,
                        result: Ok(()),
                    },
                },
                3 => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::Seeded {
                        job,
                        result: Err(failure()),
                    },
                },
                _ => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::PinAsked {
                        ask: 1,
                        tags: tags(1),
                    },
                },
            };
            says(&mut story, vec![event]);
            assert_eq!(killed(&story), 1);
            story.seeded.clear();
            story.run(secs(20));
            assert_eq!(story.seeds(1), [10, 20], "the neighbour is not disturbed");
            assert!(!story.seeds(0).is_empty());
        }
    }
}

#[test]
fn one_call_asks_about_a_few_pins_at_most() {
    let mut story = Story::new(usual(1));
    story.opening.insert(p(0), Call::Hangs);
    story.run(secs(1));
    for number in 0..10 {
        story.logins.insert(
            p(0),
            Login {
                tags: tags(number),
                answer: PinAnswer::NotJudged,
                dies: false,
            },
        );
        story.tell(Event::Call {
            worker: WorkerId(1),
            partition: p(0),
            event: CallEvent::PinAsked {
                ask: number.into(),
                tags: tags(number),
            },
        });
    }
    assert_eq!(killed(&story), 1);
    assert!(story.count(|did| matches!(did, Did::Record(..))) <= 3);
}

#[test]
fn a_worker_that_floods_is_killed_and_comes_back_after_its_back_off() {
    let mut story = Story::new(usual(2));
    story.run(secs(5));
    for _ in 0..3 {
        story.tell(Event::WorkerMisbehaves {
            worker: WorkerId(1),
            text: "it floods".to_owned(),
        });
    }
    assert_eq!(killed(&story), 1);
    assert_eq!(story.state(0), PartitionState::ModuleDown);
    story.run(secs(15));
    assert_eq!(story.state(0), PartitionState::Seeded);
}
