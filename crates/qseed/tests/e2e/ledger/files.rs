//! The ledger's files are cut, replaced, restored or removed, or another daemon has them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use qseed_ledger::record::Body;
use serde_json::json;

use super::Scene;
use crate::support::daemon::is_event;

fn began(log: &[String]) -> Vec<String> {
    let lines = log.iter().filter(|line| is_event(line, "ledger-began"));
    lines.cloned().collect()
}

#[test]
fn each_run_is_recorded_and_signed_to_its_end() {
    let scene = Scene::new(1, &json!({}));
    for run in 1..=3 {
        let ended = scene.site.once();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let checked = scene.ledger.check();
        let count = |event| checked.events().iter().filter(|it| **it == event).count();
        let counts = [count("began"), count("started"), count("stopped")];
        assert_eq!(counts, [1, run, run]);
        assert_eq!(checked.seeded().len(), run);
        assert!(checked.is_signed_to_the_end());
        assert_eq!(checked.strong, 2 * run, "at the start and at the end");
    }
    let key = fs::read_to_string(scene.ledger.path("audit.key")).expect("a key");
    assert_eq!(key.len(), 45);
}

#[test]
fn a_torn_end_is_cut_off_and_recorded() {
    let scene = Scene::new(1, &json!({}));
    scene.site.once();
    let file = OpenOptions::new().append(true).open(scene.ledger.current());
    file.expect("a ledger")
        .write_all(b"{\"seq\":99,")
        .expect("written");
    let ended = scene.site.once();
    assert!(
        ended
            .output
            .lines()
            .any(|line| is_event(line, "ledger-recovered")),
        "{ended:?}"
    );
    let checked = scene.ledger.check();
    let recovered = checked.records.iter().find_map(|it| match &it.body {
        Body::Recovered(recovered) => Some(recovered.cut_bytes),
        _ => None,
    });
    assert_eq!(recovered, Some(10));
}

#[test]
fn a_cut_or_restored_ledger_is_set_aside_loudly() {
    for restored in [false, true] {
        let scene = Scene::new(1, &json!({}));
        scene.site.once();
        let old = fs::read(scene.ledger.current()).expect("a ledger");
        scene.site.once();
        let first = scene.ledger.check();
        let new = fs::read(scene.ledger.current()).expect("a ledger");
        let less = if restored {
            old
        } else {
            new[..new.len() * 2 / 3].to_vec()
        };
        fs::write(scene.ledger.current(), &less).expect("written");

        let ended = scene.site.once();
        assert_eq!(ended.code, Some(0), "it seeds all the same");
        let lines: Vec<String> = ended.output.lines().map(str::to_owned).collect();
        let lines = began(&lines);
        let [line] = &lines[..] else {
            panic!("{ended:?}")
        };
        assert!(
            line.contains("\"error\"") && line.contains("cannot be continued"),
            "{line}"
        );
        let second = scene.ledger.check();
        assert_ne!(first.origin, second.origin);
        let Body::Began(began) = &second.records[0].body else {
            panic!("{second:?}")
        };
        let previous = began.previous.as_ref().expect("a ledger before");
        // The last record is a checkpoint, of all before.
        let signed = first.records.len() as u64 - 1;
        assert_eq!((&previous.origin, previous.size), (&first.origin, signed));
        let older = scene.ledger.older();
        assert_eq!(older.len(), 1);
        assert_eq!(fs::read(scene.ledger.path(&older[0])).expect("kept"), less);
        // It is said once.
        let ended = scene.site.once();
        assert!(!ended.output.contains("ledger-began"), "{ended:?}");
    }
}

#[test]
fn a_file_that_is_removed_or_replaced_under_a_daemon_is_not_signed() {
    for replaced in [false, true] {
        let scene = Scene::new(1, &json!({ "mode": "required" }));
        let qseed = scene.site.start();
        scene.faulty.wait_seeds(0, 2);
        let first = scene.ledger.check().origin;
        fs::remove_file(scene.ledger.current()).expect("removed");
        if replaced {
            fs::write(scene.ledger.current(), "not a ledger\n").expect("written");
        }
        let known = qseed.log.count();
        scene.faulty.wait_next_seed(0);
        scene.faulty.wait_next_seed(0);
        let line = qseed.event_from(known, "ledger-began");
        assert_eq!(line["level"], "error");
        let log = qseed.stop();
        assert_eq!(began(&log).len(), 2, "the first one, and this");
        assert!(
            !log.iter().any(|line| is_event(line, "ledger")),
            "no outage"
        );
        let second = scene.ledger.check();
        assert_ne!(first, second.origin);
        assert!(second.is_signed_to_the_end());
        assert_eq!(scene.ledger.older().len(), usize::from(replaced));
    }
}

#[test]
fn a_second_daemon_is_refused_and_disturbs_nothing() {
    let scene = Scene::new(1, &json!({}));
    let qseed = scene.site.start();
    scene.faulty.wait_seeds(0, 1);
    let refused = scene.site.once();
    assert_eq!(refused.code, Some(75), "{refused:?}");
    assert!(
        refused
            .errors
            .contains("another qseed process writes the ledger")
    );
    scene.faulty.wait_next_seed(0);
    qseed.stop();
    let checked = scene.ledger.check();
    assert!(
        checked
            .events()
            .iter()
            .filter(|it| **it == "started")
            .count()
            == 1
    );
}

#[test]
fn a_full_file_is_rotated_under_a_daemon_and_a_reload_changes_its_size() {
    let audit = |size: &str| json!({ "rotate": { "size": size, "keep": 3 } });
    let scene = Scene::new(5, &audit("1GiB"));
    let qseed = scene.site.start();
    scene.faulty.wait_seeds(0, 3);
    assert!(scene.ledger.older().is_empty());
    let config = fs::read_to_string(scene.site.config_path()).expect("a file");
    scene.site.configure(&config.replace("1GiB", "16KiB"));
    qseed.signal(rustix::process::Signal::HUP);
    qseed.event("reloaded");
    while scene.ledger.older().len() < 2 {
        scene.faulty.wait_next_seed(0);
    }
    qseed.stop();
    let checked = scene.ledger.check();
    assert_eq!(checked.records[0].seq, 0, "nothing is gone yet");
    assert_eq!(checked.seeded().len(), scene.injected());
}
