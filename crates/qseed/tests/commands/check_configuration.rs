//! `qseed check`: the configuration and the files that it names.

use qseed_entropy_service::Options;

use super::bench::{Bench, PIN, Ran, TOKEN, mode, qseed, qseed_of_nobody, service};

#[test]
fn where_all_is_well_nothing_is_presented_injected_or_spent() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let service = service(Options::default().tls());
    let ca = service.ca_path().expect("with TLS");
    bench.write("token", TOKEN);
    bench.write("pin", PIN);
    let sources = format!(
        "sources: [{{name: sim, type: qrypt, url: \"{}\", access_token: \"file:{}\", tls: {{ca: {}}}}}]\n",
        service.url(),
        bench.path("token").display(),
        ca.display()
    );
    let partitions = format!(
        "partitions: [{{name: ca, module: {}, slot: 0, pin: \"file:{}\"}}]\n",
        module.name(),
        bench.path("pin").display()
    );
    bench.config_with(&sources, &partitions);

    let ran = bench.check(&["--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let document = ran.json();
    assert_eq!(document["result"], "ok", "{document:#}");
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        document["config"],
        bench.path("qseed.yml").to_str().expect("UTF-8")
    );
    let verdicts = document["verdicts"].as_array().expect("verdicts");
    for verdict in verdicts {
        assert!(
            verdict["text"].is_string() && verdict["check"].is_string(),
            "{verdict}"
        );
        assert_eq!(verdict["result"], "ok", "{verdict}");
    }
    for kind in ["configuration", "source", "module", "partition"] {
        let about = |verdict: &&serde_json::Value| verdict["subject"]["kind"] == kind;
        assert!(verdicts.iter().any(|verdict| about(&verdict)), "{kind}");
    }

    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.ends_with("\nAll is well.\n"), "{ran:?}");
    ran.verdict(
        "ok       partition ca: will be seeded with 48 bytes every 10 s, logged in as user",
        &[],
    );
    assert_eq!((module.logins(), module.seeds().len()), (0, 0));
    assert_eq!(
        service
            .served()
            .iter()
            .filter(|answer| answer.is_good())
            .count(),
        0
    );
    assert!(
        !bench.state().exists(),
        "a check without --login leaves nothing behind"
    );
}

#[test]
fn every_fault_of_the_file_is_listed_with_its_place() {
    let bench = Bench::new();
    bench.write(
        "qseed.yml",
        "sources: []\npartitons: []\nstate_dir: /x\nlisten: nowhere\n",
    );
    let ran = bench.check(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{ran:?}");
    let lines: Vec<_> = ran.err.lines().collect();
    assert!(lines.len() >= 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.contains("qseed.yml:")),
        "{lines:?}"
    );
    assert!(
        ran.err.contains(":2:1: ") && ran.err.contains("partitions"),
        "{ran:?}"
    );

    let ran = bench.check(&["--json"]);
    assert_eq!(ran.code, 78);
    let document = ran.json();
    assert_eq!(document["result"], "fault");
    assert_eq!(
        document["verdicts"].as_array().map(Vec::len),
        Some(lines.len())
    );
    assert_eq!(document["verdicts"][0]["subject"]["kind"], "configuration");
}

#[test]
fn faults_of_token_uris_are_listed_with_all_others() {
    let bench = Bench::new();
    bench.config(
        "partitions:\n\
         \x20 - {name: p, module: /m.so, login: none, token: 'pkcs11:tokn=a'}\n\
         \x20 - {name: q, module: /m.so, login: none, token: 'pkcs11:token=%zz'}\n\
         defaults: {size: 4x8}\n",
    );
    let ran = bench.check(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{ran:?}");
    let lines: Vec<_> = ran.err.lines().collect();
    let expected = [
        ":3:50: `token`: unknown attribute `tokn` (at character 8 of the URI); did you mean `token`?",
        ":4:50: `token`: % must be followed by two hexadecimal digits (at character 14 of the URI)",
        ":5:18: `size`: `4x8` is not a whole number",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line:?} {expected:?}");
    }
}

