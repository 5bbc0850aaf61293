//! A hostile module in its worker: it has the worker's socket and says what it likes.

use qseed_faulty_token::{Action, Function, Rule};
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::wire::{FromWorker, encode};
use serde_json::{Value, json};

use crate::support::daemon::is_event;
use crate::support::faulty::Faulty;
use crate::support::service;
use crate::support::site::Site;

/// A rule that sends these messages so often at each call of a function.
fn sends(function: Function, messages: &[FromWorker], times: u32) -> Rule {
    let frames = messages
        .iter()
        .map(|message| encode(message).expect("fits"));
    let bytes = frames.flat_map(|frame| frame.to_vec()).collect();
    Rule::new(function, Action::Send { bytes, times })
}

fn opened(partition: u32, label: &str) -> FromWorker {
    FromWorker::Opened {
        partition,
        token: TokenInfo {
            slot_id: 77,
            slot_description: "a slot".to_owned(),
            label: label.to_owned(),
            serial: "1".to_owned(),
            ..TokenInfo::default()
        },
    }
}

/// The most memory that a process has had, in KiB.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
    peak.expect("a number").trim().parse().expect("a number")
}

#[test]
fn two_workers_that_flood_are_killed_and_starve_no_third() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let floods = |name, message: FromWorker| {
        Faulty::named(site.folder(), name, |faults| {
            let rule = sends(Function::OpenSession, &[message], 400_000);
            faults.rules.push(rule);
        })
    };
    let progress = FromWorker::Progress { partition: Some(1) };
    let (one, other) = (floods("one", progress), floods("other", opened(2, "FLOOD")));
    let partitions = json!([
        healthy.partition("healthy", 0),
        one.partition("one", 0),
        other.partition("other", 0),
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    for module in ["/one/", "/other/"] {
        qseed.log.wait("its end", |line| {
            is_event(line, "module-down") && line.contains(module)
        });
    }
    healthy.wait_seeds(0, 4);
    let peak = peak_memory(qseed.id());
    let log = qseed.stop();
    assert!(peak < 40_000, "{peak} KiB");
    assert!(log.len() < 100, "{} lines", log.len());
    let told = log.iter().find(|line| line.contains("floods")).cloned();
    assert!(told.is_some(), "{log:?}");
}

#[test]
fn a_worker_speaks_for_no_other_modules_partitions() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let hostile = Faulty::named(site.folder(), "hostile", |faults| {
        let forged = [
            opened(0, "FORGED"),
            opened(1, "FORGED"),
            opened(9, "FORGED"),
        ];
        faults.rules.push(sends(Function::SeedRandom, &forged, 3));
    });
    let partitions = json!([
        healthy.partition("healthy", 0),
        hostile.partition("hostile", 0),
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    let told = qseed.event("module-down");
    let message = told["message"].as_str().expect("a text");
    assert!(message.contains("did not ask"), "{message}");
    healthy.wait_next_seed(0);
    healthy.wait_next_seed(0);
    let log = qseed.stop();
    assert!(!log.iter().any(|line| line.contains("FORGED")), "{log:?}");
}

#[test]
fn an_answer_with_a_wrong_number_leaves_no_partition_stuck() {
    let (service, site) = (service(), Site::new());
    let lie = FromWorker::Seeded {
        partition: 0,
        job: 999_999,
        duration_us: 1,
        calls: 1,
    };
    let faulty = Faulty::new(site.folder(), |faults| {
        let rule = sends(Function::SeedRandom, &[lie], 1);
        faults.rules.push(rule.from(2).times(1).across_processes());
    });
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    qseed.event("module-down");
    let seeded = |line: &str| {
        is_event(line, "seeded")
            && serde_json::from_str::<Value>(line).is_ok_and(|line| line["partition"] == "p")
    };
    qseed.log.wait_many(3, "seeds", seeded);
    qseed.stop();
}
