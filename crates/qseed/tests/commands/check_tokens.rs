//! `qseed check`: what modules and tokens say, with nothing tried on them.

use qseed_faulty_token::{Action, Ckr, Faults, Function, PinPad, Rule, TokenFlag};

use super::bench::{Bench, Ran, Vendor};

/// A partition of the module, named, with the rest of its settings.
fn partition(module: &Vendor, name: &str, rest: &str) -> String {
    format!("{{name: {name}, module: {}, {rest}}}", module.name())
}

/// The check of partitions on one module.
fn check(change: impl FnOnce(&mut Faults), partitions: &[(&str, &str)]) -> (Ran, Vendor) {
    let bench = Bench::new();
    let module = bench.module("vendor", change);
    let all: Vec<_> = partitions
        .iter()
        .map(|(name, rest)| partition(&module, name, rest))
        .collect();
    bench.config(&format!("partitions: [{}]\n", all.join(", ")));
    let ran = bench.check(&[]);
    assert_eq!((module.logins(), module.seeds().len()), (0, 0));
    (ran, module)
}

#[test]
fn a_token_is_found_or_the_existing_ones_are_listed() {
    let (ran, _) = check(
        |faults| {
            faults.slots = 4;
            faults.token(1).initialized = false;
            faults.token(2).label = "faulty-0".to_owned();
            faults.remove(3);
        },
        &[
            ("good", "token: \"pkcs11:serial=FT0\", login: none"),
            ("nowhere", "token: \"pkcs11:token=nope\", login: none"),
            ("several", "token: \"pkcs11:token=faulty-0\", login: none"),
            ("blank", "slot: 1, login: none"),
            ("empty", "slot: 3, login: none"),
            ("absent", "slot: 99, login: none"),
        ],
    );
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "ok       partition good: token \"faulty-0\" in slot 0: serial FT0",
        &["firmware 1.0"],
    );
    ran.verdict(
        "fault    partition nowhere: no token matches",
        &[
            "\"faulty-0\" (serial FT0, slot 0), one in slot 1 that is not initialised",
            "qseed slots",
        ],
    );
    ran.verdict(
        "fault    partition several: several tokens match",
        &["serial="],
    );
    ran.verdict("fault    partition blank: ", &["not initialised"]);
    ran.verdict("fault    partition empty: there is no token in slot 3", &[]);
    ran.verdict(
        "fault    partition absent: there is no slot 99; the slots are 0, 1, 2, 3",
        &[],
    );
    assert_eq!(ran.faults().len(), 5, "{ran:?}");
}

#[test]
fn flags_that_speak_against_a_login_are_faults_or_warnings() {
    let (ran, _) = check(
        |faults| {
            faults.slots = 8;
            faults.token(0).set_flags = vec![TokenFlag::UserPinLocked];
            faults.token(1).set_flags = vec![TokenFlag::UserPinFinalTry];
            faults.token(2).set_flags = vec![TokenFlag::UserPinCountLow];
            faults.token(3).user.pin = None;
            faults.token(4).set_flags = vec![TokenFlag::SoPinFinalTry];
            faults.token(5).set_flags = vec![TokenFlag::SoPinLocked];
            faults.token(6).pin_pad = Some(PinPad::Right);
        },
        &[
            ("locked", "slot: 0, pin: 864209"),
            ("final", "slot: 1, pin: 864209"),
            ("low", "slot: 2, pin: 864209"),
            ("unset", "slot: 3, pin: 864209"),
            ("officer", "slot: 4, login: so, pin: 864209"),
            ("user", "slot: 5, pin: 864209"),
            ("padded", "slot: 6, pin: 864209"),
            ("padless", "slot: 7, login: protected"),
        ],
    );
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "fault    partition locked: ",
        &["locked; qseed presents none", "; fix: "],
    );
    ran.verdict("fault    partition final: ", &["next wrong PIN locks it"]);
    ran.verdict("warning  partition low: ", &["a login failed"]);
    ran.verdict("fault    partition unset: ", &["no PIN yet"]);
    ran.verdict("fault    partition officer: ", &["next wrong PIN locks it"]);
    ran.verdict("ok       partition user: will be seeded", &[]);
    ran.verdict(
        "warning  partition padded: ",
        &["PIN pad", "login: protected"],
    );
    ran.verdict("fault    partition padless: ", &["has no PIN pad"]);
    assert_eq!(ran.faults().len(), 5, "{ran:?}");
}

