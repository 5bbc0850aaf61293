//! What the ledger has of seeds, with real processes and tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use qseed_faulty_token::{Action, Ckr, Function, Rule};
use qseed_ledger::record::{Body, Injection, Partitions};
use qseed_real_tokens::{SOFTHSM, SoftHsm};
use serde_json::{Value, json};

use crate::support::daemon::is_event;
use crate::support::disk::SmallDisk;
use crate::support::faulty::Faulty;
use crate::support::ledger::{Checked, Ledger};
use crate::support::service;
use crate::support::site::Site;

/// A configuration with a ledger.
fn configure(
    site: &Site,
    service: &qseed_entropy_service::EntropyService,
    partitions: &Value,
    mode: &str,
) -> Value {
    let mut config = site.full(service, partitions);
    config["audit"] = json!({ "mode": mode });
    site.configure_full(&config);
    config
}

fn ledger(site: &Site) -> Checked {
    Ledger::new(&site.state_dir()).check()
}

fn seeds(ledger: &Checked) -> Vec<&Injection> {
    bodies(ledger, |body| match body {
        Body::Seed(seed) => Some(&seed.0),
        _ => None,
    })
}

fn bodies<'l, T>(ledger: &'l Checked, pick: impl Fn(&'l Body) -> Option<T>) -> Vec<T> {
    ledger
        .records
        .iter()
        .filter_map(|it| pick(&it.body))
        .collect()
}

#[test]
fn a_real_tokens_seeds_are_recorded_as_they_were() {
    let (service, hsm, site) = (service(), SoftHsm::new(), Site::new());
    hsm.add_token("issuing-ca");
    hsm.add_token("other");
    let partition = |name: &str| {
        json!({
            "name": name, "module": SOFTHSM, "token": format!("pkcs11:token={name}"),
            "pin": "1234", "period": "1s", "chunk": 16,
        })
    };
    let partitions = json!([partition("issuing-ca"), partition("other")]);
    let mut config = configure(&site, &service, &partitions, "best-effort");
    config["modules"] = json!([{ "path": SOFTHSM, "environment": hsm.environment() }]);
    site.configure_full(&config);
    let qseed = site.start();
    qseed.wait_pushed(6);
    let log = qseed.stop();

    let opened = log
        .iter()
        .find(|line| is_event(line, "token-opened") && line.contains("issuing-ca"));
    let opened: Value = serde_json::from_str(opened.expect("opened")).expect("JSON");
    let ledger = ledger(&site);
    let seeds: Vec<_> = seeds(&ledger)
        .into_iter()
        .filter(|seed| seed.outcomes().all(|it| it.partition == "issuing-ca"))
        .collect();
    assert!(seeds.len() >= 2);
    let mut requests = BTreeSet::new();
    for seed in &seeds {
        let Partitions::One {
            token: Some(token),
            outcome,
        } = &seed.partitions
        else {
            panic!("{seed:?}");
        };
        assert_eq!(opened["serial"], token.serial);
        assert_eq!(
            (token.label.as_str(), token.model.as_str()),
            ("issuing-ca", "SoftHSM v2")
        );
        assert!(token.firmware.is_some());
        assert_eq!(seed.module, SOFTHSM);
        assert_eq!((seed.bytes, seed.mix_local), (48, false));
        assert_eq!(seed.function.as_deref(), Some("C_SeedRandom"));
        assert_eq!(outcome.ckr.as_deref(), Some("CKR_OK"));
        assert!(
            outcome
                .duration_us
                .is_some_and(|us| us > 0 && us < 60_000_000)
        );
        assert_eq!(outcome.job, None, "nothing was intended");
        assert!(seed.checks.iter().any(|check| check == "repetition"));
        let [source] = &seed.sources[..] else {
            panic!("one source: {seed:?}");
        };
        assert_eq!((source.name.as_str(), source.bytes), ("sim", 48));
        assert_eq!(source.tls_version.as_deref(), Some("TLSv1.3"));
        assert_eq!(source.tls_group.as_deref(), Some("X25519MLKEM768"));
        requests.insert(source.request);
    }
    assert_eq!(requests.len(), seeds.len(), "each period has its request");
    let pushed = log.iter().filter(|line| is_event(line, "seeded")).count();
    assert!(ledger.seeded().len() >= pushed);
    let events: BTreeSet<_> = ledger.events().into_iter().collect();
    for event in [
        "began",
        "started",
        "configured",
        "opened",
        "state",
        "worker",
        "stopped",
    ] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
}

