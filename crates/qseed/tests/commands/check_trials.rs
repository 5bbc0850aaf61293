//! `qseed check --login` and `--probe`.

use qseed_faulty_token::{Action, Ckr, Faults, Function, Rule, TokenFlag};

use super::bench::{Bench, NOBODY, PIN, Vendor, qseed};

/// A configuration of partitions on one module, each by its settings.
fn bench(change: impl FnOnce(&mut Faults), partitions: &[(&str, &str)]) -> (Bench, Vendor) {
    let bench = Bench::new();
    let module = bench.module("vendor", change);
    let partition = |(name, rest): &(&str, &str)| {
        format!("{{name: {name}, module: {}, {rest}}}", module.name())
    };
    let all: Vec<_> = partitions.iter().map(partition).collect();
    bench.config(&format!(
        "partitions: [{}]\nmodules: [{{path: {}, deadline: 1s}}]\n",
        all.join(", "),
        module.name()
    ));
    (bench, module)
}

#[test]
fn logins_of_every_kind_are_tried() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 5;
            faults.defaults.seeding.needs_login = true;
            let crypto = qseed_faulty_token::PinSettings::new("987654");
            faults
                .defaults
                .vendor_users
                .insert(qseed_faulty_token::User(0x8000_0001), crypto);
            faults.token(3).pin_pad = Some(qseed_faulty_token::PinPad::Right);
        },
        &[
            ("user", "slot: 0, pin: 864209"),
            ("so", "slot: 1, login: so, pin: 5678"),
            ("vendor", "slot: 2, login: 0x80000001, pin: env:CRYPTO_PIN"),
            ("pad", "slot: 3, login: protected"),
            ("none", "slot: 4, login: none"),
        ],
    );
    let mut command = qseed();
    command.env("CRYPTO_PIN", "987654");
    let ran = super::bench::Ran::of(bench.prepared(&mut command, "check", &["--login"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict("ok       partition user: logged in as user", &[]);
    ran.verdict("ok       partition so: logged in as so", &[]);
    ran.verdict("ok       partition vendor: logged in as 0x80000001", &[]);
    ran.verdict("ok       partition pad: logged in as protected", &[]);
    assert_eq!((module.logins(), module.seeds().len()), (4, 0));
    let key = bench.path("state/pin-guard.key");
    assert!(key.exists() && bench.path("state/pin-guard.jsonl").exists());
}

#[test]
fn a_refused_pin_is_presented_once_until_it_is_mended_or_cleared() {
    let (bench, module) = bench(|_| {}, &[("ca", "slot: 0, pin: 987654")]);
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition ca: C_Login: CKR_PIN_INCORRECT",
        &["qseed guard --clear ca"],
    );
    for login in [&["--login"][..], &["--login", "--probe"], &[]] {
        let ran = bench.check(login);
        assert_eq!(ran.code, 69, "{ran:?}");
        ran.verdict(
            "fault    partition ca: no PIN was presented: the token refused",
            &[],
        );
    }
    assert_eq!(module.logins(), 1);
    let ran = bench.command("guard", &["--clear", "ca"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(bench.check(&["--login"]).code, 69);
    assert_eq!(module.logins(), 2);

    let config = std::fs::read_to_string(bench.path("qseed.yml")).expect("read");
    bench.write("qseed.yml", &config.replace("987654", PIN));
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "another PIN is not held back: {ran:?}");
    assert_eq!(module.logins(), 2, "nothing is presented without --login");
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(module.logins(), 3);
}

#[test]
fn a_renamed_partition_is_told_the_name_that_clears_its_pin() {
    let (bench, _) = bench(|_| {}, &[("ca", "slot: 0, pin: 987654")]);
    assert_eq!(bench.check(&["--login"]).code, 69);
    let config = std::fs::read_to_string(bench.path("qseed.yml")).expect("read");
    bench.write("qseed.yml", &config.replace("name: ca,", "name: root,"));
    for login in [&["--login"][..], &[]] {
        bench.check(login).verdict(
            "fault    partition root: no PIN was presented: the token refused",
            &["qseed guard --clear ca"],
        );
    }
    assert_eq!(bench.command("guard", &["--clear", "ca"]).code, 0);
    assert_eq!(bench.check(&[]).code, 0);
}

#[test]
fn advice_goes_by_what_the_token_answered() {
    let pad = Some(qseed_faulty_token::PinPad::Wrong);
    let (bench, _) = bench(
        |faults| {
            faults.slots = 3;
            let answer = |ckr, token| Rule::answer(Function::Login, ckr).token(token);
            faults.rules.push(answer(Ckr::PIN_LOCKED, 0));
            faults.rules.push(answer(Ckr::USER_TYPE_INVALID, 1));
            faults.token(2).pin_pad = pad;
        },
        &[
            ("locked", "slot: 0, pin: 864209"),
            ("unknown", "slot: 1, login: 0x80000001, pin: 864209"),
            ("pad", "slot: 2, login: protected"),
        ],
    );
    let ran = bench.check(&["--login"]);
    for (name, words) in [
        ("locked", "security officer unlock it"),
        ("unknown", "correct `login`"),
        ("pad", "which PIN was entered there"),
    ] {
        let beginning = format!("fault    partition {name}: C_Login: CKR_");
        let line = ran.verdict(&beginning, &[words]);
        assert!(!line.contains("right PIN"), "{line}");
    }
}

#[test]
fn a_pin_on_its_final_try_is_never_presented() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 2;
            faults.token(0).set_flags = vec![TokenFlag::UserPinFinalTry];
            faults.token(1).set_flags = vec![TokenFlag::UserPinLocked];
        },
        &[
            ("final", "slot: 0, pin: 864209"),
            ("locked", "slot: 1, pin: 864209"),
        ],
    );
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    assert_eq!(ran.faults().len(), 2, "{ran:?}");
    assert_eq!(module.logins(), 0);
}

