//! Tokens of real makers, and modules in trouble: a module's trouble is its own.

use std::time::Duration;

use qseed_entropy_service::EntropyService;
use qseed_faulty_token::{Action, Function, Record, Rule, SlotList};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::accounts::assert_delivered_once;
use crate::support::cadence::assert_cadence;
use crate::support::daemon::{Qseed, is_event, kill};
use crate::support::faulty::{Faulty, Injected, calls_of, has_struck, seeds_of};
use crate::support::site::Site;
use crate::support::tpm::{TPM2_PKCS11, Tpm};
use crate::support::{for_each_case, service};
use qseed_real_tokens::{SOFTOKN, SPY, SoftHsm, nss_database};

/// Asserts that what a token mixed in was delivered, each byte once.
pub(crate) fn assert_accounts(service: &EntropyService, of: &[&Faulty]) {
    let seeds: Vec<Injected> = of.iter().flat_map(|faulty| faulty.injected()).collect();
    assert_delivered_once(service, seeds.iter().map(|seed| seed.bytes.as_slice()));
}

#[test]
fn tokens_of_three_makers_are_seeded_side_by_side() {
    let (service, site, hsm, tpm) = (service(), Site::new(), SoftHsm::new(), Tpm::start());
    let labels: Vec<String> = (0..50).map(|number| format!("soft-{number}")).collect();
    let mut partitions = Vec::new();
    for label in &labels {
        hsm.add_token(label);
        partitions.push(json!({
            "name": label, "module": SPY, "token": format!("pkcs11:token={label}"), "pin": "1234", "period": "1s",
        }));
    }
    partitions.push(json!({
        "name": "nss", "module": SOFTOKN, "token": "pkcs11:token=NSS%20Certificate%20DB", "pin": "secret", "period": "1s",
    }));
    partitions.push(json!({
        "name": "tpm", "module": TPM2_PKCS11, "token": "pkcs11:token=tpm", "pin": "1234", "period": "1s",
    }));
    let mut config = site.full(&service, &json!(partitions));
    // The spy's lines of several calls at a time would mix.
    config["modules"] = json!([
        { "path": SPY, "environment": hsm.environment(), "concurrency": 1 },
        { "path": SOFTOKN, "init_args": nss_database(site.folder()) },
        { "path": TPM2_PKCS11, "environment": tpm.environment_json() },
    ]);
    site.configure_full(&config);
    let qseed = site.start();
    for name in labels.iter().map(String::as_str).chain(["nss", "tpm"]) {
        wait_seeded(&qseed, name, 3);
    }
    assert_eq!(qseed.workers().len(), 3);
    let log = qseed.stop();
    assert!(
        !log.iter().any(|line| is_event(line, "partition-failed")),
        "{log:?}"
    );
    let spy = hsm.spy_log();
    let seeds = spy.seeds();
    assert!(seeds.len() >= 150 && seeds.iter().all(|seed| seed.len() == 48));
    assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
    assert_eq!(spy.count("C_Login"), 50);
    assert_eq!(spy.count("C_CloseSession"), spy.count("C_OpenSession"));
    // Partitions that are due together share a request: some fifty seeds and more in each.
    let requests = service.served().len();
    assert!(
        requests <= seeds.len() / 5,
        "{requests} requests for {} seeds",
        seeds.len()
    );
}

/// The four tokens of a TPM, which counts the wrong PINs of all of them together and locks itself after
/// three.
const TPM_TOKENS: [&str; 4] = ["tpm", "second", "third", "fourth"];

/// A TPM with four tokens.
fn tpm_with_four_tokens() -> Tpm {
    let tpm = Tpm::start();
    for label in &TPM_TOKENS[1..] {
        tpm.add_token(label);
    }
    tpm
}

/// Writes a configuration with a partition for each token of the TPM, with the PINs that `pin` gives.
fn configure_tpm(site: &Site, service: &EntropyService, tpm: &Tpm, pin: impl Fn(&str) -> String) {
    let partitions = TPM_TOKENS.map(
        |label| json!({ "name": label, "token": format!("pkcs11:token={label}"), "pin": pin(label) }),
    );
    let mut config = site.full(service, &json!(partitions));
    config["defaults"] = json!({ "module": TPM2_PKCS11, "period": "1s" });
    config["modules"] = json!([{ "path": TPM2_PKCS11, "environment": tpm.environment_json() }]);
    site.configure_full(&config);
}

/// Waits until a partition has got so many seeds.
fn wait_seeded(qseed: &Qseed, partition: &str, count: usize) {
    qseed.log.wait_many(count, partition, |line| {
        is_event(line, "seeded")
            && serde_json::from_str::<Value>(line).is_ok_and(|line| line["partition"] == partition)
    });
}