#[test]
fn a_rate_limit_that_is_too_low_is_warned_of() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let partitions = format!(
        "partitions: [{{name: ca, module: {}, slot: 0, pin: 864209, period: 1s}}]\n",
        module.name()
    );
    let source = |rate: &str| {
        format!("sources: [{{name: card, type: device, path: /dev/urandom, rate_limit: {rate}}}]\n")
    };
    bench.config_with(&source("1/1m"), &partitions);
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "warning  source card: the rate limit allows 1 request in 60 s, and 1 partition needs at least 60",
        &["seeds come late", "; fix: raise `rate_limit`", "make each `period` longer than 60 s"],
    );
    assert!(ran.out.ends_with("\nNo faults, 1 warning.\n"), "{ran:?}");
    bench.config_with(&source("60/1m"), &partitions);
    let ran = bench.check(&[]);
    assert!(ran.out.ends_with("\nAll is well.\n"), "{ran:?}");
}

#[test]
fn missing_and_unreadable_files_have_their_own_exit_codes() {
    let bench = Bench::new();
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("qseed.yml") && ran.err.contains("--config"),
        "{ran:?}"
    );
    bench.write("qseed.yml", "");
    bench.open_to_all();
    mode(&bench.path("qseed.yml"), 0o000);
    let ran = Ran::of(bench.prepared(&mut qseed_of_nobody(), "check", &["--json"]));
    assert_eq!(ran.code, 77, "{ran:?}");
    assert_eq!(ran.json()["verdicts"][0]["check"], "readable");
}

#[test]
fn secrets_that_others_can_read_are_refused_or_warned_of() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    bench.config(&format!(
        "partitions: [{{name: ca, module: {}, slot: 0, pin: 864209}}]\n",
        module.name()
    ));
    mode(&bench.path("qseed.yml"), 0o644);
    let ran = bench.check(&["--json"]);
    assert_eq!(ran.code, 77, "{ran:?}");
    let fix = ran.json()["verdicts"][0]["fix"].as_str().map(str::to_owned);
    assert!(
        fix.is_some_and(|fix| fix.starts_with("run: chmod o-rwx ")),
        "{ran:?}"
    );
    let ran = bench.check(&["--allow-readable-secrets"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "warning  configuration: ",
        &["other users can read", "chmod"],
    );
}

#[test]
fn secrets_that_cannot_be_read_are_faults_or_warnings_with_a_fix() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let pin = |reference: &str| {
        let module = module.name();
        bench.config(&format!(
            "partitions: [{{name: ca, module: {module}, slot: 0, pin: \"{reference}\"}}]\n"
        ));
        bench.check(&[])
    };
    let missing = format!("file:{}", bench.path("missing").display());
    bench.write("empty", "");
    let empty = format!("file:{}", bench.path("empty").display());
    std::fs::create_dir(bench.path("folder")).expect("made");
    let folder = format!("file:{}", bench.path("folder").display());
    let variable = "env:NO_SUCH_VARIABLE";
    for (reference, finding, words) in [
        // It may come later, or be there for the daemon alone.
        (missing.as_str(), "warning", "No such file"),
        (variable, "warning", "NO_SUCH_VARIABLE is not set"),
        ("credential:pin", "warning", "$CREDENTIALS_DIRECTORY"),
        (&empty, "fault  ", "it is empty"),
        (&folder, "fault  ", "it is a folder"),
    ] {
        let ran = pin(reference);
        assert_eq!(
            ran.code,
            if finding == "warning" { 0 } else { 78 },
            "{ran:?}"
        );
        let beginning = format!("{finding}  configuration: the PIN of partition ca: ");
        let line = ran.verdict(&beginning, &[words]);
        assert!(
            line.contains("; fix: ") && !line.contains("chmod"),
            "{line}"
        );
    }
}

