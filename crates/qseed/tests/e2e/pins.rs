//! PINs: a refused one is never presented again, and no partition is ever locked.

use std::time::Duration;

use qseed_faulty_token::{Action, Ckr, Function, Rule, TokenFlag, User};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{Qseed, is_event, kill, qseed, run};
use crate::support::faulty::{Faulty, calls_of, seeds_of};
use crate::support::site::Site;
use crate::support::{PATIENCE, service};

pub(crate) const RIGHT: &str = "1234";

const WRONG: &str = "9999";

/// Waits until a partition is said to fail for this reason.
pub(crate) fn wait_failed(qseed: &Qseed, partition: &str, fault: &str) {
    qseed.log.wait(&format!("{partition}: {fault}"), |line| {
        failed(line, partition, fault)
    });
}

fn failed(line: &str, partition: &str, fault: &str) -> bool {
    is_event(line, "partition-failed")
        && serde_json::from_str::<Value>(line)
            .is_ok_and(|line| line["partition"] == partition && line["fault"] == fault)
}

/// Numbers that differ from run to run, for instants that nobody chose.
fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).expect("seeded");
    u64::from_le_bytes(bytes) % below
}

#[test]
fn a_wrong_pin_is_presented_twice_at_most_however_often_qseed_is_killed() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.defaults.user.tries = Some(3);
        // Long enough to be killed in the middle of it.
        faults.latency_us.insert(Function::Login, 20_000);
    });
    let pin = site.write_secret("pin", WRONG);
    let pin = format!("file:{}", pin.display());
    let partitions = json!([faulty.partition_with_pin("p", 0, &pin)]);
    site.configure_full(&site.full(&service, &partitions));
    for _ in 0..20 {
        let qseed = site.start();
        // A random instant: nothing happens that it could wait for.
        qseed.ended_within(Duration::from_millis(random(150)));
        qseed.kill();
    }
    let qseed = site.start();
    qseed.log.wait("the PIN's end", |line| {
        failed(line, "p", "pin-refused") || failed(line, "p", "pin-held")
    });
    let presented = faulty.presentations(0);
    println!("presented {presented} times in 21 runs");
    // A second time only where a kill hid the first answer.
    assert!(presented <= 2, "presented {presented} times");
    // Killed in the middle of the call, the token may not have come to judging it.
    let wrong_pins = faulty.token.wrong_pins(0, User::USER).expect("a state");
    assert!(wrong_pins as usize <= presented, "{wrong_pins} counted");

    site.write_secret("pin", RIGHT);
    faulty.wait_seeds(0, 2);
    assert_eq!(
        faulty.presentations(0),
        presented + 1,
        "the right one, once"
    );
    qseed.stop();
}

#[test]
fn a_known_good_pin_survives_kills_as_well() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.defaults.user.tries = Some(3));
    let partitions = json!([faulty.partition_with_pin("p", 0, RIGHT)]);
    site.configure_full(&site.full(&service, &partitions));
    assert_eq!(site.once().code, Some(0));
    for _ in 0..5 {
        // Killed when the token has just answered: the outcome may not be written down yet, so
        // the PIN is presented once more.
        let known = calls_of(&faulty.token.record().expect("a record"), Function::Login);
        let qseed = site.start();
        faulty.wait(|record| calls_of(record, Function::Login) > known);
        qseed.kill();
        let qseed = site.start();
        faulty.wait_next_seed(0);
        qseed.stop();
    }
}

#[test]
fn a_pin_that_is_mended_in_the_file_is_tried_at_once() {
    // Where it is installed, its worker may not open the file that takes the place of the first one.
    for site in [Site::new(), Site::installed()] {
        is_tried_once_mended(&site);
    }
}