#[test]
fn software_generators_are_warned_of() {
    let (ran, _) = check(
        |faults| {
            faults.slots = 4;
            faults.token(0).model = "SoftHSM v2".to_owned();
            faults.token(1).model = "LunaVirtual".to_owned();
            faults.token(2).clear_flags = vec![TokenFlag::Rng];
            faults.token(3).model = "YubiHSM".to_owned();
        },
        &[
            ("soft", "slot: 0, pin: 864209"),
            ("virtual", "slot: 1, pin: 864209"),
            ("none", "slot: 2, pin: 864209"),
            ("yubi", "slot: 3, login: none"),
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "warning  partition soft: a software token",
        &["reaches no other process"],
    );
    ran.verdict(
        "warning  partition virtual: a virtual slot",
        &["each member's own slot"],
    );
    ran.verdict("warning  partition none: ", &["CKF_RNG"]);
    ran.verdict(
        "warning  partition yubi: ",
        &["refuse C_SeedRandom", "--probe"],
    );
    ran.verdict("warning  partition yubi: login: none", &["--probe"]);
    assert!(ran.out.ends_with("No faults, 5 warnings.\n"), "{ran:?}");
}

#[test]
fn two_partitions_that_are_one_token_are_a_fault() {
    let (ran, _) = check(
        |faults| faults.slots = 2,
        &[
            ("one", "slot: 0, pin: 864209"),
            ("same", "token: \"pkcs11:serial=FT0\", pin: 864209"),
            ("other", "slot: 1, pin: 864209"),
            (
                "officer",
                "token: \"pkcs11:serial=FT1\", login: so, pin: 864209",
            ),
            ("open", "token: \"pkcs11:serial=FT1\", login: none"),
        ],
    );
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        "warning  partition same: partition one is the same token",
        &[],
    );
    ran.verdict(
        "fault    partition officer: partition other is the same token",
        &["as user, this one as so"],
    );
    ran.verdict(
        "warning  partition open: partition other is the same token",
        &[],
    );
}

#[test]
fn chunks_are_counted() {
    let (ran, _) = check(
        |_| {},
        &[("p", "slot: 0, pin: 864209, size: 48, chunk: 32, period: 5m")],
    );
    ran.verdict(
        "ok       partition p: will be seeded with 48 bytes in 2 calls every 5 min",
        &[],
    );
}

#[test]
fn a_module_that_is_lost_holds_up_no_other() {
    let bench = Bench::new();
    let hung = bench.module("hung", |faults| {
        faults.slots = 3;
        faults
            .rules
            .push(Rule::new(Function::GetTokenInfo, Action::Hang).token(1));
    });
    let crashed = bench.module("crashed", |faults| {
        faults
            .rules
            .push(Rule::new(Function::Initialize, Action::Abort));
    });
    let refusing = bench.module("refusing", |faults| {
        let talk = Action::Stderr("no card\n".to_owned());
        faults.rules.push(Rule::new(Function::Initialize, talk));
        faults
            .rules
            .push(Rule::answer(Function::Initialize, Ckr::DEVICE_ERROR));
    });
    let healthy = bench.module("healthy", |_| {});
    bench.config(&format!(
        "partitions: [{}, {}, {}, {}, {}, {{name: missing, module: /no/such.so, slot: 0, login: none}}]\n\
         modules: [{{path: {}, deadline: 1s}}]\n",
        partition(&hung, "before", "slot: 0, pin: 864209"),
        partition(&hung, "hung", "slot: 1, pin: 864209"),
        partition(&crashed, "crashed", "slot: 0, pin: 864209"),
        partition(&refusing, "refusing", "slot: 0, pin: 864209"),
        partition(&healthy, "healthy", "slot: 0, pin: 864209"),
        hung.name()
    ));
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict(
        &format!("fault    module {}: the module hangs", hung.name()),
        &["1 s"],
    );
    ran.verdict("ok       partition before: token", &[]);
    ran.verdict(
        "fault    partition hung: ",
        &["not found before", "the module hangs"],
    );
    ran.verdict(
        &format!("fault    module {}: the module ended", crashed.name()),
        &["signal: 6"],
    );
    ran.verdict(
        "fault    partition crashed: its module does not answer",
        &[],
    );
    let words = ["C_Initialize: CKR_DEVICE_ERROR", "; fix: "];
    ran.verdict(&format!("fault    module {}: ", refusing.name()), &words);
    ran.verdict(
        &format!("ok       module {}: it wrote: no card", refusing.name()),
        &[],
    );
    ran.verdict(
        "fault    module /no/such.so: ",
        &["cannot open shared object file"],
    );
    ran.verdict(
        &format!("ok       module {}: loads: ", healthy.name()),
        &["1 slot, 1 token"],
    );
    ran.verdict("ok       partition healthy: will be seeded", &[]);
}

#[test]
fn each_module_gets_its_own_environment_and_arguments() {
    let bench = Bench::new();
    let module = bench.module("vendor", |faults| {
        faults.init_args = Some("configdir='x'".into());
    });
    let partition = partition(&module, "p", "slot: 0, pin: 864209");
    bench.config(&format!("partitions: [{partition}]\n"));
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 69);
    ran.verdict("fault    module ", &["CKR_ARGUMENTS_BAD", "init_args"]);
    bench.config(&format!(
        "partitions: [{partition}]\nmodules: [{{path: {}, init_args: \"configdir='x'\"}}]\n",
        module.name()
    ));
    assert_eq!(bench.check(&[]).code, 0);
}
