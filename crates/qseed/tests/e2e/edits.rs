//! What happens to the configuration's file between two SIGHUPs changes nothing.

use qseed_faulty_token::{Function, User};
use rustix::process::Signal;
use serde_json::json;

use crate::pins::RIGHT;
use crate::support::daemon::{Qseed, kill};
use crate::support::faulty::{Faulty, calls_of};
use crate::support::service;
use crate::support::site::Site;

/// Kills the worker, and waits until another one has logged in to all tokens and seeded them.
fn restart_worker(qseed: &Qseed, faulty: &Faulty, tokens: u32) {
    let logins = (0..tokens)
        .map(|token| faulty.presentations(token))
        .sum::<usize>();
    for worker in qseed.workers() {
        kill(worker, Signal::KILL);
    }
    let wanted = logins + tokens as usize;
    faulty.wait(|record| calls_of(record, Function::Login) >= wanted);
    for token in 0..tokens {
        faulty.wait_next_seed(token);
    }
}

#[test]
fn a_worker_that_starts_again_has_its_pins_whatever_became_of_the_file() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let partitions = json!([
        faulty.partition_with_pin("literal", 0, RIGHT),
        faulty.partition_with_pin("variable", 1, "env:QSEED_TEST_PIN"),
    ]);
    let config = site.full(&service, &partitions);
    site.configure_full(&config);
    let qseed = Qseed::start(site.command().env("QSEED_TEST_PIN", RIGHT));
    faulty.wait_seeds(0, 1);
    faulty.wait_seeds(1, 1);

    let mut edited = config.clone();
    edited["partitions"][0]["pin"] = json!("9999");
    let edited = edited.to_string();
    for (file, reload) in [
        ("partitions: [{name: half-ed", false),
        (edited.as_str(), false),
        ("partitions: [{name: half-ed", true),
    ] {
        site.configure(file);
        if reload {
            let from = qseed.log.count();
            qseed.signal(Signal::HUP);
            qseed.event_from(from, "reload-failed");
        }
        restart_worker(&qseed, &faulty, 2);
    }
    std::fs::remove_file(site.config_path()).expect("it is there");
    restart_worker(&qseed, &faulty, 2);
    assert_eq!(faulty.token.wrong_pins(0, User::USER).expect("a state"), 0);
    qseed.stop();
}

#[test]
fn a_reload_gives_new_pins_to_running_and_to_later_workers() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let partitions = json!([faulty.partition_with_pin("p", 0, "9999")]);
    let mut config = site.full(&service, &partitions);
    site.configure_full(&config);
    let qseed = site.start();
    crate::pins::wait_failed(&qseed, "p", "pin-refused");
    config["partitions"][0]["pin"] = json!(RIGHT);
    site.configure_full(&config);
    qseed.signal(Signal::HUP);
    faulty.wait_seeds(0, 1);
    site.configure("half-edited: [");
    restart_worker(&qseed, &faulty, 1);
    assert_eq!(
        faulty.presentations(0),
        3,
        "the wrong one, and the right one twice"
    );
    qseed.stop();
}

#[test]
fn no_worker_inherits_a_variable_that_held_a_secret_before_a_reload() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let of = |pin| site.full(&service, &json!([faulty.partition_with_pin("p", 0, pin)]));
    site.configure_full(&of("env:QSEED_TEST_PIN"));
    let qseed = Qseed::start(site.command().env("QSEED_TEST_PIN", RIGHT));
    faulty.wait_seeds(0, 1);
    site.configure_full(&of(RIGHT));
    let from = qseed.log.count();
    qseed.signal(Signal::HUP);
    qseed.event_from(from, "reloaded");
    restart_worker(&qseed, &faulty, 1);
    for worker in qseed.workers() {
        let environment = std::fs::read(format!("/proc/{worker}/environ")).expect("a worker");
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("PATH="), "it inherits the rest");
        assert!(!environment.contains("QSEED_TEST_PIN"), "{environment}");
    }
    qseed.stop();
}

#[test]
fn a_missing_pin_variable_is_logged_and_not_retried_soon() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let partition = faulty.partition_with_pin("p", 0, "env:QSEED_TEST_NOT_SET");
    site.configure_full(&site.full(&service, &json!([partition])));
    let qseed = site.start();
    let said = qseed.event("partition-failed");
    let message = said["message"].as_str().expect("a message");
    assert!(
        message.contains("QSEED_TEST_NOT_SET is not set"),
        "{message}"
    );
    assert!(!message.contains("none is configured"), "{message}");
    let wait = said["next_in_seconds"].as_f64().expect("a time");
    assert!(wait > 60.0, "{said}");
    qseed.stop();
}
