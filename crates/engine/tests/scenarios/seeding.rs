use std::time::Duration;

use qseed_engine::announcer::Summary;
use qseed_engine::{FetchFault, PartitionState};

use crate::story::{Did, Source, Story, p, s, secs, usual};

#[test]
fn a_partition_is_seeded_at_start_and_then_every_period() {
    let mut story = Story::new(usual(1));
    story.run(secs(45));
    assert_eq!(story.seeds(0), [0, 10, 20, 30, 40]);
    assert_eq!(story.state(0), PartitionState::Seeded);
}

#[test]
fn a_slow_source_makes_no_drift() {
    let mut story = Story::new(usual(1));
    story.sources.insert(s(0), Source::Delivers(400));
    story.run(secs(3600));
    let seeds = &story.seeded[&p(0)];
    assert_eq!(seeds.len(), 360);
    for (number, at) in (1_u64..).zip(&seeds[1..]) {
        let late = at.since(qseed_engine::Moment::new(secs(10 * number)));
        assert!(late < Duration::from_millis(402), "{late:?} late");
    }
}

#[test]
fn missed_periods_are_not_made_up_for() {
    let mut story = Story::new(usual(1));
    story.run(secs(5));
    let broken = Source::Fails(FetchFault::Transient, None);
    story.sources.insert(s(0), broken);
    story.run(secs(600));
    assert_eq!(story.state(0), PartitionState::WaitingForEntropy);
    story.sources.clear();
    let mended = story.now();
    story.run(secs(60));
    let seeds = &story.seeded[&p(0)][1..];
    assert!(
        seeds[0].since(mended) <= secs(60),
        "within one back-off step"
    );
    assert!(story.seeds_since(0, mended) <= 7, "{seeds:?}");
    story.run(secs(10));
    assert_eq!(story.state(0), PartitionState::Seeded);
    let last = story.seeds(0);
    assert_eq!(last[last.len() - 1] % 10, 0, "on the same grid as before");
}

#[test]
fn partitions_that_are_due_together_share_a_request() {
    let mut story = Story::new(usual(300));
    story.run(secs(95));
    assert_eq!(story.count(|did| matches!(did, Did::Ask(..))), 10);
    assert_eq!(story.seeds(299), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    assert_eq!(
        story.asked_since(story.now() - secs(10)),
        [(s(0), 48 * 300)]
    );
}

#[test]
fn a_prime_number_of_bytes_takes_a_request_more() {
    let mut settings = usual(1);
    settings.partitions[0].size = 65_521;
    let mut story = Story::new(settings);
    story.run(secs(5));
    assert_eq!(
        story.asked_since(qseed_engine::Moment::START),
        [(s(0), 65_024), (s(0), 497)]
    );
    assert_eq!(story.seeds(0), [0]);
}

#[test]
fn thousands_of_failures_and_recoveries_are_not_thousands_of_lines() {
    use crate::story::Call;
    use qseed_engine::TokenFault;
    let mut story = Story::new(usual(1000));
    story.run(secs(5));
    for number in 0..1000 {
        story
            .seeding
            .insert(p(number), Call::Fails(TokenFault::Device));
    }
    story.run(secs(20));
    assert!(story.failures() <= 100);
    let more = story.picked(|summary| match summary {
        Summary::MoreFailures { count } => Some(*count),
        _ => None,
    });
    assert!(more.count() >= 1);
    story.seeding.clear();
    story.run(secs(120));
    let recovered: Vec<usize> = story
        .picked(|summary| match summary {
            Summary::SeededAgain { partitions, .. } => Some(partitions.count),
            _ => None,
        })
        .collect();
    assert_eq!(recovered.iter().sum::<usize>(), 1000);
    assert!(recovered.len() <= 30);
    assert!((0..1000).all(|number| story.state(number) == PartitionState::Seeded));
}

#[test]
fn one_that_is_due_in_a_moment_shares_the_request() {
    let mut settings = usual(2);
    settings.partitions[1].period = Duration::from_millis(10_100);
    let mut story = Story::new(settings);
    story.run(secs(5));
    let since = story.now();
    story.run(secs(10));
    assert_eq!(story.asked_since(since), [(s(0), 96)]);
    assert_eq!((story.seeds(0), story.seeds(1)), (vec![0, 10], vec![0, 10]));
}