#[test]
fn one_bad_pin_of_two_partitions_is_presented_once() {
    let (bench, module) = bench(
        |_| {},
        &[
            ("a", "slot: 0, pin: 987654"),
            ("b", "token: \"pkcs11:serial=FT0\", pin: 987654"),
        ],
    );
    let ran = bench.check(&["--login"]);
    ran.verdict(
        "fault    partition b: no PIN was presented: the token refused",
        &[],
    );
    assert_eq!(module.logins(), 1);
}

#[test]
fn a_login_that_hangs_twice_is_not_repeated_and_others_continue() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 2;
            faults
                .rules
                .push(Rule::new(Function::Login, Action::Hang).token(0));
        },
        &[
            ("hung", "slot: 0, pin: 864209"),
            ("fine", "slot: 1, pin: 864209"),
        ],
    );
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition hung: the module hangs",
        &["presents it once more"],
    );
    ran.verdict("ok       partition fine: logged in as user", &[]);
    assert_eq!(bench.check(&["--login"]).code, 69);
    module
        .token
        .set(|faults| faults.rules.clear())
        .expect("steered");
    let ran = bench.check(&["--login"]);
    ran.verdict(
        "fault    partition hung: no PIN was presented",
        &["presented twice"],
    );
    assert_eq!(module.logins(), 5, "three of them to the healthy token");
}

#[test]
fn only_the_probe_seeds_and_it_names_its_bytes_local() {
    let (bench, module) = bench(|_| {}, &[("p", "slot: 0, login: none, size: 100")]);
    assert_eq!(bench.check(&["--login"]).code, 0);
    assert!(module.seeds().is_empty());
    let ran = bench.check(&["--probe"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let words = ["bytes of the local kernel, not of a source"];
    ran.verdict(
        "ok       partition p: it takes seeds of 1 to 65536 bytes",
        &words,
    );
    assert_eq!(module.seeds(), [1, 16, 32, 48, 64, 100, 256, 1024, 65_536]);
    assert_eq!(module.logins(), 0);
}

#[test]
fn the_probe_finds_the_window_and_advises_a_chunk() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 4;
            faults.token(0).seeding.max = Some(32);
            faults.token(1).seeding.min = 32;
            faults.token(1).seeding.wrong_length = Ckr::DEVICE_ERROR;
            faults.token(2).seeding.max = Some(32);
            faults.token(3).seeding.min = 64;
        },
        &[
            ("short", "slot: 0, login: none"),
            ("long", "slot: 1, login: none"),
            ("cut", "slot: 2, login: none, chunk: 32"),
            ("tall", "slot: 3, login: none"),
        ],
    );
    let ran = bench.check(&["--probe"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition short: the token does not take 48 bytes in one call",
        &["1 to 32", "fix: set chunk: 32"],
    );
    ran.verdict(
        "ok       partition long: it takes seeds of 32 to 65536",
        &["not of 16 (C_SeedRandom: CKR_DEVICE_ERROR)"],
    );
    ran.verdict(
        "ok       partition cut: it takes seeds of 1 to 32",
        &["not of 48"],
    );
    ran.verdict("fault    partition tall: ", &["fix: set size: 64"]);
    assert!(module.seeds().contains(&65_536));
}

