//! The original's flat file, unchanged: a token behind `pkcs11-spy`, a service over TLS.

use crate::support::accounts::assert_delivered_once;
use crate::support::cadence::assert_cadence;
use crate::support::daemon::{Ended, Qseed, run};
use crate::support::faulty::{Faulty, seeds_of};
use crate::support::figures::{Figures, figures};
use crate::support::site::Site;
use crate::support::{ACCESS_TOKEN, PATIENCE, service, service_with};
use qseed_entropy_service::{EntropyService, Fault, Log, Options};
use qseed_real_tokens::{SPY, SoftHsm};
use std::process::Command;
use std::time::Duration;

/// In nanoseconds: the period of most partitions here.
const SECOND: u64 = 1_000_000_000;

/// The seeds after an outage that are counted.
const AFTER: usize = 6;

/// The original's file for a slot, with more keys behind.
fn flat(service: &EntropyService, site: &Site, slot: u64, more: &str) -> String {
    format!(
        "qrypt_token: {ACCESS_TOKEN}\n\
         qrypt_url: {}\n\
         cryptoki_lib: {SPY}\n\
         cryptoki_slot_id: {slot}\n\
         cryptoki_user_pin: 1234\n\
         state_dir: {}\n\
         {more}\n",
        service.url(),
        site.state_dir().display(),
    )
}

/// What the flat file has no key for comes from the environment: where `SoftHSM` is, and which CA
/// signed the service's certificate.
fn in_environment<'c>(
    command: &'c mut Command,
    service: &EntropyService,
    hsm: &SoftHsm,
) -> &'c mut Command {
    let ca = service.ca_path().expect("it speaks TLS");
    command.envs(hsm.environment()).env("SSL_CERT_FILE", ca)
}

fn once(site: &Site, service: &EntropyService, hsm: &SoftHsm) -> Ended {
    run(in_environment(&mut site.command(), service, hsm).arg("--once"))
}

/// A line without its time, which must be one: `[2024-02-29T15:49:11.050Z] `.
fn after_time(line: &str) -> &str {
    let (time, text) = line
        .split_once("] ")
        .unwrap_or_else(|| panic!("no time in {line:?}"));
    let digits: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(digits, "[0000-00-00T00:00:00.000Z", "{line}");
    text
}

#[test]
fn the_originals_file_works_unchanged() {
    let (service, hsm, site) = (service(), SoftHsm::new(), Site::new());
    let slot = hsm.add_token("My First Token");
    site.configure(&flat(&service, &site, slot, ""));
    let qseed = Qseed::start(in_environment(&mut site.command(), &service, &hsm));
    // The period is ten seconds when nothing is said, so this is the first and the second seed.
    qseed.wait_pushed(2);
    let log = qseed.stop();

    let texts: Vec<&str> = log.iter().map(|line| after_time(line)).collect();
    let opened = format!("SLOT #{slot} (SoftHSM slot ID {slot:#x}): My First Token");
    let pushed = "Pushed 48 bytes of quantum seed material to the HSM.";
    let said: Vec<&str> = texts
        .iter()
        .filter(|text| text.starts_with("SLOT") || text.starts_with("Pushed"))
        .copied()
        .collect();
    assert_eq!(said, [opened.as_str(), pushed, pushed]);
    assert!(!log.iter().any(|line| line.contains("ERROR")), "{log:?}");

    let spy = hsm.spy_log();
    let delivered: Vec<Vec<u8>> = service
        .served()
        .iter()
        .map(|answer| answer.blocks.joined())
        .collect();
    assert_eq!(
        spy.seeds(),
        delivered,
        "the token got what was delivered, as it was delivered"
    );
    assert!(delivered.iter().all(|seed| seed.len() == 48));
    assert_eq!((spy.count("C_Login"), spy.count("C_OpenSession")), (1, 1));
    assert!(
        spy.functions()
            .ends_with(&["Logout", "CloseSession", "Finalize"])
    );
    let connections = service.connections().len();
    assert_eq!(connections, 1, "the connection is kept");
}