fn is_tried_once_mended(site: &Site) {
    let service = service();
    let faulty = Faulty::new(site.folder(), |faults| faults.defaults.user.tries = Some(3));
    let file = site.write_secret("pin", format!("{WRONG}\n"));
    let pin = format!("file:{}", file.display());
    let partitions = json!([faulty.partition_with_pin("p", 0, &pin)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    wait_failed(&qseed, "p", "pin-refused");
    let told = qseed.event("partition-failed");
    let message = told["message"].as_str().expect("a text");
    assert!(message.contains("qseed guard --clear p"), "{message}");
    site.write_secret("pin", format!("{RIGHT}\n"));
    // No restart, no signal, and much sooner than the five minutes of the next look.
    faulty.wait_seeds(0, 1);
    assert_eq!(faulty.presentations(0), 2);
    let log = qseed.stop();
    // qseed entered the wrong PIN itself, so the token's flag is no news.
    assert!(!log.iter().any(|line| is_event(line, "pin-count-low")));
}

#[test]
fn a_token_at_its_final_try_or_locked_is_offered_no_pin() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 5;
        faults.token(0).set_flags = vec![TokenFlag::UserPinFinalTry];
        faults.token(1).set_flags = vec![TokenFlag::UserPinLocked];
        faults.token(2).set_flags = vec![TokenFlag::SoPinFinalTry];
        faults.token(3).set_flags = vec![TokenFlag::SoPinLocked];
        // Flags of the other user's PIN say nothing about this one's.
        faults.token(4).set_flags = vec![TokenFlag::SoPinLocked, TokenFlag::UserPinCountLow];
    });
    let mut partitions: Vec<Value> = (0..5)
        .map(|n| faulty.partition_with_pin(&format!("p{n}"), n, RIGHT))
        .collect();
    for so in &mut partitions[2..4] {
        so["login"] = json!("so");
        so["pin"] = json!("5678");
    }
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    for n in 0..4 {
        wait_failed(&qseed, &format!("p{n}"), "pin-flagged");
    }
    faulty.wait_seeds(4, 1);
    qseed.stop();
    assert_eq!(
        [0, 1, 2, 3, 4].map(|token| faulty.presentations(token)),
        [0, 0, 0, 0, 1]
    );
}

#[test]
fn two_partitions_on_one_token_present_a_bad_pin_once() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.defaults.user.tries = Some(3);
        faults.latency_us.insert(Function::Login, 50_000);
    });
    let names = ["a", "b", "c"];
    let partitions = names.map(|name| faulty.partition_with_pin(name, 0, WRONG));
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    for name in names {
        qseed.log.wait(name, |line| {
            failed(line, name, "pin-refused") || failed(line, name, "pin-held")
        });
    }
    qseed.stop();
    assert_eq!(faulty.presentations(0), 1);
}

#[test]
fn without_a_state_directory_no_pin_is_presented_known_or_not() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let one = json!([faulty.partition_with_pin("known", 0, RIGHT)]);
    let both = json!([
        faulty.partition_with_pin("known", 0, RIGHT),
        faulty.partition_with_pin("new", 1, RIGHT),
    ]);
    site.configure_full(&site.full(&service, &one));
    assert_eq!(site.once().code, Some(0));
    let aside = site.path("aside");
    std::fs::rename(site.state_dir(), &aside).expect("moved");

    // A file in the folder's place stops root as well.
    std::fs::write(site.state_dir(), "").expect("written");
    site.configure_full(&site.full(&service, &both));
    let qseed = site.start();
    let told = qseed.event("guard-file");
    let message = told["message"].as_str().expect("a text");
    assert!(message.contains("state_dir"), "{told}");
    for name in ["known", "new"] {
        wait_failed(&qseed, name, "pin-unavailable");
    }
    assert_eq!([faulty.presentations(0), faulty.presentations(1)], [1, 0]);
    // As soon as there is one, they go on.
    std::fs::remove_file(site.state_dir()).expect("removed");
    std::fs::rename(&aside, site.state_dir()).expect("moved");
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(1);
    qseed.stop();
}

