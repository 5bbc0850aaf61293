use std::time::Duration;

use qseed_engine::{CallEvent, Event, PartitionState, TokenFault, WorkerId};

use crate::story::{Call, DEADLINE, Did, Story, p, secs, usual};

#[test]
fn a_token_that_takes_no_seeds_rests_and_is_logged_once() {
    let mut story = Story::new(usual(2));
    story
        .seeding
        .insert(p(0), Call::Fails(TokenFault::SeedingRefused));
    story.run(secs(7 * 3600 - 60));
    assert_eq!(
        story.count(|did| matches!(did, Did::Seed(id, _) if *id == p(0))),
        7
    );
    assert_eq!(story.failures(), 1);
    assert_eq!(story.state(0), PartitionState::SeedingRefused);
    assert_eq!(story.seeds(1).len(), 6 * 360 + 354);
    // It is looked at again when the configuration is read again.
    story.seeding.clear();
    let since = story.now();
    story.reload();
    story.run(secs(1));
    assert_eq!(story.seeds_since(0, since), 1);
}

/// A neighbour's crash does not end the rest of a token that takes no seeds.
#[test]
fn a_token_that_takes_no_seeds_rests_while_its_worker_restarts() {
    let mut story = Story::new(usual(2));
    story
        .seeding
        .insert(p(0), Call::Fails(TokenFault::SeedingRefused));
    for _ in 0..5 {
        story.run(secs(120));
        story.seeding.insert(p(1), Call::CrashesWorker);
        story.run(secs(10));
        story.seeding.remove(&p(1));
    }
    story.run(secs(60));
    let seeds = story.count(|did| matches!(did, Did::Seed(id, _) if *id == p(0)));
    assert_eq!(seeds, 1);
}

/// While a call waits for another one of its worker, it takes no time of the module.
#[test]
fn a_call_that_waits_is_not_slow() {
    let mut story = Story::new(usual(2));
    story
        .opening
        .insert(p(0), Call::FailsSlowly(TokenFault::Missing));
    let (worker, partition) = (WorkerId(1), p(0));
    for tries in 1..5 {
        while story.count(|did| *did == Did::Open(partition)) < tries {
            story.run(Duration::from_millis(100));
        }
        story.tell(Event::Call {
            worker,
            partition,
            event: CallEvent::Waits,
        });
        story.run(secs(20));
    }
    assert_eq!(story.engine.workers().count(), 1);
}

#[test]
fn a_seed_that_failed_is_spent() {
    let mut story = Story::new(usual(1));
    story.seeding.insert(p(0), Call::Fails(TokenFault::Device));
    story.run(secs(100));
    let mut portions: Vec<_> = story
        .did
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Seed(_, made_of) => Some(made_of.portions.clone()),
            _ => None,
        })
        .flatten()
        .map(|portion| (portion.request, portion.offset))
        .collect();
    let seeds = portions.len();
    assert!(seeds > 3);
    portions.dedup();
    assert_eq!(portions.len(), seeds);
}

#[test]
fn a_token_that_comes_back_is_found() {
    let mut story = Story::new(usual(2));
    story.opening.insert(p(0), Call::Fails(TokenFault::Missing));
    story.run(secs(1000));
    assert_eq!(story.state(0), PartitionState::TokenMissing);
    assert_eq!(story.seeds(1).len(), 100);
    assert_eq!(story.count(|did| matches!(did, Did::Start(_))), 1);
    story.opening.clear();
    let since = story.now();
    story.run(secs(61));
    assert!(story.seeds_since(0, since) > 0);
}

#[test]
fn if_every_token_is_missing_the_worker_restarts() {
    let mut story = Story::new(usual(2));
    for number in 0..2 {
        story
            .opening
            .insert(p(number), Call::Fails(TokenFault::Missing));
    }
    story.run(secs(600));
    let starts = story.count(|did| matches!(did, Did::Start(_)));
    assert!((5..=10).contains(&starts), "{starts} times");
}

#[test]
fn one_that_fails_slowly_delays_no_other() {
    for concurrency in [1, 2, 4] {
        let mut settings = usual(4);
        settings.modules[0].concurrency = concurrency;
        let mut story = Story::new(settings);
        story
            .opening
            .insert(p(0), Call::FailsSlowly(TokenFault::Device));
        story.run(secs(200));
        let since = story.now();
        story.run(secs(1000));
        for number in 1..4 {
            assert_eq!(
                story.seeds_since(number, since),
                100,
                "partition {number} at {concurrency} calls at once"
            );
        }
    }
}

