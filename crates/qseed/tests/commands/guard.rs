//! `qseed guard`.

use std::process::Stdio;
use std::time::Instant;

use qseed_faulty_token::Function;

use super::bench::{Bench, PATIENCE, PIN, Ran, Vendor, mode, qseed, qseed_of_nobody};

/// Partitions whose PINs were refused, two of which are one token with one PIN.
fn refused() -> (Bench, Vendor) {
    let bench = Bench::new();
    let module = bench.module("vendor", |faults| faults.slots = 2);
    let name = module.name();
    bench.config(&format!(
        "partitions:\n\
         - {{name: issuing-ca, module: {name}, slot: 0, pin: 987654}}\n\
         - {{name: issuing-ca-2, module: {name}, slot: 0, pin: 987654}}\n\
         - {{name: timestamping, module: {name}, slot: 1, pin: 987654}}\n\
         - {{name: open, module: {name}, slot: 1, login: none}}\n"
    ));
    assert_eq!(bench.check(&["--login"]).code, 69);
    assert_eq!(module.logins(), 2);
    (bench, module)
}

fn held(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let held = document["held"].as_array().expect("a list");
    let name = |held: &serde_json::Value| held["partition"].as_str().expect("a name").to_owned();
    held.iter().map(name).collect()
}

#[test]
fn where_no_pin_was_ever_presented_nothing_is_held() {
    let bench = Bench::new();
    bench.config("partitions: [{name: p, module: /m.so, slot: 0, login: none}]\n");
    let ran = bench.command("guard", &[]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "No PIN is held back.\n"),
        "{ran:?}"
    );
    assert!(held(&bench.command("guard", &["--json"])).is_empty());
    let ran = bench.command("guard", &["--clear", "p"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "No PIN of p is held back.\n"),
        "{ran:?}"
    );
    assert!(!bench.state().exists(), "looking leaves nothing behind");
}

