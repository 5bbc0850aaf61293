use std::time::Duration;

use qseed_engine::announcer::Summary;
use qseed_engine::checks::Check;
use qseed_engine::{
    Combine, Event, Fact, FetchFault, Limits, Moment, PartitionState, Rate, RequestId, Reserve,
    SourceFact,
};

use crate::story::{Did, Source, Story, fetch_failed, s, secs, source, usual};

const BROKEN: Source = Source::Fails(FetchFault::Transient, None);

fn two_sources(combine: Combine) -> qseed_engine::Settings {
    let mut settings = usual(4);
    settings.sources.push(source(1));
    settings.combine = combine;
    settings
}

#[test]
fn the_second_source_takes_over_and_the_first_one_comes_back() {
    let mut story = Story::new(two_sources(Combine::Failover));
    story.run(secs(5));
    story.sources.insert(s(0), BROKEN);
    story.run(secs(100));
    assert_eq!(story.seeds(3).len(), 11, "no seed was missed");
    story.sources.clear();
    story.run(secs(120));
    let last = story.now();
    story.run(secs(30));
    let asked = story.asked_since(last);
    assert!(asked.iter().all(|(source, _)| *source == s(0)), "{asked:?}");
}

#[test]
fn a_source_that_failed_is_tried_with_a_seed_s_bytes() {
    let mut story = Story::new(two_sources(Combine::Failover));
    story.sources.insert(s(0), Source::Hangs);
    story.run(secs(30));
    let since = story.now();
    story.run(secs(300));
    let asked = story.asked_since(since);
    let mut tries = asked.iter().filter(|(source, _)| *source == s(0));
    assert!(tries.clone().count() > 3);
    assert!(tries.all(|(_, bytes)| *bytes == 48), "{asked:?}");
}

#[test]
fn what_one_source_is_bringing_is_not_asked_of_another() {
    let mut story = Story::new(two_sources(Combine::Failover));
    story.sources.insert(s(0), BROKEN);
    story.sources.insert(s(1), Source::Delivers(3000));
    story.run(secs(105));
    // The first one recovers while the second one is bringing everything.
    story.sources.insert(s(0), Source::Delivers(5));
    let since = story.now();
    story.run(secs(200));
    let mut sums = std::collections::BTreeMap::<u64, usize>::new();
    for (at, did) in &story.did {
        if let Did::Ask(_, bytes) = did
            && *at >= since
        {
            *sums.entry(at.since_start().as_secs() / 10).or_default() += bytes;
        }
    }
    assert!(sums.values().all(|sum| *sum <= 5 * 48), "{sums:?}");
}

#[test]
fn retry_after_is_obeyed() {
    let mut story = Story::new(usual(1));
    let busy = Source::Fails(FetchFault::Transient, Some(secs(120)));
    story.sources.insert(s(0), busy);
    story.run(secs(119));
    assert_eq!(story.asked_since(Moment::START).len(), 1);
    story.sources.clear();
    story.run(secs(3));
    assert_eq!(story.seeds(0), [120]);
}

