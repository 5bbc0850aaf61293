//! A source's monthly budget: warned of at 80 %, never exceeded, counted across a crash.

use qseed_entropy_service::{EntropyService, Fault};
use serde_json::{Value, json};

use crate::stage::{Stage, event_of, events, reload, seed_made_of, source};
use crate::support::daemon::Qseed;
use crate::support::{PATIENCE, service};

/// Ten rounds of two seeds.
const BUDGET: u64 = 960;

/// Two partitions; a source with a budget, and one that serves when it is spent.
fn stage(metered: &EntropyService, standby: &EntropyService) -> Stage {
    let mut first = source("metered", metered);
    first["budget"] = json!({ "bytes": BUDGET, "resets_on": 1 });
    Stage::with_partitions(&[first, source("standby", standby)], 2)
}

fn served(service: &EntropyService) -> u64 {
    service.counts().entropy_bytes
}

fn number(event: &Value, name: &str) -> u64 {
    event[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name}: {event}"))
}

/// Lets the daemon be killed while an answer is on its way: what it was asked for is spent,
/// although nobody saw it come.
fn kill_in_the_middle(qseed: Qseed, metered: &EntropyService) {
    let requests = metered.requests().len();
    metered.fault_next(Fault::Hang, 1);
    assert!(metered.wait_for(|log| log.requests().len() > requests, PATIENCE));
    qseed.kill();
}

#[test]
fn a_budget_is_never_exceeded_and_a_crash_does_not_renew_it() {
    let (metered, standby) = (service(), service());
    let mut stage = stage(&metered, &standby);
    let qseed = stage.site.start();
    stage.wait_more_seeds(2);
    kill_in_the_middle(qseed, &metered);
    let qseed = stage.site.start();
    stage.wait_more_seeds(2);
    kill_in_the_middle(qseed, &metered);
    let at_the_crash = served(&metered);
    assert!(
        (1..BUDGET * 8 / 10).contains(&at_the_crash),
        "{at_the_crash}"
    );

    let qseed = stage.site.start();
    let low = event_of(&qseed, 0, "budget-low", "metered");
    let spent = number(&low, "spent");
    assert!((BUDGET * 8 / 10..BUDGET * 9 / 10).contains(&spent), "{low}");
    let spent = event_of(&qseed, 0, "budget-spent", "metered");
    assert_eq!(number(&spent, "limit"), BUDGET, "{spent}");
    assert!(number(&spent, "spent") <= BUDGET, "{spent}");
    let is_all = number(&spent, "spent") == BUDGET;
    let message = spent["message"].as_str().expect("a text");
    assert_ne!(
        is_all,
        message.contains("the rest is too little"),
        "{spent}"
    );
    let from = qseed.log.count();
    seed_made_of(&qseed, from, &["standby"]);
    let asked = metered.requests().len();
    stage.wait_more_seeds(3);
    assert_eq!(metered.requests().len(), asked, "it is asked no more");
    println!("{} of {BUDGET} bytes were served", served(&metered));
    assert!(served(&metered) <= BUDGET);
    assert!(
        served(&metered) >= BUDGET - 2 * 96,
        "it is used up, but for what the crashes hid"
    );

    stage.change(|config| config["sources"][0]["budget"]["bytes"] = json!(2 * BUDGET));
    let from = qseed.log.count();
    reload(&qseed);
    seed_made_of(&qseed, from, &["metered"]);
    qseed.stop();
    assert!(served(&metered) <= 2 * BUDGET);
}

#[test]
fn daemons_that_share_a_state_directory_share_a_budget() {
    let (metered, standby) = (service(), service());
    let first = stage(&metered, &standby);
    let second = stage(&metered, &standby);
    let second = second.with(|config| config["state_dir"] = json!(first.site.state_dir()));
    let running = [first.site.start(), second.site.start()];
    for (qseed, stage) in running.iter().zip([&first, &second]) {
        event_of(qseed, 0, "budget-spent", "metered");
        let from = qseed.log.count();
        seed_made_of(qseed, from, &["standby"]);
        stage.wait_more_seeds(1);
    }
    for qseed in running {
        let log = qseed.stop();
        assert_eq!(events(&log, "source-failed"), Vec::<Value>::new());
    }
    let served = served(&metered);
    println!("{served} of {BUDGET} bytes were served");
    assert!(served <= BUDGET && served > BUDGET - 96, "{served}");
}

/// Answers that are no entropy were downloaded all the same.
#[test]
fn what_is_dropped_counts_as_well() {
    let (metered, standby) = (service(), service());
    let stage = stage(&metered, &standby);
    let qseed = stage.site.start();
    metered.set_fault(Fault::AllZero);
    event_of(&qseed, 0, "check-failed", "metered");
    metered.set_fault(Fault::ShortBlock);
    event_of(&qseed, 0, "source-failed", "metered");
    metered.clear_faults();
    event_of(&qseed, 0, "source-recovered", "metered");
    event_of(&qseed, 0, "budget-spent", "metered");
    qseed.stop();
    assert!(served(&metered) <= BUDGET, "{}", served(&metered));
    assert!(served(&metered) > BUDGET - 96, "{}", served(&metered));
}

/// A budget that does not even suffice for what a request brings at least is not touched.
#[test]
fn a_budget_below_the_least_request_is_spent_from_the_start() {
    let (metered, standby) = (service(), service());
    let stage = stage(&metered, &standby).with(|config| {
        config["sources"][0]["type"] = json!("qrypt-kib");
        config["sources"][0]["budget"]["bytes"] = json!(1023);
    });
    let qseed = stage.site.start();
    event_of(&qseed, 0, "budget-too-small", "metered");
    event_of(&qseed, 0, "budget-spent", "metered");
    stage.wait_more_seeds(2);
    qseed.stop();
    assert_eq!(served(&metered), 0);
}
