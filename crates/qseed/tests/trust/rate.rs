//! The rate limit, as the service counts.

use std::time::Duration;

use qseed_entropy_service::{EntropyService, Fault, Options, RateLimit};
use serde_json::{Value, json};

use crate::stage::{Stage, assert_in_order, delivered, events, reload, source};
use crate::support::accounts::assert_delivered_once;
use crate::support::faulty::seeds_of;
use crate::support::{ACCESS_TOKEN, PATIENCE, for_each_case};

const PARTITIONS: u32 = 200;
const REQUESTS: u32 = 5;
const WINDOW: Duration = Duration::from_secs(2);

/// A service that takes no more than the limit, and says 429 to what is beyond.
fn limited() -> EntropyService {
    let limit = RateLimit::new(REQUESTS, WINDOW);
    let options = Options::default()
        .tls()
        .token(ACCESS_TOKEN)
        .rate_limit(limit);
    EntropyService::spawn(options).expect("a service")
}

/// Waits until each partition has been seeded so often.
fn each_has(stage: &Stage, wanted: usize) {
    stage.token.wait_within(PATIENCE, |record| {
        let seeds = |number| seeds_of(record, number);
        (0..PARTITIONS).all(|number| seeds(number) >= wanted)
    });
}

#[test]
fn two_hundred_partitions_of_mixed_periods_stay_within_the_limit() {
    let service = limited();
    // The interface that asks for more than entropy: its capabilities count as well.
    let mut lab = source("lab", &service);
    lab["type"] = json!("qrng-open-api");
    lab["url"] = json!(service.open_api_url());
    lab["rate_limit"] = json!("5/2s");
    let mut stage = Stage::with_partitions(&[lab], PARTITIONS).with(|config| {
        for (number, partition) in (0..).zip(config["partitions"].as_array_mut().expect("a list")) {
            partition["period"] = json!(format!("{}s", 1 + number % 5));
        }
    });
    let qseed = stage.site.start();
    each_has(&stage, 1);
    // What makes a client send more: connections that were closed meanwhile, refusals, losses.
    service.fault_next(Fault::StaleClose, 3);
    service.fault_next(Fault::status(500), 2);
    service.fault_next(Fault::CloseUnanswered, 2);
    each_has(&stage, 2);
    // Or one that begins anew: the limit holds across a reload.
    stage.change(|config| config["sources"][0]["timeout"] = json!("6s"));
    reload(&qseed);
    each_has(&stage, 3);
    qseed.stop();
    let most = service.log(|log| log.most_requests_within(WINDOW));
    println!(
        "{} requests, at most {most} in 2 s",
        service.requests().len()
    );
    assert!(
        most <= REQUESTS as usize,
        "{most} requests within {WINDOW:?}"
    );
    assert!(most >= 3, "the limit was not even near");
    assert!(service.served().iter().all(|answer| answer.status != 429));
    let seeds = stage.seeds();
    assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
}

/// One partition would like more than is allowed: it gets what there is, and no 429 comes, also
/// where the service's limits have to be asked for first.
#[test]
fn a_period_below_the_limit_is_slowed_down() {
    for_each_case(&["qrypt", "qrng-open-api"], 2, |kind| {
        let limit = RateLimit::new(1, Duration::from_secs(3));
        let options = Options::default().tls().token(ACCESS_TOKEN);
        let service = EntropyService::spawn(options.rate_limit(limit)).expect("a service");
        let mut slow = source("slow", &service);
        slow["rate_limit"] = json!("1/3s");
        slow["type"] = json!(kind);
        if *kind == "qrng-open-api" {
            slow["url"] = json!(service.open_api_url());
        }
        let stage = Stage::new(&[slow]);
        let qseed = stage.site.start();
        stage.token.wait_seeds(0, 3);
        let log = qseed.stop();
        assert!(service.served().iter().all(|answer| answer.status == 200));
        let most = service.log(|log| log.most_requests_within(Duration::from_millis(2900)));
        assert_eq!(most, 1, "{kind}");
        assert_eq!(events(&log, "source-failed"), Vec::<Value>::new(), "{kind}");
        assert_in_order(&stage.seeds(), &delivered(&service));
    });
}

/// A timer that starts qseed again and again asks for no more than a daemon does.
#[test]
fn the_limit_holds_across_processes_that_follow_each_other() {
    for_each_case(&["qrypt", "qrng-open-api"], 2, |kind| {
        let service = limited();
        let mut slow = source("slow", &service);
        slow["rate_limit"] = json!("5/2s");
        slow["type"] = json!(kind);
        if *kind == "qrng-open-api" {
            slow["url"] = json!(service.open_api_url());
        }
        let stage = Stage::new(&[slow]);
        for _ in 0..12 {
            let ended = stage.site.once();
            assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
        }
        let most = service.log(|log| log.most_requests_within(WINDOW));
        assert!(
            most <= REQUESTS as usize,
            "{kind}: {most} requests within {WINDOW:?}"
        );
        assert_in_order(&stage.seeds(), &delivered(&service));
    });
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_no_seeding() {
    let service = limited();
    let mut slow = source("slow", &service);
    slow["rate_limit"] = json!("5/2s");
    let stage = Stage::new(&[slow]);
    std::fs::write(stage.site.state_dir(), "no folder").expect("written");
    let qseed = stage.site.start();
    let trouble = qseed.event("usage-file");
    assert_eq!(trouble["level"], "error", "{trouble}");
    stage.token.wait_seeds(0, 2);
    qseed.stop();
}
