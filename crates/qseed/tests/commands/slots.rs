//! `qseed slots`.

use std::path::Path;
use std::process::Stdio;

use qseed_faulty_token::{Action, Ckr, Function, Rule, TokenFlag};

use qseed_real_tokens::{SOFTHSM, SOFTOKN, SoftHsm, nss_database};

use super::bench::{Bench, Ran, Vendor, mode, qseed, qseed_of_nobody};

fn slots(module: &Path, more: &[&str]) -> Ran {
    Ran::of(qseed().arg("slots").arg("--module").arg(module).args(more))
}

#[test]
fn softhsm_is_called_a_software_token_and_its_uri_can_be_pasted() {
    let bench = Bench::new();
    let hsm = SoftHsm::with_tokens(&["My First Token"]);
    // SoftHSM's serial numbers and slot ids are random, so the PIN may be a part of one.
    let output = |json: &[&str]| {
        let mut command = qseed();
        command
            .env("SOFTHSM2_CONF", hsm.conf())
            .args(["slots", "--module", SOFTHSM])
            .args(json);
        let output = command.output().expect("qseed starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = output(&[]);
    for words in [
        "My First Token",
        "software token",
        "RNG, login required",
        "not initialised",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let document: serde_json::Value = serde_json::from_str(&output(&["--json"])).expect("JSON");
    assert_eq!(document["library"]["manufacturer"], "SoftHSM");
    let of_state = |state: &str| {
        let slots = document["slots"].as_array().expect("slots");
        slots
            .iter()
            .find(|slot| slot["state"] == state)
            .expect("a slot")
    };
    let token = of_state("token");
    assert_eq!(token["token"]["generator"], "calling-process");
    assert_eq!(of_state("uninitialised")["uri"], serde_json::Value::Null);
    let uri = token["uri"].as_str().expect("a URI");
    assert!(text.contains(&format!("paste     token: {uri}")), "{text}");

    bench.config(&format!(
        "partitions: [{{name: p, module: {SOFTHSM}, login: none, token: \"{uri}\"}}]\n\
         modules: [{{path: {SOFTHSM}, environment: {{SOFTHSM2_CONF: {}}}}}]\n",
        hsm.conf().display()
    ));
    let mut command = qseed();
    let check = bench
        .prepared(&mut command, "check", &[])
        .output()
        .expect("qseed starts");
    let check = String::from_utf8(check.stdout).expect("UTF-8");
    assert!(
        check.contains("ok       partition p: token \"My First Token\""),
        "{check}"
    );
}

#[test]
fn nss_is_listed_with_its_text_for_the_start() {
    let bench = Bench::new();
    let text = nss_database(bench.folder.path());
    let without = slots(Path::new(SOFTOKN), &[]);
    assert_eq!(without.code, 69);
    assert!(
        without.err.contains("C_Initialize: CKR_ARGUMENTS_BAD"),
        "{without:?}"
    );
    assert!(without.err.contains("--init-args"), "{without:?}");
    let with = slots(Path::new(SOFTOKN), &["--init-args", &text]);
    assert_eq!(with.code, 0, "{with:?}");
    assert!(with.out.contains("software token"), "{with:?}");
}

/// Tokens with something to say.
fn vendor(bench: &Bench) -> Vendor {
    bench.module("vendor", |faults| {
        faults.slots = 6;
        faults.token(1).set_flags = vec![TokenFlag::UserPinFinalTry];
        faults.token(2).set_flags = vec![TokenFlag::UserPinLocked, TokenFlag::SoPinCountLow];
        faults.token(2).clear_flags = vec![TokenFlag::Rng];
        faults.remove(3);
        faults
            .rules
            .push(Rule::answer(Function::GetTokenInfo, Ckr::DEVICE_ERROR).token(4));
        "faulty-0".clone_into(&mut faults.token(5).label);
        "FT0".clone_into(&mut faults.token(5).serial);
    })
}

#[test]
fn every_slot_and_flag_is_listed() {
    let bench = Bench::new();
    let ran = slots(&vendor(&bench).path, &["--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let document = ran.json();
    let slots = document["slots"].as_array().expect("slots");
    let states: Vec<_> = slots.iter().map(|slot| slot["state"].as_str()).collect();
    let states: Vec<_> = states
        .into_iter()
        .map(|state| state.expect("a state"))
        .collect();
    assert_eq!(
        states,
        ["token", "token", "token", "empty", "unreadable", "token"]
    );
    let has = |slot: usize, flag: &str| {
        let flags = slots[slot]["token"]["flags"].as_array().expect("flags");
        flags.iter().any(|is| is == flag)
    };
    assert!(has(0, "rng") && has(0, "login_required") && !has(0, "user_pin_final_try"));
    assert!(has(1, "user_pin_final_try"));
    assert!(has(2, "user_pin_locked") && has(2, "so_pin_count_low") && !has(2, "rng"));
    assert_eq!(slots[1]["uri_matches"], 1);
    assert_eq!(slots[5]["uri_matches"], 2);
    let error = slots[4]["error"].as_str().expect("an error");
    assert!(
        error.contains("C_GetTokenInfo: CKR_DEVICE_ERROR"),
        "{error}"
    );
}

#[test]
fn the_text_shows_the_same_as_json() {
    let bench = Bench::new();
    let vendor = vendor(&bench);
    let ran = slots(&vendor.path, &[]);
    assert_eq!(ran.code, 0);
    for words in [
        "slot 0 (0x0): faulty slot 0",
        "serial    FT1",
        "firmware 1.0",
        "USER PIN FINAL TRY",
        "USER PIN LOCKED",
        "SO PIN COUNT LOW",
        "NO RNG",
        "token     none",
        "CKR_DEVICE_ERROR",
        "this URI matches 2 tokens",
        "paste     token: pkcs11:token=faulty-1;",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert_eq!(vendor.logins(), 0);
}

#[test]
fn a_module_that_does_not_answer_is_reported_with_the_cause() {
    let bench = Bench::new();
    let text = bench.write("module.so", "no library");
    let broken = |name: &str, rule: Rule| bench.module(name, |faults| faults.rules.push(rule)).path;
    let initialize = Rule::answer(Function::Initialize, Ckr::HOST_MEMORY);
    let list = Rule::answer(Function::GetSlotList, Ckr::GENERAL_ERROR);
    let crash = Rule::new(Function::GetSlotList, Action::Segfault);
    let exit = Rule::new(Function::GetSlotInfo, Action::Exit(3));
    for (module, words) in [
        (bench.path("missing.so"), "cannot open shared object file"),
        (text, "cannot load the module"),
        (
            "/usr/lib/x86_64-linux-gnu/libc.so.6".into(),
            "no PKCS#11 module",
        ),
        (
            broken("initialize", initialize),
            "C_Initialize: CKR_HOST_MEMORY",
        ),
        (broken("list", list), "C_GetSlotList: CKR_GENERAL_ERROR"),
        (broken("crash", crash), "ended its process (signal: 11"),
        (broken("exit", exit), "ended its process (exit status: 3"),
    ] {
        let ran = slots(&module, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (69, ""), "{ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
        let ran = slots(&module, &["--json"]);
        let error = ran.json()["error"].as_str().expect("a text").to_owned();
        assert!(ran.code == 69 && error.contains(words), "{words}: {ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_modules_output_is_marked_as_such_even_if_it_fails() {
    let bench = Bench::new();
    let noise = "cannot open /etc/Chrystoki.conf\n".to_owned();
    let module = bench.module("noisy", |faults| {
        faults
            .rules
            .push(Rule::new(Function::Initialize, Action::Stderr(noise)));
    });
    let line = "qseed: the module wrote: cannot open /etc/Chrystoki.conf\n";
    let ran = slots(&module.path, &["--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, line));
    let written = &ran.json()["module_output"];
    assert_eq!(written[0], "cannot open /etc/Chrystoki.conf");
    let set = module.token.set(|faults| {
        faults
            .rules
            .push(Rule::answer(Function::Initialize, Ckr::GENERAL_ERROR));
    });
    set.expect("steered");
    let ran = slots(&module.path, &[]);
    assert_eq!(ran.code, 69);
    assert!(ran.err.starts_with(line), "{ran:?}");
}

#[test]
fn a_broken_module_is_described_in_json_as_well() {
    let bench = Bench::new();
    let absent = slots(&bench.path("absent.so"), &["--json"]);
    assert_eq!(absent.code, 69, "{absent:?}");
    let document = absent.json();
    assert!(document["library"].is_null() && document["slots"] == serde_json::json!([]));
    let error = document["error"].as_str().expect("a text");
    assert!(absent.err.contains(error), "{absent:?}");
    let module = bench.module("crashes", |faults| {
        faults.slots = 3;
        let crash = Rule::new(Function::GetTokenInfo, Action::Abort).from(3);
        faults.rules.push(crash);
    });
    let crashed = slots(&module.path, &["--json"]);
    assert_eq!(crashed.code, 69, "{crashed:?}");
    let document = crashed.json();
    let read = document["slots"].as_array().expect("an array");
    assert_eq!(read.len(), 2, "what was read before");
    assert!(!document["error"].is_null());
    assert!(slots(&bench.module("well", |_| {}).path, &["--json"]).json()["error"].is_null());
}

#[test]
fn a_module_that_this_user_may_not_read_is_a_matter_of_permission() {
    let bench = Bench::new();
    let module = bench.module("closed", |_| {});
    bench.open_to_all();
    mode(&module.path, 0o000);
    let mut command = qseed_of_nobody();
    let ran = Ran::of(command.args(["slots", "--module"]).arg(&module.path));
    assert_eq!(ran.code, 77, "{ran:?}");
    assert!(ran.err.contains("Permission denied"), "{ran:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let module = bench.module("many", |faults| faults.slots = 500);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = qseed();
    command
        .args(["slots", "--json", "--module"])
        .arg(&module.path);
    let output = command
        .stdout(Stdio::from(writer))
        .output()
        .expect("qseed starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn without_a_module_there_is_nothing_to_list() {
    assert_eq!(Ran::of(qseed().arg("slots")).code, 64);
}