#[test]
fn tokens_that_take_no_seeds_are_reported() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 2;
            faults.token(0).seeding.refused = Some(Ckr::RANDOM_SEED_NOT_SUPPORTED);
            faults.token(1).seeding.needs_login = true;
        },
        &[
            ("never", "slot: 0, login: none"),
            ("later", "slot: 1, pin: 864209"),
        ],
    );
    let ran = bench.check(&["--probe"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition never: ",
        &["CKR_RANDOM_SEED_NOT_SUPPORTED", "by its vendor's design"],
    );
    ran.verdict(
        "fault    partition later: the token wants a login",
        &["add --login"],
    );
    assert_eq!(module.logins(), 0);
    let ran = bench.check(&["--probe", "--login"]);
    ran.verdict(
        "ok       partition later: it takes seeds of 1 to 65536 bytes",
        &[],
    );
    assert_eq!(module.logins(), 1);
}

#[test]
fn a_module_that_keeps_crashing_is_given_up() {
    let (bench, module) = bench(
        |faults| {
            faults.slots = 4;
            faults
                .rules
                .push(Rule::new(Function::SeedRandom, Action::Segfault));
        },
        &[
            ("a", "slot: 0, login: none"),
            ("b", "slot: 1, login: none"),
            ("c", "slot: 2, login: none"),
            ("d", "slot: 3, login: none"),
        ],
    );
    let ran = bench.check(&["--probe"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition b: the module ended its process (signal: 11",
        &[],
    );
    ran.verdict("fault    partition c: not tried", &[]);
    ran.verdict("fault    partition d: not tried", &[]);
    assert!(module.seeds().is_empty());
}

#[test]
fn root_leaves_no_file_that_the_daemons_user_could_not_use() {
    let (bench, module) = bench(|_| {}, &[("ca", "slot: 0, pin: 864209")]);
    std::fs::create_dir(bench.state()).expect("made");
    if !rustix::process::geteuid().is_root() {
        // Nobody but root can act in the place of another user.
        assert_eq!(bench.check(&["--login"]).code, 0);
        return;
    }
    std::os::unix::fs::chown(bench.state(), Some(NOBODY), None).expect("chown");
    let ran = bench.check(&["--login"]);
    assert_eq!(ran.code, 77, "{ran:?}");
    ran.verdict(
        "fault    partition ca: no PIN was presented",
        &["belongs to user 65534"],
    );
    assert_eq!(module.logins(), 0);
    let left = std::fs::read_dir(bench.state()).expect("read").count();
    assert_eq!(left, 0);
}

#[test]
fn what_a_module_prints_of_a_pin_or_a_seed_is_not_shown() {
    let (bench, module) = bench(
        |faults| {
            for function in [Function::Login, Function::SeedRandom] {
                let text = Action::Stderr("it got 864209\n".to_owned());
                faults.rules.push(Rule::new(function, text));
            }
        },
        &[("ca", "slot: 0, pin: 864209")],
    );
    let ran = bench.check(&["--login", "--probe"]);
    assert_eq!((ran.code, module.logins()), (0, 1), "{ran:?}");
    assert!(!ran.out.contains("it got") && !ran.err.contains("it got"));
}