#[test]
fn a_secret_of_another_user_is_a_matter_of_permission() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let pin = bench.write("pin", PIN);
    bench.config(&format!(
        "partitions: [{{name: ca, module: {}, slot: 0, pin: \"file:{}\"}}]\n",
        module.name(),
        pin.display()
    ));
    bench.open_to_all();
    mode(&pin, 0o000);
    mode(&bench.path("qseed.yml"), 0o644);
    let ran = Ran::of(bench.prepared(&mut qseed_of_nobody(), "check", &[]));
    assert_eq!(ran.code, 77, "{ran:?}");
    ran.verdict(
        "fault    configuration: the PIN of partition ca: ",
        &["Permission denied"],
    );
}

#[test]
fn an_unwritable_state_directory_is_a_fault_if_pins_are_presented() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let partition = |login: &str| {
        let module = module.name();
        format!("partitions: [{{name: ca, module: {module}, slot: 0, {login}}}]\n")
    };
    bench.write("state", "in the way");
    bench.config(&partition("pin: 864209"));
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    ran.verdict("fault    configuration: ", &["state", "presents no PIN"]);
    ran.verdict("fault    partition ca: no PIN was presented", &[]);
    assert_eq!(module.logins(), 0);
    bench.config(&partition("login: none"));
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_guard_that_holds_something_else_is_a_fault() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    std::fs::create_dir(bench.state()).expect("made");
    bench.write("state/pin-guard.jsonl", "hello\n");
    let module = module.name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {module}, slot: 0, pin: 864209}}]\n"
    ));
    let ran = bench.check(&[]);
    assert_ne!(ran.code, 0);
    ran.verdict(
        "fault    configuration: line 1 of the PIN guard's file is damaged",
        &["qseed guard --reset"],
    );
}

#[test]
fn a_state_directory_in_which_somebody_else_could_write_is_a_fault_with_its_mend() {
    let bench = Bench::new();
    let name = bench.module("vendor", |_| {}).name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {name}, slot: 0, pin: 111111}}]\n"
    ));
    std::fs::create_dir(bench.state()).expect("made");
    let wrong = [
        ("usage.jsonl", 0o622, "fix: run: chmod go-w "),
        ("pin-guard.key", 0o622, "fix: run: chmod go-rwx "),
        ("pin-guard.key", 0o644, "fix: run: chmod go-rwx "),
        ("", 0o777, "fix: run: chmod go-w "),
    ];
    for (file, others, fix) in wrong {
        let path = bench.state().join(file);
        if !file.is_empty() {
            std::fs::write(&path, "").expect("written");
        }
        mode(&path, others);
        let ran = bench.check(&[]);
        assert_eq!(ran.code, 77, "{file}: {ran:?}");
        let beginning = format!("fault    configuration: {}", path.display());
        ran.verdict(beginning.trim_end_matches('/'), &[fix]);
        if !file.is_empty() {
            std::fs::remove_file(&path).expect("removed");
        }
    }
}

#[test]
fn a_guard_whose_key_is_gone_is_a_fault() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let name = module.name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {name}, slot: 0, pin: 111111}}]\n"
    ));
    assert_eq!(
        bench.check(&["--login"]).code,
        69,
        "a wrong PIN, held back from here on"
    );
    std::fs::remove_file(bench.path("state/pin-guard.key")).expect("removed");
    for login in [&["--login"][..], &[]] {
        let ran = bench.check(login);
        assert_eq!(ran.code, 77, "{ran:?}");
        ran.verdict(
            "fault    configuration: the PIN guard's key",
            &["qseed guard --reset"],
        );
    }
    assert_eq!(module.logins(), 1);
    assert!(!bench.path("state/pin-guard.key").exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {}).name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {module}, slot: 0, pin: 864209}}]\n"
    ));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = qseed();
    let command = bench.prepared(&mut command, "check", &[]).stdout(writer);
    let output = command.output().expect("qseed starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