#[test]
fn a_tpm_is_not_locked_by_one_wrong_pin_for_all_its_tokens() {
    let (service, site, tpm) = (service(), Site::new(), tpm_with_four_tokens());
    configure_tpm(&site, &service, &tpm, |_| "9999".to_owned());
    for _ in 0..2 {
        assert_eq!(site.once().code, Some(69));
        assert_eq!(tpm.lockout(), (1, false));
    }
    configure_tpm(&site, &service, &tpm, |_| "1234".to_owned());
    // The one that was refused goes first; the others follow at once.
    let qseed = site.start();
    for label in TPM_TOKENS {
        wait_seeded(&qseed, label, 1);
    }
    qseed.stop();
    assert!(!tpm.lockout().1);
}

/// Each has another wrong PIN, and they are mended one after the other.
#[test]
fn a_tpm_is_not_locked_by_mending_its_partitions_one_by_one() {
    let (service, site, tpm) = (service(), Site::new(), tpm_with_four_tokens());
    configure_tpm(&site, &service, &tpm, |label| {
        let pin = match label {
            "tpm" => "1234".to_owned(),
            wrong => format!("99-{wrong}"),
        };
        format!("file:{}", site.write_secret(label, pin).display())
    });
    let qseed = site.start();
    let refused = |n: usize| {
        qseed.log.wait_until("a refusal", |lines| {
            let mut names: Vec<String> = Vec::new();
            for line in lines
                .iter()
                .filter(|line| is_event(line, "partition-failed"))
            {
                let line: Value = serde_json::from_str(line).expect("JSON");
                let name = line["partition"].as_str().expect("a name").to_owned();
                if line["fault"] == "pin-refused" && !names.contains(&name) {
                    names.push(name);
                }
            }
            names.get(n).cloned()
        })
    };
    let first = refused(0);
    assert_eq!(tpm.lockout(), (1, false));
    site.write_secret(&first, "1234");
    wait_seeded(&qseed, &first, 1);
    let second = refused(1);
    assert_eq!(tpm.lockout(), (2, false));
    site.write_secret(&second, "1234");
    wait_seeded(&qseed, &second, 5);
    wait_seeded(&qseed, &first, 8);
    assert_eq!(tpm.lockout(), (2, false));
    qseed.stop();
}

#[test]
fn a_module_that_fails_disturbs_no_other() {
    let faults = [
        Action::Segfault,
        Action::Abort,
        Action::Exit(0),
        Action::Exit(3),
        Action::Kill,
        Action::Hang,
    ];
    for_each_case(&faults, 6, |action| {
        let (service, site) = (service(), Site::new());
        let healthy = Faulty::named(site.folder(), "healthy", |_| ());
        let failing = Faulty::named(site.folder(), "failing", |faults| {
            faults
                .rules
                .push(Rule::new(Function::SeedRandom, action.clone()).after_ms(1500));
        });
        let partitions = json!([
            healthy.partition_with_pin("healthy", 0, "1234"),
            failing.partition_with_pin("failing", 0, "1234"),
        ]);
        let mut config = site.full(&service, &partitions);
        config["modules"] = json!([{ "path": failing.module, "deadline": "1s" }]);
        site.configure_full(&config);
        let qseed = site.start();
        healthy.wait_seeds(0, 14);
        // In the last of its lives it is in good order.
        failing
            .token
            .set(|faults| faults.rules.clear())
            .expect("written");
        failing.wait_next_seed(0);
        failing.wait_next_seed(0);
        let log = qseed.stop();
        let told = if *action == Action::Hang {
            "module-hung"
        } else {
            "module-down"
        };
        assert!(
            log.iter().any(|line| is_event(line, told)),
            "{action:?}: {log:?}"
        );
        let record = failing.token.record().expect("a record");
        assert!(calls_of(&record, Function::Initialize) >= 2, "{action:?}");
        println!(
            "{action:?}: longest gap {:?}",
            assert_cadence(&healthy.injected(), 0)
        );
        let record = healthy.token.record().expect("a record");
        assert_eq!(calls_of(&record, Function::Initialize), 1);
        assert_accounts(&service, &[&healthy, &failing]);
    });
}

/// However long the call takes: it takes longer here than this test.
#[test]
fn a_call_that_hangs_delays_no_other_module() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let hanging = Faulty::named(site.folder(), "hanging", |faults| {
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang));
    });
    let partitions = json!([
        healthy.partition("healthy", 0),
        hanging.partition("hanging", 0)
    ]);
    let mut config = site.full(&service, &partitions);
    config["modules"] = json!([{ "path": hanging.module, "deadline": "1h" }]);
    site.configure_full(&config);
    let qseed = site.start();
    hanging.wait(|record| has_struck(record, Function::SeedRandom));
    for _ in 0..5 {
        healthy.wait_next_seed(0);
    }
    let record = hanging.token.record().expect("a record");
    assert_eq!(calls_of(&record, Function::SeedRandom), 0, "it still hangs");
    assert_eq!(calls_of(&record, Function::Initialize), 1);
    qseed.stop();
}

