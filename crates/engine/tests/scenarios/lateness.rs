use std::time::Duration;

use qseed_engine::announcer::Summary;
use qseed_engine::{Fact, FetchFault, PartitionState, Reserve, TokenFault};

use crate::story::{Call, Source, Story, p, s, secs, usual};

const OUT: Source = Source::Fails(FetchFault::Transient, None);

/// The partitions that each line about lateness counts.
fn late(story: &Story) -> Vec<usize> {
    let count = |summary: &Summary| match summary {
        Summary::Late { partitions, .. } => Some(partitions.count),
        _ => None,
    };
    story.picked(count).collect()
}

/// The partitions that each line about recoveries counts, and the longest gap.
fn again(story: &Story) -> Vec<(usize, Option<Duration>)> {
    let again = |summary: &Summary| match summary {
        Summary::SeededAgain {
            partitions, gap, ..
        } => Some((partitions.count, *gap)),
        _ => None,
    };
    story.picked(again).collect()
}

#[test]
fn a_partition_that_is_no_longer_seeded_is_announced_and_so_is_its_next_seed() {
    let mut story = Story::new(usual(1));
    story.run(secs(5));
    story.sources.insert(s(0), OUT);
    story.run(secs(112));
    let lines: Vec<_> = story
        .picked(|summary| match summary {
            Summary::Late { .. } => Some(summary.clone()),
            _ => None,
        })
        .collect();
    let [
        Summary::Late {
            unseeded, causes, ..
        },
    ] = &lines[..]
    else {
        panic!("once: {lines:?}");
    };
    assert_eq!(causes, &[(PartitionState::WaitingForEntropy, 1)]);
    let unseeded = unseeded.expect("it was seeded before");
    assert!(unseeded >= secs(15) && unseeded < secs(17), "{unseeded:?}");
    assert!(again(&story).is_empty());
    story.sources.clear();
    story.run(secs(70));
    let [(1, Some(gap))] = again(&story)[..] else {
        panic!("once: {:?}", again(&story));
    };
    assert!(gap >= secs(117) && gap <= secs(180), "{gap:?}");
}

#[test]
fn many_that_are_late_have_one_line() {
    let mut story = Story::new(usual(500));
    story.run(secs(5));
    story.sources.insert(s(0), OUT);
    story.run(secs(112));
    assert_eq!(late(&story), [500]);
    story.sources.clear();
    story.run(secs(70));
    assert_eq!(
        again(&story).iter().map(|(count, _)| count).sum::<usize>(),
        500
    );
    assert!(again(&story).len() <= 3, "{:?}", again(&story));
}

#[test]
fn partitions_that_are_late_again_and_again_for_a_day_have_a_handful_of_lines() {
    let mut story = Story::new(usual(3));
    for _ in 0..24 * 60 {
        story.sources.insert(s(0), OUT);
        story.run(secs(50));
        story.sources.clear();
        story.run(secs(10));
    }
    let lines = late(&story).len() + again(&story).len();
    assert!((4..=100).contains(&lines), "{lines}");
}

#[test]
fn one_that_comes_and_goes_does_not_delay_the_line_about_an_outage_of_all() {
    let mut story = Story::new(usual(20));
    for _ in 0..60 {
        story.seeding.insert(p(0), Call::Fails(TokenFault::Device));
        story.run(secs(50));
        story.seeding.clear();
        story.run(secs(70));
    }
    let before = late(&story).len();
    story.sources.insert(s(0), OUT);
    story.run(secs(30));
    let lines = late(&story)[before..].to_vec();
    assert!(lines.contains(&20), "{lines:?}");
}

#[test]
fn nothing_is_late_while_all_is_well() {
    let mut story = Story::new(usual(100));
    story.run(secs(3600));
    assert!(late(&story).is_empty() && again(&story).is_empty());
}

#[test]
fn a_partition_that_rests_for_good_is_not_announced_as_late() {
    let mut story = Story::new(usual(2));
    let refuses = Call::Fails(TokenFault::SeedingRefused);
    story.seeding.insert(p(0), refuses);
    story.run(secs(3600));
    assert!(late(&story).is_empty());
}

#[test]
fn a_partition_that_was_never_seeded_is_announced() {
    let mut story = Story::new(usual(1));
    story.sources.insert(s(0), OUT);
    story.run(secs(29));
    assert!(late(&story).is_empty());
    story.run(secs(5));
    assert_eq!(late(&story), [1]);
}

#[test]
fn an_empty_reserve_is_announced_once_an_outage() {
    let mut settings = usual(1);
    settings.reserve = Some(Reserve {
        cover: secs(60),
        max_age: secs(3600),
    });
    let mut story = Story::new(settings);
    let empty = |story: &Story| story.news(|fact| *fact == Fact::ReserveEmpty);
    story.run(secs(5));
    for outage in 1..3 {
        story.sources.insert(s(0), OUT);
        let seeds = story.seeds(0).len();
        story.run(secs(50));
        assert_eq!(empty(&story), outage - 1, "the reserve serves");
        assert_eq!(story.seeds(0).len(), seeds + 5);
        story.run(secs(300));
        assert_eq!(empty(&story), outage);
        story.sources.clear();
        story.run(secs(150));
    }
}