#[test]
fn a_pause_of_more_than_an_hour_is_cut_and_the_log_says_so() {
    let mut story = Story::new(usual(1));
    let busy = Source::Fails(FetchFault::Transient, Some(secs(1_000_000)));
    story.sources.insert(s(0), busy);
    story.run(secs(10));
    let cut = |fact: &Fact| match fact {
        Fact::Source(_, SourceFact::FetchFailed { failure, .. }) => {
            failure.text.ends_with("qseed waits for one hour at most")
        }
        _ => false,
    };
    assert_eq!(story.news(cut), 1);
    story.sources.clear();
    story.run(secs(3600));
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn a_refused_token_is_tried_every_five_minutes_and_at_once_when_it_changes() {
    let mut story = Story::new(usual(1));
    story
        .sources
        .insert(s(0), Source::Fails(FetchFault::Refused, None));
    story.run(secs(640));
    assert_eq!(story.asked_since(Moment::START).len(), 3);
    story.sources.clear();
    story.tell(Event::SourceSecretChanged(s(0)));
    story.run(secs(1));
    assert_eq!(story.seeds(0), [640]);
}

#[test]
fn a_secret_that_changes_while_a_request_is_on_its_way_is_tried_at_once() {
    let mut story = Story::new(usual(1));
    story.sources.insert(s(0), Source::Hangs);
    story.run(secs(5));
    // The request that is on its way bears the old secret.
    story.tell(Event::SourceSecretChanged(s(0)));
    story.sources.clear();
    story.tell(fetch_failed(RequestId(1), FetchFault::Refused, 1, true));
    story.run(secs(1));
    assert_eq!(story.seeds(0), [5]);
}

#[test]
fn a_new_secret_that_is_refused_is_sent_once() {
    let mut story = Story::new(usual(1));
    let refused = Source::Fails(FetchFault::Refused, None);
    story.sources.insert(s(0), refused);
    story.run(secs(5));
    story.sources.insert(s(0), Source::Hangs);
    // The request that leaves now bears the new secret, and the file's change is noticed again.
    story.tell(Event::SourceSecretChanged(s(0)));
    story.tell(Event::SourceSecretChanged(s(0)));
    story.sources.insert(s(0), refused);
    story.tell(fetch_failed(RequestId(2), FetchFault::Refused, 1, false));
    story.run(secs(200));
    assert_eq!(story.asked_since(Moment::START).len(), 2);
}

#[test]
fn equal_streams_are_a_fault_under_xor() {
    for size in [8, 48] {
        let mut settings = two_sources(Combine::Xor);
        for partition in &mut settings.partitions {
            partition.size = size;
        }
        let mut story = Story::new(settings);
        story.sources.insert(s(0), Source::Repeats(7));
        story.sources.insert(s(1), Source::Repeats(7));
        story.run(secs(9));
        assert_eq!(story.seeds(0).len(), 0, "seeds of {size} bytes");
        let found = story.news(|fact| {
            matches!(
                fact,
                Fact::Source(
                    _,
                    SourceFact::DeliveryRejected {
                        check: Check::OtherSource,
                        ..
                    }
                )
            )
        });
        assert!(found > 0, "seeds of {size} bytes");
    }
}

#[test]
fn another_source_serves_while_the_first_one_waits_for_its_rate_limit() {
    let mut settings = two_sources(Combine::Failover);
    settings.sources[0].rate_limit = Some(Rate {
        requests: 3,
        per: secs(10),
    });
    for partition in &mut settings.partitions {
        partition.period = secs(1);
    }
    let mut story = Story::new(settings);
    story.run(Duration::from_millis(26_500));
    assert_eq!(story.seeds(0).len(), 27);
    let asked = story.asked_since(Moment::START);
    let of = |number| asked.iter().filter(move |(source, _)| *source == s(number));
    assert!((6..=9).contains(&of(0).count()), "{asked:?}");
    assert!(of(1).count() >= 18, "{asked:?}");
}

#[test]
fn a_new_configuration_does_not_end_the_pause_that_a_service_asked_for() {
    let mut story = Story::new(usual(1));
    let busy = Source::Fails(FetchFault::Transient, Some(secs(120)));
    story.sources.insert(s(0), busy);
    story.run(secs(5));
    story.reload();
    story.run(secs(100));
    assert_eq!(story.asked_since(Moment::START).len(), 1);
    story.sources.clear();
    story.run(secs(20));
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn other_settings_of_a_source_do_not_end_that_pause_but_another_service_does() {
    let mut story = Story::new(usual(1));
    let busy = Source::Fails(FetchFault::Transient, Some(secs(120)));
    story.sources.insert(s(0), busy);
    story.run(secs(5));
    story.settings.sources[0].revision += 1;
    story.reload();
    story.run(secs(50));
    assert_eq!(story.asked_since(Moment::START).len(), 1);
    story.settings.sources[0].revision += 1;
    story.settings.sources[0].service += 1;
    story.reload();
    story.run(secs(1));
    assert_eq!(story.asked_since(Moment::START).len(), 2);
}

#[test]
fn a_delivery_that_fails_a_check_is_dropped_and_the_next_one_serves() {
    let mut story = Story::new(usual(1));
    story.sources.insert(s(0), Source::Lies);
    story.run(secs(3));
    assert_eq!(story.seeds(0).len(), 0);
    let rejected =
        |fact: &Fact| matches!(fact, Fact::Source(_, SourceFact::DeliveryRejected { .. }));
    assert!(story.news(rejected) >= 1);
    story.sources.clear();
    story.run(secs(61));
    assert!(!story.seeds(0).is_empty());
}

#[test]
fn a_seed_records_whether_the_kernel_was_mixed_in() {
    let mut story = Story::new(usual(1));
    story.run(secs(15));
    story.settings.mix_local = true;
    story.reload();
    story.run(secs(10));
    let mixed: Vec<bool> = story
        .did
        .iter()
        .filter_map(|(_, did)| match did {
            Did::Seed(_, made_of) => Some(made_of.mix_local),
            _ => None,
        })
        .collect();
    assert_eq!(mixed, [false, false, true]);
    let mixed = story.picked(|summary| match summary {
        Summary::Composition { mix_local, .. } => Some(*mix_local),
        _ => None,
    });
    assert_eq!(mixed.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn xor_takes_as_much_from_each_and_stops_when_one_is_missing() {
    let mut story = Story::new(two_sources(Combine::Xor));
    story.run(secs(5));
    let Some((_, Did::Seed(_, made_of))) = story
        .did
        .iter()
        .find(|(_, did)| matches!(did, Did::Seed(..)))
    else {
        panic!("nothing was seeded");
    };
    let sources: Vec<_> = made_of
        .portions
        .iter()
        .map(|portion| (portion.source, portion.bytes))
        .collect();
    assert_eq!(sources, [(s(0), 48), (s(1), 48)]);
    story.sources.insert(s(1), BROKEN);
    story.run(secs(100));
    assert_eq!(story.seeds(0), [0]);
    assert_eq!(story.state(0), PartitionState::WaitingForEntropy);
    story.sources.clear();
    story.run(secs(61));
    assert!(story.seeds(0).len() > 1);
}

#[test]
fn start_up_bytes_are_checked_first_and_then_used() {
    let mut settings = usual(1);
    settings.sources[0].startup_bytes = 1024;
    settings.sources[0].limits = Limits {
        min_size: 1,
        max_size: 512,
        min_count: 1,
        max_count: 1,
    };
    let mut story = Story::new(settings);
    story.run(secs(1));
    assert_eq!(story.asked_since(Moment::START), [(s(0), 512), (s(0), 512)]);
    story.run(secs(200));
    assert_eq!(
        story.asked_since(Moment::START).len(),
        2,
        "they are the first seeds' bytes"
    );
    assert_eq!(story.seeds(0).len(), 21);
}

#[test]
fn the_older_interface_s_kibibyte_serves_the_next_seeds() {
    let mut settings = usual(1);
    settings.sources[0].limits = Limits::QRYPT_KIB;
    let mut story = Story::new(settings);
    story.run(secs(205));
    assert_eq!(story.seeds(0).len(), 21);
    assert_eq!(story.asked_since(Moment::START), [(s(0), 1024)]);
}

#[test]
fn the_reserve_rides_out_an_outage() {
    let mut settings = usual(3);
    settings.reserve = Some(Reserve {
        cover: secs(600),
        max_age: secs(3600),
    });
    let mut story = Story::new(settings);
    story.run(secs(25));
    story.sources.insert(s(0), BROKEN);
    story.run(secs(500));
    assert_eq!(story.seeds(2).len(), 53, "no seed was missed");
    let view = story.engine.sources().next().expect("it is configured");
    assert!(view.reserved <= 3 * 60 * 48);
}

#[test]
fn the_reserve_is_wiped_when_it_is_too_old() {
    let mut settings = usual(1);
    settings.partitions[0].period = secs(3600);
    settings.reserve = Some(Reserve {
        cover: secs(36_000),
        max_age: secs(600),
    });
    let mut story = Story::new(settings);
    story.run(secs(60));
    let reserved = |story: &Story| story.engine.sources().next().expect("configured").reserved;
    assert!((420..=480).contains(&reserved(&story)));
    story.sources.insert(s(0), BROKEN);
    story.run(secs(600));
    assert_eq!(reserved(&story), 0);
}

#[test]
fn with_a_reserve_too_the_first_source_comes_back() {
    let mut settings = two_sources(Combine::Failover);
    settings.reserve = Some(Reserve {
        cover: secs(60),
        max_age: secs(600),
    });
    let mut story = Story::new(settings);
    story.sources.insert(s(0), BROKEN);
    story.run(secs(300));
    story.sources.clear();
    story.run(secs(300));
    let since = story.now();
    story.run(secs(200));
    let asked = story.asked_since(since);
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(source, _)| *source == s(0)), "{asked:?}");
}

#[test]
fn refilling_the_reserve_delays_no_seed() {
    for requests in [1, 2, 3] {
        let mut settings = usual(2);
        settings.sources[0].rate_limit = Some(Rate {
            requests,
            per: secs(20),
        });
        settings.partitions[1].period = secs(300);
        settings.reserve = Some(Reserve {
            cover: secs(3600),
            max_age: secs(7200),
        });
        settings.partitions[0].period = secs(60);
        let mut story = Story::new(settings);
        story.run(secs(3599));
        assert_eq!(story.seeds(0).len(), 60, "{requests} requests in 20 s");
        let late = story.seeded.values().flatten().skip(2).map(|at| {
            let since_grid = at.since_start().as_millis() % 60_000;
            Duration::from_millis(u64::try_from(since_grid).expect("a minute"))
        });
        assert!(
            late.max().is_some_and(|late| late < secs(1)),
            "{requests} requests in 20 s"
        );
        let view = story.engine.sources().next().expect("it is configured");
        assert!(view.reserved > 48 * 50, "{} bytes", view.reserved);
    }
}

#[test]
fn sources_that_take_turns_have_a_line_a_minute_at_most() {
    let mut story = Story::new(two_sources(Combine::Failover));
    for _ in 0..120 {
        story.sources.insert(s(0), BROKEN);
        story.run(secs(15));
        story.sources.clear();
        story.run(secs(75));
    }
    let changes = |story: &Story| {
        let is_change = |summary: &Summary| matches!(summary, Summary::Composition { .. });
        story
            .picked(|summary| is_change(summary).then_some(()))
            .count()
    };
    let lines = changes(&story);
    assert!((5..=185).contains(&lines), "{lines}");
}