#[test]
fn every_size_arrives_exactly() {
    let hsm = SoftHsm::new();
    let slot = hsm.add_token("sizes");
    let mut injected = 0;
    for size in [1, 2, 48, 511, 512, 513, 1_024, 1_025, 4_096, 65_536] {
        let (service, site) = (service(), Site::new());
        site.configure(&flat(&service, &site, slot, &format!("size: {size}")));
        let ended = once(&site, &service, &hsm);
        assert_eq!(ended.code, Some(0), "size {size}: {ended:?}");
        let pushed = format!("Pushed {size} bytes of quantum seed material to the HSM.");
        assert!(ended.output.contains(&pushed), "{}", ended.output);
        let seeds = hsm.spy_log().seeds();
        let new = &seeds[injected..];
        injected = seeds.len();
        let served = service.served();
        let delivered: Vec<u8> = served
            .iter()
            .flat_map(|answer| answer.blocks.joined())
            .collect();
        assert_eq!(new.len(), 1, "size {size}");
        assert_eq!(new[0].len(), size);
        assert!(
            new[0] == delivered,
            "size {size}: other bytes than were delivered, or more"
        );
    }
}

#[test]
fn the_older_interface_serves_seeds_of_any_size_and_wastes_nothing() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    let mut config = site.full(&service, &serde_json::json!([faulty.partition("p", 0)]));
    config["sources"][0]["type"] = "qrypt-kib".into();
    config["partitions"][0]["size"] = 300.into();
    site.configure_full(&config);
    let qseed = site.start();
    qseed.wait_pushed(5);
    qseed.stop();
    let seeds = faulty.injected();
    assert_delivered_once(&service, seeds.iter().map(|seed| seed.bytes.as_slice()));
    let requests = service.served().len();
    let needed = (seeds.len() * 300).div_ceil(1024);
    // One that was asked for when the end came may not have been used.
    assert!(
        (needed..=needed + 1).contains(&requests),
        "{requests} for {} seeds",
        seeds.len()
    );
}

#[test]
fn the_cadence_does_not_drift_with_a_slow_service() {
    let service = service_with(Options::default().latency(Duration::from_millis(400)));
    let site = Site::new();
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &serde_json::json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    faulty.wait_seeds(0, 16);
    qseed.stop();
    // A period that began only when the seed before was in would be 1.4 s long.
    println!("longest gap {:?}", assert_cadence(&faulty.injected(), 0));
}

/// Ten seconds of warming up, then as long as `QSEED_SOAK_SECONDS` says (30 unless told).
#[test]
fn nothing_grows() {
    let seconds = std::env::var("QSEED_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(30, |text| text.parse().expect("a number of seconds"));
    let (service, hsm, site) = (
        service_with(Options::default().forget()),
        SoftHsm::new(),
        Site::new(),
    );
    let slot = hsm.add_token("soak");
    let config = flat(&service, &site, slot, "period: 1").replace(SPY, qseed_real_tokens::SOFTHSM);
    site.configure(&config);
    let qseed = Qseed::start(in_environment(&mut site.command(), &service, &hsm));
    qseed.wait_pushed(10);
    let workers = qseed.workers();
    assert_eq!(workers.len(), 1);
    let measure = || [figures(qseed.id()), figures(workers[0])];
    let before = measure();
    for pushed in 0..seconds {
        qseed.wait_pushed(11 + pushed);
    }
    let after = measure();
    println!("before: {before:?}\nafter {seconds} s: {after:?}");
    assert_eq!(qseed.workers(), workers, "no worker was started anew");
    for (before, after) in before.iter().zip(&after) {
        assert!(
            after.descriptors <= before.descriptors,
            "{before:?} {after:?}"
        );
        assert!(after.threads <= before.threads, "{before:?} {after:?}");
        // Pages that are touched for the first time are no leak; a leak of a kilobyte a seed is
        // more than this in ten minutes.
        let allowed = Figures {
            anonymous_kib: before.anonymous_kib + 384,
            ..*before
        };
        assert!(
            after.anonymous_kib <= allowed.anonymous_kib,
            "{before:?} {after:?}"
        );
    }
    qseed.stop();
}

#[test]
fn missed_periods_are_not_made_up_for() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &serde_json::json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    faulty.wait_seeds(0, 2);
    service.set_fault(Fault::status(503));
    let refused = |log: &Log| {
        log.served()
            .iter()
            .filter(|answer| answer.status == 503)
            .count()
    };
    assert!(service.wait_for(|log| refused(log) >= 3, PATIENCE));
    service.clear_faults();
    let known = seeds_of(&faulty.token.record().expect("a record"), 0);
    faulty.wait_seeds(0, known + AFTER);
    qseed.stop();
    let seeds = &faulty.injected()[known..][..AFTER];
    // The first one comes when it can and may lie anywhere between two periods. Three missed periods that
    // were made up for would come with it at once.
    let periods = (seeds[AFTER - 1].ns - seeds[0].ns) / SECOND;
    assert!(AFTER as u64 <= periods + 3, "{AFTER} in {periods} periods");
}