#[test]
fn on_a_read_only_state_directory_no_pin_is_presented() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let partitions = json!([
        faulty.partition_with_pin("known", 0, RIGHT),
        faulty.partition_with_pin("new", 1, RIGHT),
    ]);
    site.configure_full(&site.full(&service, &json!([partitions[0]])));
    assert_eq!(site.once().code, Some(0));
    site.configure_full(&site.full(&service, &partitions));
    // In a mount namespace of its own, the folder is read-only for root too.
    let folder = site.state_dir();
    let script = format!(
        "mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}' && exec \"$@\"",
        folder.display()
    );
    let mut command = std::process::Command::new("unshare");
    crate::support::daemon::untouched(&mut command);
    command.args([
        "--map-root-user",
        "--mount",
        "--",
        "sh",
        "-c",
        &script,
        "sh",
    ]);
    command.arg(crate::support::daemon::QSEED).arg("run");
    command.arg("--config").arg(site.config_path());
    let qseed = Qseed::start(&mut command);
    for name in ["known", "new"] {
        wait_failed(&qseed, name, "pin-unavailable");
    }
    qseed.stop();
    assert_eq!([faulty.presentations(0), faulty.presentations(1)], [1, 0]);
}

#[test]
fn the_operator_lets_a_pin_be_tried_again() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.defaults.user.tries = Some(5));
    let partitions = json!([faulty.partition_with_pin("issuing-ca", 0, WRONG)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    wait_failed(&qseed, "issuing-ca", "pin-refused");
    wait_held_in_file(&site);
    let guard = |clear: Option<&str>| {
        let mut command = self::qseed();
        command.arg("guard").arg("--config").arg(site.config_path());
        run(command.args(clear.map(|name| ["--clear", name]).into_iter().flatten()))
    };
    let listed = guard(None);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    for said in ["issuing-ca\n", "CKR_PIN_INCORRECT"] {
        assert!(listed.output.contains(said), "{said}: {listed:?}");
    }
    // Cleared while it is still wrong: one more presentation, and held back again.
    assert_eq!(guard(Some("issuing-ca")).code, Some(0));
    faulty.wait(|record| calls_of(record, Function::Login) == 2);
    // The token is mended instead of the configuration.
    faulty
        .token
        .set(|faults| faults.defaults.user.pin = Some(WRONG.to_owned()))
        .expect("written");
    wait_held_in_file(&site);
    assert_eq!(faulty.presentations(0), 2);
    assert_eq!(guard(Some("issuing-ca")).code, Some(0));
    faulty.wait_seeds(0, 1);
    assert_eq!(faulty.presentations(0), 3);
    assert_eq!(guard(Some("no-such")).code, Some(64), "no such partition");
    qseed.stop();
}

/// Waits until the guard lists a PIN as held back.
fn wait_held_in_file(site: &Site) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let listed = run(qseed().arg("guard").arg("--config").arg(site.config_path()));
        if listed.output.contains("CKR_PIN_INCORRECT") {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{listed:?}");
    }
}

#[test]
fn a_pin_whose_outcome_a_crash_hid_is_presented_once_more_and_no_third_time() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 3;
        let crash = Rule::new(Function::Login, Action::Segfault);
        let rules = &mut faults.rules;
        rules.push(crash.clone().token(0).times(1).across_processes());
        rules.push(crash.token(1).after_work());
    });
    let partitions: Vec<Value> = (0..3)
        .map(|n| faulty.partition_with_pin(&format!("p{n}"), n, RIGHT))
        .collect();
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    faulty.wait_next_seed(0);
    wait_failed(&qseed, "p1", "pin-held");
    faulty.wait_next_seed(2);
    qseed.stop();
    assert_eq!(faulty.presentations(1), 2);
}

#[test]
fn what_a_check_learnt_counts_for_a_daemon_that_believes_the_pin_good() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let partitions = json!([faulty.partition_with_pin("p", 0, RIGHT)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    faulty.wait_next_seed(0);
    // The PIN is changed at the token, and somebody checks.
    faulty
        .token
        .set(|faults| faults.defaults.user.pin = Some("another".to_owned()))
        .expect("steered");
    let mut check = self::qseed();
    check
        .args(["check", "--login", "--config"])
        .arg(site.config_path());
    assert_eq!(run(&mut check).code, Some(69));
    assert_eq!(faulty.presentations(0), 2);
    for worker in qseed.workers() {
        kill(worker, Signal::KILL);
    }
    wait_failed(&qseed, "p", "pin-held");
    qseed.stop();
    assert_eq!(faulty.presentations(0), 2);
}

#[test]
fn a_key_that_is_replaced_under_a_running_daemon_stops_all_presentations() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let pin = site.write_secret("pin", "9999");
    let mut partition = faulty.partition_with_pin("p", 0, "9999");
    partition["pin"] = json!(format!("file:{}", pin.display()));
    site.configure_full(&site.full(&service, &json!([partition])));
    let qseed = site.start();
    wait_failed(&qseed, "p", "pin-refused");
    site.write_secret("state/pin-guard.key", [7; 32]);
    site.write_secret("pin", "8888");
    wait_failed(&qseed, "p", "guard-lost");
    qseed.stop();
    assert_eq!(faulty.presentations(0), 1);
}

