//! The command line: where options may stand, and what a wrong one is answered with.

use super::bench::{Bench, Ran, mode, qseed};

/// A configuration that `qseed check` finds nothing wrong with.
fn bench() -> Bench {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {}).name();
    bench.config(&format!(
        "partitions: [{{name: p, module: {module}, slot: 0, login: none}}]\n"
    ));
    bench
}

#[test]
fn the_configuration_may_be_named_in_front_of_the_command() {
    let bench = bench();
    let config = bench.path("qseed.yml");
    for (command, told) in [
        ("check", "ok       partition p: "),
        ("guard", "No PIN is held back."),
    ] {
        let ran = Ran::of(qseed().arg("--config").arg(&config).arg(command));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains(told), "{ran:?}");
    }
    let text = std::fs::read_to_string(&config).expect("a text");
    bench.write("qseed.yml", &text.replace("login: none", "pin: 864209"));
    mode(&config, 0o644);
    let mut command = qseed();
    command.arg("--allow-readable-secrets").arg("check");
    let ran = Ran::of(command.arg("--config").arg(&config));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 77, "{ran:?}");
    let mut command = qseed();
    command.args(["--once", "--config"]).arg(&config).arg("run");
    let ran = Ran::of(command.arg("--allow-readable-secrets"));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn an_empty_variable_names_no_configuration() {
    let bench = bench();
    let config = bench.path("qseed.yml");
    let named = |value: &std::ffi::OsStr| {
        let mut command = qseed();
        Ran::of(command.arg("guard").env("QSEED_CONFIG_FILE", value))
    };
    assert_eq!(named(config.as_os_str()).code, 0);
    let ran = named(bench.path("nope").as_os_str());
    assert_eq!(ran.code, 78, "{ran:?}");
    let mut unset = qseed();
    let unset = Ran::of(unset.arg("guard"));
    let empty = named(std::ffi::OsStr::new(""));
    assert_eq!((empty.code, &empty.err), (unset.code, &unset.err));
    assert!(!empty.err.contains("value is required"), "{empty:?}");
}

#[test]
fn a_wrong_command_line_is_answered_in_one_line() {
    for (line, words) in [
        (&["--onse"][..], "a similar argument exists: '--once'"),
        (&["chekc"], "'check'"),
        (&["slots"], "--module <FILE>"),
        (&["run", "zz\n\x1b[2Jz"], "see qseed --help"),
        (&["--once", "check"], "'--once'"),
        (&["guard", "--clear"], "--clear"),
    ] {
        let ran = Ran::of(qseed().args(line));
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{ran:?}");
        assert!(ran.err.starts_with("qseed: "), "{ran:?}");
        assert_eq!(ran.err.matches('\n').count(), 1, "{ran:?}");
        assert!(ran.err.contains(words), "{words}: {ran:?}");
        assert!(!ran.err.contains('\x1b'), "{ran:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (line, words) in [
        (&["--help"][..], "QSEED_CONFIG_FILE"),
        (&["check", "--help"], "--probe"),
        (&["--version"], "qseed "),
    ] {
        let ran = Ran::of(qseed().args(line));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        assert!(ran.out.contains(words), "{ran:?}");
    }
}

#[test]
fn an_empty_pin_is_not_presented() {
    let bench = Bench::new();
    let module = bench.module("vendor", |faults| faults.slots = 2);
    let name = module.name();
    let file = bench.write("pin", "\n").display().to_string();
    bench.config(&format!(
        "partitions:\n\
         - {{name: p, module: {name}, slot: 0, pin: \"env:EMPTY_PIN\"}}\n\
         - {{name: q, module: {name}, slot: 1, pin: \"file:{file}\"}}\n"
    ));
    let mut command = qseed();
    let command = bench.prepared(&mut command, "run", &["--once"]);
    let ran = Ran::of(command.env("EMPTY_PIN", ""));
    assert_eq!(ran.code, 69, "{ran:?}");
    let of_file = format!("cannot read {file}: it is empty. ");
    for told in [
        "the environment variable EMPTY_PIN holds no secret: it is empty. ",
        &of_file,
    ] {
        assert!(ran.out.contains(told), "{told}: {ran:?}");
    }
    assert_eq!(module.logins(), 0);
}