#[test]
fn refusals_and_rejected_deliveries_name_what_failed() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 3;
        faults.token(0).seeding.refused = Some(Ckr::RANDOM_SEED_NOT_SUPPORTED);
    });
    let partitions = json!([
        faulty.partition("unwilling", 0),
        faulty.partition_with_pin("refusing", 1, "9999"),
        faulty.partition("good", 2),
    ]);
    configure(&site, &service, &partitions, "best-effort");
    let qseed = site.start();
    faulty.wait_seeds(2, 2);
    service.set_fault(qseed_entropy_service::Fault::AllZero);
    qseed.event("check-failed");
    qseed.stop();

    let ledger = ledger(&site);
    let refused = bodies(&ledger, |body| match body {
        Body::Refused(refused) => {
            let injection = &refused.injection;
            let outcome = injection.outcomes().next().expect("one");
            let what = (
                injection.function.clone().unwrap_or_default(),
                outcome.ckr.clone().unwrap_or_default(),
                injection.bytes,
            );
            Some((outcome.partition.clone(), what))
        }
        _ => None,
    });
    let refused: BTreeMap<_, _> = refused.into_iter().collect();
    let what = |function: &str, ckr: &str, bytes| (function.to_owned(), ckr.to_owned(), bytes);
    assert_eq!(
        refused["unwilling"],
        what("C_SeedRandom", "CKR_RANDOM_SEED_NOT_SUPPORTED", 48)
    );
    assert_eq!(refused["refusing"], what("C_Login", "CKR_PIN_INCORRECT", 0));
    assert!(!refused.contains_key("good"));
    let rejected = bodies(&ledger, |body| match body {
        Body::Rejected(rejected) => Some((rejected.source.as_str(), rejected.check.as_str())),
        _ => None,
    });
    assert!(rejected.contains(&("sim", "repetition")), "{rejected:?}");
}

#[test]
fn seeds_of_150_partitions_share_records() {
    const PARTITIONS: u32 = 150;
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = PARTITIONS);
    let partition = |number| {
        let mut partition = faulty.partition(&format!("p{number}"), number);
        partition["period"] = json!("3s");
        partition
    };
    let partitions: Vec<_> = (0..PARTITIONS).map(partition).collect();
    for mode in ["best-effort", "required"] {
        configure(&site, &service, &json!(partitions), mode);
        let before = faulty.injected().len();
        let all = PARTITIONS as usize;
        let qseed = site.start();
        faulty.wait(|_| faulty.injected().len() >= before + 3 * all);
        qseed.stop();

        let ledger = ledger(&site);
        let seeded = ledger.seeded();
        assert_eq!(seeded.len(), faulty.injected().len(), "each seed once");
        let largest = seeds(&ledger)
            .iter()
            .map(|seed| seed.outcomes().count())
            .max();
        assert!(largest.is_some_and(|largest| largest >= 100), "{largest:?}");
        for seed in seeds(&ledger) {
            let Partitions::Many(many) = &seed.partitions else {
                continue;
            };
            for (outcome, serial) in many {
                let number = outcome.partition.trim_start_matches('p');
                assert_eq!(serial.as_deref(), Some(format!("FT{number}").as_str()));
            }
        }
        if mode == "required" {
            let intents = bodies(&ledger, |body| match body {
                Body::Intent(intent) => Some(intent.0.outcomes().count()),
                _ => None,
            });
            assert!(intents.iter().any(|intents| *intents >= 100), "{intents:?}");
        }
    }
}

/// The jobs of intents without an outcome, and of outcomes without an intent.
fn unmatched(ledger: &Checked) -> (usize, usize) {
    let (mut open, mut unintended) = (BTreeSet::new(), 0);
    for record in &ledger.records {
        match &record.body {
            Body::Started(_) => open.clear(),
            Body::Intent(intent) => open.extend(intent.0.outcomes().filter_map(|it| it.job)),
            Body::Seed(seed) => {
                let known = seed
                    .0
                    .outcomes()
                    .map(|it| it.job.is_some_and(|job| open.remove(&job)));
                unintended += known.filter(|known| !known).count();
            }
            Body::Refused(refused) => {
                let jobs = refused.injection.outcomes().filter_map(|it| it.job);
                for job in jobs {
                    open.remove(&job);
                }
            }
            _ => {}
        }
    }
    (open.len(), unintended)
}