/// Modules answer a wrong PIN with codes that say nothing, too.
#[test]
fn a_pin_that_was_good_is_presented_twice_at_most_whatever_the_module_answers() {
    for ckr in [Ckr::FUNCTION_FAILED, Ckr::GENERAL_ERROR, Ckr(0x8000_000b)] {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |_| {});
        let partitions = json!([faulty.partition_with_pin("p", 0, RIGHT)]);
        site.configure_full(&site.full(&service, &partitions));
        assert_eq!(site.once().code, Some(0));
        let answers = Rule::new(Function::Login, Action::Answer(ckr)).after_work();
        faulty
            .token
            .set(|faults| faults.rules.push(answers))
            .expect("steered");
        for _ in 0..3 {
            let _ = site.once();
        }
        assert_eq!(
            faulty.presentations(0),
            3,
            "one was good, two were not: {ckr:?}"
        );
    }
}

/// A worker that is started anew for one partition's sake may be asked to end while others' PINs
/// are on their way to their tokens: those count as not presented, since they were not.
#[test]
fn a_restarted_module_costs_no_other_partition_its_pin() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 100;
        for token in (5..100).step_by(30) {
            let out_of_order = Rule::answer(Function::OpenSession, Ckr::HOST_MEMORY);
            faults
                .rules
                .push(out_of_order.token(token).times(1).across_processes());
        }
    });
    let partitions: Vec<Value> = (0..100)
        .map(|n| faulty.partition_with_pin(&format!("p{n}"), n, RIGHT))
        .collect();
    let mut config = site.full(&service, &json!(partitions));
    config["modules"] = json!([{ "path": faulty.module, "concurrency": 32 }]);
    site.configure_full(&config);
    let qseed = site.start();
    faulty.wait(|record| (0..100).all(|token| seeds_of(record, token) >= 1));
    let log = qseed.stop();
    assert!(!log.iter().any(|line| line.contains("pin-held")), "{log:?}");
}

/// The tokens of a TPM, or the PINs of a smart card, have one serial number and one counter.
#[test]
fn tokens_of_one_device_are_not_offered_a_pin_that_one_of_them_refused() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 4;
        for token in 0..4 {
            faults.token(token).serial = "0000000000000000".to_owned();
            faults.token(token).user.tries = Some(3);
        }
    });
    let pin = site.write_secret("pin", WRONG);
    let pin = format!("file:{}", pin.display());
    let partition = |n| {
        let mut partition = faulty.partition_with_pin(&format!("p{n}"), n, &pin);
        partition["token"] = json!(format!("pkcs11:token=faulty-{n}"));
        partition
    };
    let partitions: Vec<Value> = (0..4).map(partition).collect();
    site.configure_full(&site.full(&service, &json!(partitions)));
    let presented = || (0..4).map(|n| faulty.presentations(n)).sum::<usize>();
    for _ in 0..2 {
        let qseed = site.start();
        for n in 0..4 {
            qseed.log.wait(&format!("p{n}'s end"), |line| {
                failed(line, &format!("p{n}"), "pin-refused")
                    || failed(line, &format!("p{n}"), "pin-held")
                    || failed(line, &format!("p{n}"), "pin-unavailable")
            });
        }
        assert_eq!(presented(), 1);
        qseed.stop();
    }
    let qseed = site.start();
    site.write_secret("pin", RIGHT);
    faulty.wait(|record| (0..4).all(|token| seeds_of(record, token) >= 1));
    assert_eq!(presented(), 5, "one wrong, and each one right");
    qseed.stop();
}