#[test]
fn several_that_fail_slowly_do_not_take_every_call_slot() {
    for seeding in [false, true] {
        let mut story = Story::new(usual(12));
        for number in 0..8 {
            let calls = if seeding {
                &mut story.seeding
            } else {
                &mut story.opening
            };
            calls.insert(p(number), Call::FailsSlowly(TokenFault::Device));
        }
        story.run(secs(200));
        let since = story.now();
        story.run(secs(1000));
        for number in 8..12 {
            let seeded = &story.seeded[&p(number)];
            let mut late = seeded.iter().filter(|at| **at >= since);
            assert!(late.all(|at| at.since_start().as_secs().is_multiple_of(10)));
            assert_eq!(story.seeds_since(number, since), 100);
        }
    }
}

/// Each seed of ten tokens out of twelve takes 20 s, for a period of 60 s, at a module that makes
/// one call at a time: they have its time while the others do not want it.
#[test]
fn slow_partitions_share_a_worker_that_makes_one_call_at_a_time() {
    let mut settings = usual(12);
    settings.modules[0].concurrency = 1;
    for partition in &mut settings.partitions {
        partition.period = secs(60);
    }
    let mut story = Story::new(settings);
    for slow in 0..10 {
        story.seeding.insert(p(slow), Call::WorksAfter(20));
    }
    story.run(secs(600));
    let since = story.now();
    story.run(secs(7200));
    for healthy in [10, 11] {
        let late = |at: &u64| at % 60 > 20;
        let seeds = story.seeds(healthy);
        let all_late: Vec<_> = seeds
            .into_iter()
            .filter(|at| *at > 600 && late(at))
            .collect();
        assert_eq!(all_late, Vec::<u64>::new(), "{healthy}");
        assert!(story.seeds_since(healthy, since) >= 119, "{healthy}");
    }
    // 200 s of work for each period of 60 s: the slow worker is never idle, and each partition gets its share.
    let seeds: Vec<_> = (0..10).map(|slow| story.seeds_since(slow, since)).collect();
    assert!(seeds.iter().sum::<usize>() >= 355, "{seeds:?}");
    assert!(seeds.iter().all(|seeds| *seeds >= 25), "{seeds:?}");
}

/// A module that is busy all the time with healthy partitions still serves one that is slow.
#[test]
fn one_that_takes_its_seeds_slowly_does_not_starve() {
    let mut settings = usual(12);
    settings.modules[0].concurrency = 1;
    let mut story = Story::new(settings);
    // 11 s of work for each period of 10 s, none of it slow enough to be doubtful.
    for busy in 0..11 {
        story.seeding.insert(p(busy), Call::WorksAfter(1));
    }
    story.seeding.insert(p(11), Call::WorksAfter(5));
    story.run(secs(3600));
    assert!(
        story.seeds(11).len() >= 3600 / 25,
        "{}",
        story.seeds(11).len()
    );
    for busy in 0..11 {
        assert!(
            story.seeds(busy).len() >= 3600 / 20,
            "{}",
            story.seeds(busy).len()
        );
    }
}

#[test]
fn a_token_that_hangs_goes_to_quarantine_and_comes_back() {
    let mut story = Story::new(usual(4));
    story.seeding.insert(p(0), Call::Hangs);
    story.run(3 * DEADLINE + secs(10));
    assert_eq!(story.quarantines(), 1);
    let since = story.now();
    story.run(secs(3000));
    for number in 1..4 {
        assert_eq!(story.seeds_since(number, since), 300);
    }
    assert_eq!(story.state(0), PartitionState::ModuleHung);
    story.seeding.clear();
    story.run(secs(2 * 3600));
    assert_eq!(story.state(0), PartitionState::Seeded);
    assert_eq!(story.engine.workers().count(), 1, "back with the others");
    let since = story.now();
    story.run(secs(100));
    assert_eq!(story.seeds_since(0, since), 10);
}

#[test]
fn two_that_hang_together_are_found_both() {
    let mut settings = usual(8);
    settings.modules[0].concurrency = 8;
    let mut story = Story::new(settings);
    story.seeding.insert(p(2), Call::Hangs);
    story.seeding.insert(p(5), Call::Hangs);
    story.run(secs(400));
    assert_eq!(story.quarantines(), 2);
    let since = story.now();
    story.run(secs(100));
    assert_eq!(story.seeds_since(0, since), 10);
}