#[test]
fn a_missing_module_is_logged_and_loaded_when_it_appears() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let absent = Faulty::named(site.folder(), "absent", |_| ());
    std::fs::remove_file(&absent.module).expect("removed");
    let partitions = json!([
        healthy.partition("healthy", 0),
        absent.partition("absent", 0)
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    let qseed = site.start();
    let told = qseed.event("module-down");
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.contains(absent.module.to_str().expect("ASCII")),
        "{message}"
    );
    healthy.wait_next_seed(0);
    absent.token.install().expect("installed");
    absent.wait_seeds(0, 1);
    qseed.stop();
}

#[test]
fn a_killed_worker_is_restarted() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    let partitions = json!([faulty.partition_with_pin("p", 0, "1234")]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    for _ in 0..3 {
        faulty.wait_next_seed(0);
        faulty.wait_next_seed(0);
        let [worker] = qseed.workers()[..] else {
            panic!("{:?}", qseed.workers())
        };
        kill(worker, Signal::KILL);
        qseed.log.wait("its end", |line| {
            is_event(line, "module-down") || is_event(line, "module-recovered")
        });
    }
    faulty.wait_next_seed(0);
    qseed.stop();
    // A PIN that is known to be right is presented in each life.
    assert_eq!(faulty.presentations(0), 4);
    assert_accounts(&service, &[&faulty]);
}

#[test]
fn the_workers_end_with_a_daemon_that_is_killed() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    qseed.wait_pushed(1);
    // Returns when nobody holds the daemon's pipes any more.
    qseed.kill();
}

#[test]
fn a_modules_output_is_logged_only_if_the_configuration_asks() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        let stdout = Action::Stdout("half a line".to_owned());
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, stdout).times(1));
        let stderr = Action::Stderr("vendor says \u{1b}[2J hello\n".to_owned());
        faults.rules.push(Rule::new(Function::SeedRandom, stderr));
    });
    let mut config = site.full(&service, &json!([faulty.partition("p", 0)]));
    config["modules"] = json!([{ "path": faulty.module, "output": "log" }]);
    site.configure_full(&config);
    let qseed = site.start();
    let told = qseed.event("module-output");
    let message = told["message"].as_str().expect("a text");
    assert!(message.contains("libqseed_faulty_token.so"), "{message}");
    qseed
        .log
        .wait("the text", |line| line.contains("vendor says"));
    let errors = qseed.errors.clone();
    let log = qseed.stop().join("\n");
    assert!(!log.contains('\u{1b}') && errors.to_the_end().is_empty());
    assert!(log.contains("half a line"), "{log}");
}

/// Some libraries print the PIN that they got.
#[test]
fn what_a_module_writes_is_only_counted_unless_the_configuration_asks_for_more() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        let stderr = Action::Stderr("C_Login(1234-secret)\n".to_owned());
        faults.rules.push(Rule::new(Function::Login, stderr));
        let stdout = Action::Stdout("seed\n".repeat(12));
        faults.rules.push(Rule::new(Function::SeedRandom, stdout));
    });
    let partitions = json!([faulty.partition_with_pin("p", 0, "1234")]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    let counted = qseed.log.wait("a count", |line| {
        is_event(line, "module-output") && line.contains("so far")
    });
    assert!(counted.contains("wrote 1 line "), "{counted}");
    faulty.wait_seeds(0, 3);
    qseed.log.wait("more of them", |line| {
        is_event(line, "module-output") && !line.contains("wrote 1 line ")
    });
    let log = qseed.stop();
    assert!(!log.iter().any(|line| line.contains("1234-secret")));
    let lines = log.iter().filter(|line| is_event(line, "module-output"));
    assert!(lines.count() <= 3, "{log:?}");
}

/// A module that notices a token only when it is started anew: that happens after a minute in
/// which none of its tokens was there.
#[test]
fn a_module_that_never_lists_its_slots_again_is_restarted() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slot_list = SlotList::OnInitialize;
        faults.remove(0);
    });
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    qseed.event("partition-failed");
    faulty
        .token
        .set(|faults| faults.insert(0))
        .expect("written");
    let restarted =
        |record: &[Record]| calls_of(record, Function::Initialize) >= 2 && seeds_of(record, 0) >= 1;
    faulty.wait_within(Duration::from_secs(180), restarted);
    qseed.stop();
}
