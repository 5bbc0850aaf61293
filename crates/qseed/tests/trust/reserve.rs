//! The reserve rides out an outage, the oldest bytes first; and the start-up bytes come first of
//! all.

use qseed_entropy_service::{Fault, Log};
use serde_json::json;

use crate::stage::{
    SIZE, Stage, assert_in_order, delivered, event_of, events, good_answers, one_answer, source,
};
use crate::support::{PATIENCE, service, service_with};

#[test]
fn seeding_continues_from_the_reserve_until_it_is_empty() {
    let service = service();
    let stage = Stage::with_partitions(&[source("sim", &service)], 3)
        .with(|config| config["reserve"] = json!({ "cover": "10s" }));
    let target = 3 * 10 * SIZE;
    let qseed = stage.site.start();
    // What is held is what was delivered and not injected.
    let held = || delivered(&service).len() - stage.seeds().concat().len();
    let full = |log: &Log| {
        let good = log.served().iter().filter(|answer| answer.is_good());
        good.map(|answer| answer.blocks.total()).sum::<usize>() >= target
    };
    assert!(service.wait_for(full, PATIENCE), "no reserve is made");
    stage.wait_more_seeds(1);
    service.stop();
    let (before, held) = (stage.seeds().len(), held());
    assert!(
        (target / 2..=target + 3 * SIZE).contains(&held),
        "{held} of {target}"
    );
    let failed = event_of(&qseed, 0, "source-failed", "sim");
    println!("{held} bytes are held; {failed}");
    // Every byte of it is used. (Of the seed that does not fit any more, nothing.) An answer for one round
    // may have been lost on its way when the service stopped.
    let wanted = before + held / SIZE - 3;
    stage.token.wait(|record| {
        let seeds = (0..3).map(|number| crate::support::faulty::seeds_of(record, number));
        seeds.sum::<usize>() >= wanted
    });
    service.restart();
    event_of(&qseed, 0, "source-recovered", "sim");
    stage.wait_more_seeds(2);
    qseed.stop();
    let seeds = stage.seeds();
    crate::support::accounts::assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
}

#[test]
fn the_oldest_bytes_go_first() {
    let service = service();
    let stage = Stage::new(&[source("sim", &service)])
        .with(|config| config["reserve"] = json!({ "cover": "5s" }));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 4);
    service.stop();
    stage.wait_more_seeds(3);
    let known = stage.seeds().len();
    service.restart();
    event_of(&qseed, 0, "source-recovered", "sim");
    stage.wait_more_seeds(3);
    qseed.stop();
    assert!(stage.seeds().len() >= known + 3);
    // In the order in which they came, without a gap, through the outage and beyond.
    assert_in_order(&stage.seeds(), &delivered(&service));
}

/// A kibibyte would last for 21 seconds, but is used for four only.
#[test]
fn what_is_too_old_is_not_used() {
    let service = service();
    let mut old = source("sim", &service);
    old["type"] = json!("qrypt-kib");
    let stage = Stage::new(&[old])
        .with(|config| config["reserve"] = json!({ "cover": "4s", "max_age": "4s" }));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 1);
    service.stop();
    let before = stage.seeds().len();
    let held = delivered(&service).len() - before * SIZE;
    assert!(held > 10 * SIZE, "{held}");
    event_of(&qseed, 0, "source-failed", "sim");
    // The failure comes when the bytes are gone: what is left of them was wiped.
    let used = stage.seeds().len() - before;
    assert!(
        used <= 5,
        "{used} seeds are of bytes that were older than four seconds"
    );
    service.restart();
    event_of(&qseed, 0, "source-recovered", "sim");
    let known = stage.seeds();
    stage.wait_more_seeds(1);
    qseed.stop();
    let next = &stage.seeds()[known.len()];
    let wiped = service.log(|log| log.served()[0].blocks.joined());
    let found = wiped.windows(8).any(|window| window == &next[..8]);
    assert!(!found, "bytes of the first answer came back");
}

#[test]
fn the_first_seeds_are_made_of_the_start_up_bytes() {
    let service = service_with(one_answer());
    let mut careful = source("sim", &service);
    careful["startup_bytes"] = json!(1024);
    let stage = Stage::with_partitions(&[careful], 7);
    let qseed = stage.site.start();
    qseed.wait_pushed(14);
    let served = service.served();
    let first = served.first().expect("an answer");
    assert_eq!(first.blocks.total(), 1024, "all of them at once");
    assert_eq!(service.log(good_answers), 1, "and no other for two rounds");
    qseed.stop();
    let seeds = stage.seeds();
    crate::support::accounts::assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
}

#[test]
fn start_up_bytes_that_fail_a_check_are_asked_for_again() {
    let service = service();
    service.fault_next(Fault::Biased(60), 1);
    let mut careful = source("sim", &service);
    careful["startup_bytes"] = json!(2048);
    let stage = Stage::new(&[careful]);
    let qseed = stage.site.start();
    qseed.wait_pushed(2);
    let log = qseed.stop();
    assert_eq!(events(&log, "check-failed").len(), 1);
    let served = service.served();
    assert!(served[0].blocks.total() == 2048 && served[1].blocks.total() == 2048);
    assert_in_order(&stage.seeds(), &delivered(&service));
}