#[test]
fn one_call_that_takes_long_moves_nobody() {
    let mut story = Story::new(usual(4));
    story.run(secs(25));
    story.seeding.insert(p(0), Call::WorksAfter(5));
    story.run(secs(10));
    story.seeding.clear();
    story.run(secs(3600));
    assert_eq!(story.engine.workers().count(), 1);
}

/// Where all is in trouble at once, that is the module's trouble: nobody is moved for it.
#[test]
fn an_outage_of_the_whole_module_moves_nobody() {
    for (how, opening_too) in [
        (Call::Hangs, true),
        (Call::CrashesWorker, true),
        (Call::FailsSlowly(TokenFault::Device), true),
        (Call::Fails(TokenFault::Module), true),
        (Call::WorksAfter(3), false),
    ] {
        for concurrency in [1, 4] {
            let mut settings = usual(8);
            settings.modules[0].concurrency = concurrency;
            let mut story = Story::new(settings);
            story.run(secs(25));
            for number in 0..8 {
                story.seeding.insert(p(number), how);
                if opening_too {
                    story.opening.insert(p(number), how);
                }
            }
            story.run(secs(3600));
            assert_eq!(story.engine.workers().count(), 1, "{how:?}");
        }
    }
}

/// A partition whose seeds take long is in no trouble: it shares no worker with one that is.
#[test]
fn one_that_takes_its_seeds_slowly_is_not_delayed_by_one_that_hangs() {
    for concurrency in [1, 4] {
        let mut settings = usual(4);
        settings.modules[0].concurrency = concurrency;
        let mut story = Story::new(settings);
        story.seeding.insert(p(0), Call::WorksAfter(3));
        story.seeding.insert(p(1), Call::Hangs);
        story.run(secs(600));
        let since = story.now();
        story.run(secs(600));
        for number in [0, 2, 3] {
            assert_eq!(story.seeds_since(number, since), 60, "{number}");
        }
    }
}

/// In quarantine too, one that is well again does not wait for one that hangs again and again.
#[test]
fn one_that_is_well_again_is_seeded_beside_one_that_hangs() {
    let mut settings = usual(6);
    settings.modules[0].concurrency = 1;
    let mut story = Story::new(settings);
    for number in 0..4 {
        story.seeding.insert(p(number), Call::Hangs);
    }
    story.run(secs(1800));
    assert_eq!(story.quarantines(), 4);
    story.seeding.remove(&p(3));
    let since = story.now();
    story.run(secs(300));
    assert!(
        story.seeds_since(3, since) >= 3,
        "{:?}",
        story.seeds_since(3, since)
    );
}

#[test]
fn one_that_is_well_again_is_seeded_beside_one_that_crashes() {
    for concurrency in [1, 8] {
        let mut settings = usual(4);
        settings.modules[0].concurrency = concurrency;
        let mut story = Story::new(settings);
        for number in 0..2 {
            story.opening.insert(p(number), Call::CrashesWorker);
            story.seeding.insert(p(number), Call::CrashesWorker);
        }
        story.run(secs(1800));
        assert_eq!(story.quarantines(), 2);
        story.opening.remove(&p(1));
        story.seeding.remove(&p(1));
        story.run(secs(120));
        let since = story.now();
        story.run(secs(600));
        let seeds = story.seeds_since(1, since);
        assert!(seeds >= 8, "{seeds} with {concurrency} calls at once");
    }
}

#[test]
fn an_outage_of_every_token_does_not_become_as_many_processes() {
    for how in [
        Call::Hangs,
        Call::CrashesWorker,
        Call::Fails(TokenFault::Module),
        Call::FailsSlowly(TokenFault::Device),
    ] {
        for concurrency in [1, 4] {
            let mut settings = usual(100);
            settings.modules[0].concurrency = concurrency;
            let mut story = Story::new(settings);
            story.run(secs(5));
            for number in 0..100 {
                story.seeding.insert(p(number), how);
                story.opening.insert(p(number), how);
            }
            story.run(secs(4 * 3600));
            assert!(story.engine.workers().count() <= 2, "{how:?}");
            story.seeding.clear();
            story.opening.clear();
            let since = story.now();
            story.run(secs(180));
            for number in 0..100 {
                assert!(
                    story.seeds_since(number, since) > 0,
                    "partition {number} after {how:?} with {concurrency} calls at once"
                );
            }
        }
    }
}