#[test]
fn pins_held_back_are_listed_with_cause_and_advice() {
    let (bench, _) = refused();
    let ran = bench.command("guard", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in [
        "2 PINs are held back",
        "issuing-ca\n",
        "timestamping\n",
        "since  20",
        "the token refused it (C_Login: CKR_PIN_INCORRECT)",
        "qseed guard --clear timestamping",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let ran = bench.command("guard", &["--json"]);
    let document = ran.json();
    assert_eq!(document["held"][0]["standing"], "refused");
    assert_eq!(document["held"][0]["configured"], true);
    assert_eq!(document["held"][0]["answer"], "C_Login: CKR_PIN_INCORRECT");
    assert_eq!(held(&ran), ["issuing-ca", "timestamping"]);
}

#[test]
fn clearing_lets_that_partitions_pin_be_tried_again_and_no_other() {
    let (bench, module) = refused();
    let ran = bench.command("guard", &["--clear", "timestamping", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["cleared"]["pins"], 1);
    assert_eq!(held(&ran), ["issuing-ca"]);
    assert_eq!(held(&bench.command("guard", &["--json"])), ["issuing-ca"]);
    assert_eq!(bench.check(&["--login"]).code, 69);
    assert_eq!(
        module.logins(),
        3,
        "the cleared one alone was presented again"
    );
}

#[test]
fn of_partitions_that_are_one_token_with_one_pin_any_name_clears_it() {
    let (bench, _) = refused();
    let ran = bench.command("guard", &["--clear", "issuing-ca-2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("may be tried again"), "{ran:?}");
    assert_eq!(held(&bench.command("guard", &["--json"])), ["timestamping"]);
    let ran = bench.command("guard", &["--clear", "open"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.out.contains("No PIN of open is held back.") && ran.out.contains("\ntimestamping\n"),
        "{ran:?}"
    );
}

#[test]
fn an_unknown_name_gets_similar_names() {
    let (bench, _) = refused();
    let ran = bench.command("guard", &["--clear", "isuing-ca"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(ran.err.contains("did you mean issuing-ca"), "{ran:?}");
    let ran = bench.command("guard", &["--clear", "qqqq"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("timestamping"), "{ran:?}");
    assert_eq!(held(&bench.command("guard", &["--json"])).len(), 2);
}

#[test]
fn a_broken_configuration_does_not_stand_in_the_way() {
    let (bench, _) = refused();
    bench.write("qseed.yml", "nonsense: true\n");
    let ran = bench.command("guard", &["--clear", "timestamping"]);
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("--state-dir"), "{ran:?}");
    let state = bench.state();
    let state = state.to_str().expect("UTF-8");
    let ran = Ran::of(qseed().args(["guard", "--state-dir", state, "--clear", "timestamping"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = Ran::of(qseed().args(["guard", "--state-dir", state, "--json"]));
    assert_eq!(held(&ran), ["issuing-ca"]);
    let ran = Ran::of(qseed().args(["guard", "--state-dir", state, "--clear", "nobody"]));
    assert_eq!(ran.code, 64);
}

#[test]
fn a_partition_that_left_the_configuration_can_still_be_cleared() {
    let (bench, module) = refused();
    let name = module.name();
    bench.config(&format!(
        "partitions: [{{name: open, module: {name}, slot: 1, login: none}}]\n"
    ));
    let ran = bench.command("guard", &["--json"]);
    assert_eq!(ran.json()["held"][0]["configured"], false);
    let ran = bench.command("guard", &["--clear", "open"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in [
        "No PIN of open is held back.",
        "under another name, is blocked by it",
        "qseed guard --clear issuing-ca\n",
    ] {
        assert!(ran.out.contains(words), "{words}: {ran:?}");
    }
    let ran = bench.command("guard", &[]);
    let words = "under another name, is blocked by it";
    assert!(ran.out.contains(words), "{ran:?}");
    assert_eq!(bench.command("guard", &["--clear", "issuing-ca"]).code, 0);
    assert_eq!(held(&bench.command("guard", &["--json"])), ["timestamping"]);
}

#[test]
fn where_another_pin_was_accepted_since_nothing_is_to_be_done() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let name = module.name();
    let configure = |pin: &str| {
        bench.config(&format!(
            "partitions: [{{name: ca, module: {name}, slot: 0, pin: {pin}}}]\n"
        ));
    };
    configure("987654");
    assert_eq!(bench.check(&["--login"]).code, 69);
    let told = |superseded: bool| {
        let document = bench.command("guard", &["--json"]).json();
        assert_eq!(document["held"][0]["superseded"], superseded, "{document}");
        bench.command("guard", &[]).out
    };
    assert!(told(false).contains("put the right PIN into the configuration"));
    configure(PIN);
    assert_eq!(bench.check(&["--login"]).code, 0);
    let text = told(true);
    assert!(text.contains("to do  nothing: another PIN"), "{text}");
    assert!(!text.contains("right PIN"), "{text}");
}

#[test]
fn a_state_directory_that_is_not_there_is_no_answer() {
    let bench = Bench::new();
    let folder = bench.path("nope").display().to_string();
    for more in [&[][..], &["--json"], &["--clear", "p"]] {
        let mut command = qseed();
        let ran = Ran::of(command.args(["guard", "--state-dir", &folder]).args(more));
        assert_eq!((ran.code, ran.out.as_str()), (69, ""), "{ran:?}");
        assert!(ran.err.contains(&folder), "{ran:?}");
    }
}

#[test]
fn an_unusable_file_is_reported_with_the_cause() {
    let (bench, _) = refused();
    bench.open_to_all();
    mode(&bench.path("qseed.yml"), 0o644);
    mode(&bench.state(), 0o000);
    let ran = Ran::of(bench.prepared(&mut qseed_of_nobody(), "guard", &[]));
    mode(&bench.state(), 0o700);
    assert_eq!(ran.code, 77, "{ran:?}");
    bench.write("state/pin-guard.jsonl", "something else\n");
    let ran = bench.command("guard", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("line 1") && ran.out.contains("qseed guard --reset"),
        "{ran:?}"
    );
    std::fs::remove_dir_all(bench.state()).expect("removed");
    bench.write("state", "in the way");
    assert_eq!(bench.command("guard", &[]).code, 78);
}

#[test]
fn a_lost_file_lets_nobody_log_in_until_a_reset() {
    let (bench, module) = refused();
    std::fs::remove_file(bench.path("state/pin-guard.jsonl")).expect("removed");
    for _ in 0..2 {
        assert_eq!(bench.check(&["--login"]).code, 77);
        let ran = bench.command("guard", &[]);
        assert!(ran.out.contains("qseed guard --reset"), "{ran:?}");
    }
    assert_eq!(module.logins(), 2, "none since then");
    let ran = bench.command("guard", &["--reset"]);
    assert!(ran.out.contains("starts again"), "{ran:?}");
    assert_eq!(bench.check(&["--login"]).code, 69);
    assert_eq!(module.logins(), 4, "nothing is known any more");
    let ran = bench.command("guard", &["--reset"]);
    assert!(ran.out.contains("Nothing was lost"), "{ran:?}");
}

#[test]
fn a_lost_key_lets_nobody_log_in_until_a_reset() {
    let (bench, module) = refused();
    std::fs::remove_file(bench.path("state/pin-guard.key")).expect("removed");
    assert_eq!(bench.check(&["--login"]).code, 77);
    assert_eq!(module.logins(), 2, "none since then");
    let ran = bench.command("guard", &["--reset", "--json"]);
    assert_eq!(ran.json()["reset"], true, "{ran:?}");
    assert_eq!(bench.check(&["--login"]).code, 69);
    assert_eq!(module.logins(), 4, "with a key made since then");
}

#[test]
fn listing_writes_nothing_and_follows_no_link() {
    let (bench, _) = refused();
    let file = bench.path("state/pin-guard.jsonl");
    let elsewhere = bench.path("elsewhere");
    std::fs::rename(&file, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("linked");
    let before = std::fs::read(&elsewhere).expect("readable");
    for more in [&[][..], &["--clear", "timestamping"], &["--reset"]] {
        let ran = bench.command("guard", more);
        assert_eq!(ran.code, 77, "{ran:?}");
    }
    assert_eq!(std::fs::read(&elsewhere).expect("readable"), before);
    std::fs::remove_file(&file).expect("removed");
    std::fs::rename(&elsewhere, &file).expect("moved back");
    let times = || {
        std::fs::metadata(&file)
            .and_then(|it| it.modified())
            .expect("a file")
    };
    let before = (
        times(),
        std::fs::read_dir(bench.state()).expect("a folder").count(),
    );
    assert_eq!(held(&bench.command("guard", &["--json"])).len(), 2);
    let after = (
        times(),
        std::fs::read_dir(bench.state()).expect("a folder").count(),
    );
    assert_eq!(before, after);
}

/// Ends the daemon with the test, however that ends.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_daemon_notices_a_clear() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let name = module.name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {name}, slot: 0, pin: 987654}}]\n"
    ));
    let mut command = qseed();
    let command = bench
        .prepared(&mut command, "run", &[])
        .stdout(Stdio::null());
    let _daemon = Daemon(command.spawn().expect("qseed starts"));
    let presented = |times: usize| {
        let waited = module.token.wait_for(PATIENCE, |record| {
            let ended = record
                .iter()
                .filter(|line| line.ended(Function::Login).is_some());
            ended.count() == times
        });
        waited.unwrap_or_else(|error| panic!("{times} presentations: {error}"));
    };
    presented(1);
    // The daemon writes the refusal down after the token's answer.
    let deadline = Instant::now() + PATIENCE;
    while held(&bench.command("guard", &["--json"])).is_empty() {
        assert!(Instant::now() < deadline, "the refusal is not written down");
    }
    let ran = bench.command("guard", &["--clear", "ca"]);
    assert!(ran.out.contains("may be tried again"), "{ran:?}");
    presented(2);
    assert_eq!(module.logins(), 2);
}