#[test]
fn in_required_mode_each_seed_has_its_intent_before_it_and_its_line_of_the_log_after_it() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 3;
        let crashes = Rule::new(Function::SeedRandom, Action::Segfault);
        faults.rules.push(crashes.token(2).from(2));
    });
    let partitions: Vec<_> = (0..3)
        .map(|n| faulty.partition(&format!("p{n}"), n))
        .collect();
    configure(&site, &service, &json!(partitions), "required");
    let qseed = site.start();
    let files = Ledger::new(&site.state_dir());
    for wanted in 1..12 {
        qseed.wait_pushed(wanted);
        let recorded = files.check().seeded().len();
        assert!(
            recorded >= wanted,
            "{recorded} records of {wanted} seeds in the log"
        );
    }
    qseed.stop();
    let ledger = files.check();
    assert_eq!(unmatched(&ledger), (0, 0));
    assert!(
        ledger.seeded().len() >= faulty.injected().len() - 3,
        "but for what a crash hid"
    );
    let lost = bodies(&ledger, |body| match body {
        Body::Refused(refused) => Some(refused.reason.as_str()),
        _ => None,
    });
    assert!(lost.contains(&"no-answer"), "the crash: {lost:?}");
}

#[test]
fn a_full_disk_stops_injection_in_required_mode_and_not_in_best_effort() {
    for (mode, stops) in [("required", true), ("best-effort", false)] {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |_| {});
        configure(&site, &service, &json!([faulty.partition("p", 0)]), mode);
        let disk = SmallDisk::new(&site);
        let qseed = crate::support::daemon::Qseed::start(&mut disk.command());
        faulty.wait_seeds(0, 2);
        disk.fill();
        qseed.event("ledger");
        // A seed may have left before.
        std::thread::sleep(Duration::from_secs(2));
        let before = faulty.injected().len();
        std::thread::sleep(Duration::from_secs(4));
        let more = faulty.injected().len() - before;
        assert_eq!(more == 0, stops, "{mode}: {more} seeds on a full disk");
        disk.free();
        faulty.wait_next_seed(0);
        if stops {
            qseed.stop();
            continue;
        }
        // The log counts what cannot be written before the end. The last block has room for some.
        disk.fill();
        for _ in 0..9 {
            faulty.wait_next_seed(0);
        }
        let log = qseed.stop();
        assert!(
            log.iter().any(|line| line.contains("ends too early: ")),
            "{log:?}"
        );
    }
}

#[test]
fn a_seed_that_is_in_flight_at_the_end_has_an_outcome() {
    for (hangs, reason) in [(false, None), (true, Some("no-answer"))] {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| {
            let action = if hangs {
                Action::Hang
            } else {
                Action::DelayMs(1500)
            };
            faults.rules.push(Rule::new(Function::SeedRandom, action));
        });
        configure(
            &site,
            &service,
            &json!([faulty.partition("p", 0)]),
            "required",
        );
        let qseed = site.start();
        faulty.wait(|record| {
            record
                .iter()
                .any(|it| it.begun(Function::SeedRandom).is_some())
        });
        qseed.stop();
        let ledger = ledger(&site);
        assert_eq!(unmatched(&ledger), (0, 0));
        let lost = bodies(&ledger, |body| match body {
            Body::Refused(refused) => Some(refused.reason.as_str()),
            _ => None,
        });
        assert_eq!(lost.first().copied(), reason);
        assert_eq!(ledger.seeded().len(), usize::from(!hangs));
    }
}

#[test]
fn a_single_run_in_required_mode_records_its_seed_and_its_end() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    configure(
        &site,
        &service,
        &json!([faulty.partition("p", 0)]),
        "required",
    );
    let ended = site.once();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let pushed = ended.output.lines().filter(|line| is_event(line, "seeded"));
    assert_eq!(pushed.count(), 1);
    let ledger = ledger(&site);
    assert_eq!((ledger.seeded().len(), unmatched(&ledger)), (1, (0, 0)));
    assert!(ledger.is_signed_to_the_end());
}

#[test]
fn without_audit_there_is_no_thread_and_no_file_for_a_ledger() {
    for audit in [false, true] {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |_| {});
        let partitions = json!([faulty.partition("p", 0)]);
        let mut config = configure(&site, &service, &partitions, "best-effort");
        if !audit {
            config.as_object_mut().expect("an object").remove("audit");
            site.configure_full(&config);
        }
        let qseed = site.start();
        faulty.wait_seeds(0, 2);
        let threads = fs::read_dir(format!("/proc/{}/task", qseed.id())).expect("it runs");
        let names = threads.map(|thread| {
            let thread = thread.expect("an entry").path();
            fs::read_to_string(thread.join("comm")).unwrap_or_default()
        });
        assert_eq!(
            names.filter(|name| name.trim() == "ledger").count(),
            usize::from(audit)
        );
        qseed.stop();
        let files = fs::read_dir(site.state_dir()).expect("a folder");
        let files = files.map(|file| file.expect("an entry").file_name());
        let of_ledger = files.filter(|name| name.to_string_lossy().starts_with("audit"));
        assert_eq!(of_ledger.count() > 0, audit);
    }
}
