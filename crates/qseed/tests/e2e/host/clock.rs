//! A clock that is stepped by years: only what speaks of dates notices.

use qseed_entropy_service::{EntropyService, Fault};
use qseed_faulty_token::Function;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pins::RIGHT;
use crate::support::cadence::assert_cadence;
use crate::support::clock::WallClock;
use crate::support::daemon::{Qseed, is_event, kill};
use crate::support::faulty::{Faulty, calls_of};
use crate::support::service;
use crate::support::site::Site;
use crate::support::usage::months;

/// A daemon with a clock of its own, whose worker has the host's.
struct Scene {
    service: EntropyService,
    site: Site,
    clock: WallClock,
    faulty: Faulty,
}

impl Scene {
    fn new() -> Self {
        let (service, site) = (service(), Site::new());
        let clock = WallClock::new(&site);
        let faulty = Faulty::new(site.folder(), |_| ());
        let partitions = json!([faulty.partition_with_pin("p", 0, RIGHT)]);
        let mut config = site.full(&service, &partitions);
        config["sources"][0]["budget"] = json!({ "bytes": 1_000_000, "resets_on": 1 });
        config["modules"] = json!([{ "path": faulty.module, "environment": { "LD_PRELOAD": "" } }]);
        site.configure_full(&config);
        Self {
            service,
            site,
            clock,
            faulty,
        }
    }

    fn start(&self) -> Qseed {
        let mut command = self.site.command();
        self.clock.give_to(&mut command);
        Qseed::start(&mut command)
    }

    /// Sets the clock, and waits until the log has it and some seeds were injected by it.
    fn set_clock(&self, qseed: &Qseed, offset: &str, years: i64) {
        let wanted = this_year() + years;
        let known = qseed.log.count();
        self.clock.set(offset);
        qseed
            .log
            .wait_from(known, &format!("the year {wanted}"), |line| {
                let line: Value = serde_json::from_str(line).expect("each line is an object");
                (year(line["time"].as_str().expect("a time")) - wanted).abs() <= 1
            });
        for _ in 0..3 {
            self.faulty.wait_next_seed(0);
        }
    }

    /// What is counted of the budget in each month, by its first day.
    fn months(&self) -> Vec<(String, i64)> {
        let text = std::fs::read_to_string(self.site.state_dir().join("usage.jsonl"));
        months(&text.expect("a file"))
    }
}

fn year(time: &str) -> i64 {
    time[..4].parse().expect("a year of four digits")
}

fn this_year() -> i64 {
    year(&jiff::Timestamp::now().to_string())
}

#[test]
fn steps_of_years_leave_the_cadence_alone() {
    let scene = Scene::new();
    let qseed = scene.start();
    scene.faulty.wait_seeds(0, 4);
    let connections = scene.service.connections().len();
    for (offset, years) in [("+10y", 10), ("-30y", -30), ("+0", 0)] {
        scene.set_clock(&qseed, offset, years);
    }
    scene.faulty.wait_seeds(0, 16);
    let log = qseed.stop();
    let failed = log.iter().any(|line| is_event(line, "source-failed"));
    assert!(!failed, "{log:?}");
    assert_eq!(scene.service.connections().len(), connections);
    // Nor does a step bring seeds that are not due.
    assert_cadence(&scene.faulty.injected(), 0);
}

#[test]
fn steps_of_years_lose_no_count_and_no_record() {
    let scene = Scene::new();
    let qseed = scene.start();
    scene.faulty.wait_seeds(0, 2);
    scene.set_clock(&qseed, "+10y", 10);
    let (month, counted) = scene.months().remove(0);
    // A new worker in each of these times: the guard's file gets a record.
    for (offset, years) in [("-30y", -30), ("+10y", 10), ("+0", 0)] {
        scene.set_clock(&qseed, offset, years);
        let presented = scene.faulty.presentations(0);
        kill(qseed.workers()[0], Signal::KILL);
        scene
            .faulty
            .wait(|record| calls_of(record, Function::Login) > presented);
        scene.faulty.wait_next_seed(0);
    }
    qseed.stop();
    let months = scene.months();
    let goes_on = months
        .iter()
        .any(|(began, bytes)| *began == month && *bytes > counted);
    assert!(goes_on, "{month}: {counted}, then {months:?}");
    assert!(months.len() >= 3, "{months:?}");

    let text = std::fs::read_to_string(scene.site.state_dir().join("pin-guard.jsonl"));
    let text = text.expect("a file");
    for years in [-30, 0, 10] {
        let written = text.lines().any(|line| {
            let line: Value = serde_json::from_str(line).expect("a record");
            let Some(since) = line["since"].as_str() else {
                return false;
            };
            (year(since) - this_year() - years).abs() <= 1
        });
        assert!(written, "{years}: {text}");
    }
    let qseed = scene.start();
    scene.faulty.wait_next_seed(0);
    qseed.stop();
}

#[test]
fn a_certificate_that_the_clock_finds_expired_is_a_fault_until_the_clock_is_right() {
    let scene = Scene::new();
    let qseed = scene.start();
    scene.faulty.wait_seeds(0, 2);
    scene.set_clock(&qseed, "+10y", 10);
    // Nobody judges the certificate of a connection that stands.
    scene.service.fault_next(Fault::StaleClose, 1);
    let failed = qseed.event("source-failed");
    let message = failed["message"].as_str().expect("a text");
    assert!(message.contains("clock is wrong"), "{message}");
    assert_eq!(failed["level"], "warning", "{failed}");
    scene.clock.set("+0");
    qseed.event("source-recovered");
    scene.faulty.wait_next_seed(0);
    qseed.stop();
}
