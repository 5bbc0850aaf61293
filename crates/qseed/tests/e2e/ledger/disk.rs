//! The ledger's disk hangs, fails to sync, or goes read-only.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Scene, intended};
use crate::support::daemon::{Qseed, is_event};
use crate::support::disk::SmallDisk;
use crate::support::for_each_case;
use crate::support::strace::Strace;

/// The levels of the lines about the ledger's disk, in order.
fn levels(log: &[String]) -> Vec<String> {
    let lines = log.iter().filter(|line| is_event(line, "ledger"));
    let lines = lines.map(|line| serde_json::from_str(line).expect("it was just read"));
    lines
        .map(|line: serde_json::Value| line["level"].as_str().expect("a level").to_owned())
        .collect()
}

#[test]
fn a_disk_that_hangs_delays_no_seed_in_best_effort_and_all_in_required() {
    for_each_case(&["best-effort", "required"], 2, |mode| {
        let required = *mode == "required";
        let scene = Scene::new(2, &json!({ "mode": mode }));
        let qseed = scene.site.start();
        scene.faulty.wait_seeds(0, 2);
        scene.faulty.wait_seeds(1, 2);
        let strace = Strace::inject(&qseed, "ledger", "fdatasync:delay_enter=10000000:when=1");
        let line = qseed.event("ledger");
        let message = line["message"].as_str().expect("a text");
        assert!(message.contains("has not answered for 5 s"), "{message}");
        // The disk goes on hanging for five seconds.
        let (before, began) = (scene.injected(), Instant::now());
        while began.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let meanwhile = scene.injected() - before;
        if required {
            assert_eq!(meanwhile, 0, "no seed leaves");
        } else {
            assert!(meanwhile >= 4, "{meanwhile} seeds in 3 s");
        }
        for token in [0, 1] {
            scene.faulty.wait_next_seed(token);
        }
        qseed.log.wait_from(0, "the end", |line| {
            is_event(line, "ledger") && line.contains("written again")
        });
        drop(strace);
        let log = qseed.stop();
        assert_eq!(levels(&log), ["error", "info"]);
        let checked = scene.ledger.check();
        assert!(!checked.events().contains(&"lost"));
        assert_eq!(
            checked.seeded().len(),
            scene.injected(),
            "each seed is recorded"
        );
        if required {
            assert!(intended(&checked).len() >= scene.injected());
        }
    });
}

#[test]
fn a_failed_sync_loses_and_doubles_no_record() {
    for_each_case(&["best-effort", "required"], 2, |mode| {
        let scene = Scene::new(2, &json!({ "mode": mode }));
        let qseed = scene.site.start();
        scene.faulty.wait_seeds(0, 2);
        for _ in 0..3 {
            let strace = Strace::inject(&qseed, "ledger", "fdatasync:error=EIO:when=1..3");
            let known = qseed.log.count();
            let line = qseed.event_from(known, "ledger");
            assert!(
                line["message"].to_string().contains("Input/output error"),
                "{line}"
            );
            qseed
                .log
                .wait_from(known, "the end", |line| line.contains("written again"));
            drop(strace);
            scene.faulty.wait_next_seed(1);
        }
        let log = qseed.stop();
        assert_eq!(levels(&log).len(), 6);
        let checked = scene.ledger.check();
        assert!(!checked.events().contains(&"lost"));
        assert_eq!(checked.seeded().len(), scene.injected());
    });
}

#[test]
fn a_read_only_disk_stops_injection_in_required_alone_and_the_ledger_goes_on() {
    for_each_case(&["best-effort", "required"], 2, |mode| {
        let required = *mode == "required";
        let scene = Scene::new(1, &json!({ "mode": mode }));
        let disk = SmallDisk::new(&scene.site);
        let qseed = Qseed::start(&mut disk.command());
        scene.faulty.wait_seeds(0, 2);
        disk.make_read_only();
        let line = qseed.event("ledger");
        assert!(line["message"].to_string().contains("Read-only"), "{line}");
        std::thread::sleep(Duration::from_secs(2));
        let before = scene.injected();
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(scene.injected() == before, required);
        disk.make_writable();
        qseed
            .log
            .wait_from(0, "the end", |line| line.contains("written again"));
        scene.faulty.wait_next_seed(0);
        let text = std::fs::read(disk.path("audit.jsonl")).expect("a ledger");
        let log = qseed.stop();
        assert_eq!(levels(&log), ["error", "info"]);
        assert!(
            !log.iter().any(|line| line.contains("cannot be continued")),
            "{log:?}"
        );
        assert!(text.starts_with(b"{\"seq\":0,"));
    });
}
