//! Every return value of the standard, from every function, at the first and at a later call: no
//! wrong seeding, no second presentation of a refused PIN, and all is well when the fault ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use qseed_entropy_service::EntropyService;
use qseed_faulty_token::{Ckr, Function, MODULE_FILE, Record, Rule};
use serde_json::{Value, json};

use crate::support::accounts::assert_delivered_once;
use crate::support::faulty::{Faulty, Injected, SeedCounter, seeds_of};
use crate::support::service;
use crate::support::site::Site;

/// Codes by which a token refuses a PIN: it is not presented again.
const REFUSALS: [Ckr; 8] = [
    Ckr::PIN_INCORRECT,
    Ckr::PIN_INVALID,
    Ckr::PIN_LEN_RANGE,
    Ckr::PIN_EXPIRED,
    Ckr::PIN_LOCKED,
    Ckr::USER_PIN_NOT_INITIALIZED,
    Ckr::USER_TYPE_INVALID,
    Ckr::PIN_TOO_WEAK,
];
/// Codes that say for good that a token takes no seeds.
const PERMANENT: [Ckr; 3] = [
    Ckr::RANDOM_SEED_NOT_SUPPORTED,
    Ckr::RANDOM_NO_RNG,
    Ckr::FUNCTION_NOT_SUPPORTED,
];

/// An answer that says nothing about the PIN delays its second presentation by up to a minute, and
/// other tests may run beside this one.
const RECOVERED_WITHIN: Duration = Duration::from_secs(150);

/// A vendor's code beside those of the standard.
fn codes() -> Vec<Ckr> {
    let vendor = Ckr(0x8000_0011);
    Ckr::STANDARD.iter().copied().chain([vendor]).collect()
}

fn show(code: Ckr) -> String {
    code.name()
        .map_or_else(|| format!("{:#x}", code.0), str::to_owned)
}

/// One partition a code, on one token each of one module, whose `n`-th call of `function` answers
/// that code. Tokens lose their sessions now and then, so that there are later calls of everything.
fn one_module(function: Function, n: u64) {
    let (service, site) = (service(), Site::new());
    let codes = codes();
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = u32::try_from(codes.len()).expect("some hundred");
        faults.defaults.session_calls = Some(6);
        faults.defaults.user.tries = Some(3);
        for (token, code) in (0..).zip(&codes) {
            let rule = Rule::answer(function, *code).token(token).from(n).times(1);
            faults.rules.push(rule.across_processes());
        }
    });
    let partitions: Vec<Value> = (0..)
        .zip(&codes)
        .map(|(token, code)| faulty.partition_with_pin(&show(*code), token, "1234"))
        .collect();
    let mut config = site.full(&service, &json!(partitions));
    config["modules"] = json!([{ "path": faulty.module, "concurrency": 16 }]);
    config["log"]["seeds"] = json!("summary");
    site.configure_full(&config);
    let qseed = site.start();
    let recovers = |code: &Ckr| match function {
        Function::Login => !REFUSALS.contains(code),
        // An expired PIN is held back until the operator acts.
        Function::SeedRandom => !PERMANENT.contains(code) && *code != Ckr::PIN_EXPIRED,
        _ => true,
    };
    let what = format!("{function}, call {n}");
    let seeds = usize::try_from(n).expect("few") + 3;
    let (well, others): (Vec<_>, Vec<_>) = (0..).zip(&codes).partition(|(_, code)| recovers(code));
    let wanted = well.iter().map(|(token, _)| (*token, seeds)).collect();
    wait_for_seeds(&faulty, &what, &wanted, &codes);
    // The others get their answer when they come to that call, and then have the time of one more
    // seed of everybody else to do what they should not.
    for (token, code) in others {
        faulty.wait(|record| answered(record, function, token, *code));
    }
    let record = faulty.token.record().expect("a record");
    let one_more = |(token, _): &(u32, _)| (*token, seeds_of(&record, *token) + 1);
    let wanted = well.iter().map(one_more).collect();
    wait_for_seeds(&faulty, &what, &wanted, &codes);
    qseed.stop();
    let record = faulty.token.record().expect("a record");
    assert_well(&service, &[&faulty], &what);
    for (token, code) in (0..).zip(&codes) {
        if function == Function::Login && REFUSALS.contains(code) {
            let logins = faulty.token.logins().expect("a record");
            let refused: Vec<_> = logins
                .iter()
                .filter(|login| login.call.token == Some(token))
                .skip_while(|login| login.told != Some(*code))
                .collect();
            assert_eq!(refused.len(), 1, "{what}, {}: presented again", show(*code));
        }
        if function == Function::SeedRandom && PERMANENT.contains(code) {
            assert_eq!(
                seeds_of(&record, token),
                usize::try_from(n).expect("few") - 1,
                "{what}, {}",
                show(*code)
            );
        }
    }
}

/// Whether a token has answered a call of this function by this code.
fn answered(record: &[Record], function: Function, token: u32, code: Ckr) -> bool {
    let calls = record.iter().filter_map(|line| line.ended(function));
    calls
        .filter(|call| call.token == Some(token))
        .any(|call| call.result == Some(code))
}

/// Waits until each of these tokens has mixed in so many seeds.
fn wait_for_seeds(faulty: &Faulty, what: &str, wanted: &BTreeMap<u32, usize>, codes: &[Ckr]) {
    let mut counter = SeedCounter::new(codes.len());
    let mut behind = Vec::new();
    let reached = faulty.token.wait_for(RECOVERED_WITHIN, |record| {
        let counts = counter.count(record);
        behind = wanted
            .iter()
            .map(|(token, seeds)| {
                (
                    show(codes[*token as usize]),
                    counts[*token as usize],
                    *seeds,
                )
            })
            .filter(|(_, count, seeds)| count < seeds)
            .collect();
        behind.is_empty()
    });
    assert!(
        reached.is_ok(),
        "{what}: these tokens have fewer seeds than wanted: {behind:?}"
    );
}

/// No token was given anything but whole seeds of good bytes, and none of its PIN tries was used up.
fn assert_well(service: &EntropyService, of: &[&Faulty], what: &str) {
    let seeds: Vec<Injected> = of.iter().flat_map(|faulty| faulty.injected()).collect();
    assert!(seeds.iter().all(|seed| seed.bytes.len() == 48), "{what}");
    assert_delivered_once(service, seeds.iter().map(|seed| seed.bytes.as_slice()));
}

/// Answers at the first call and at a later one.
fn first_and_later(function: Function, later: u64) {
    std::thread::scope(|scope| {
        scope.spawn(|| one_module(function, 1));
        scope.spawn(|| one_module(function, later));
    });
}

#[test]
fn from_seeding() {
    first_and_later(Function::SeedRandom, 3);
}

#[test]
fn from_opening_a_session() {
    first_and_later(Function::OpenSession, 2);
}

#[test]
fn from_logging_in() {
    first_and_later(Function::Login, 2);
}

#[test]
fn from_reading_a_token() {
    first_and_later(Function::GetTokenInfo, 4);
}

#[test]
fn from_reading_a_slot() {
    first_and_later(Function::GetSlotInfo, 4);
}

/// One module a code, since the function is about no token: a worker each.
fn many_modules(function: Function, n: u64) {
    let (service, site) = (service(), Site::new());
    let codes = codes();
    let first = Faulty::named(site.folder(), "built", |_| ());
    let modules: Vec<Faulty> = codes
        .iter()
        .map(|code| {
            linked(site.folder(), &first, &show(*code), |faults| {
                faults.rules.push(
                    Rule::answer(function, *code)
                        .from(n)
                        .times(1)
                        .across_processes(),
                );
                // A reason to begin anew, so that there are later calls of everything.
                let anew = Rule::answer(Function::SeedRandom, Ckr::CRYPTOKI_NOT_INITIALIZED);
                faults.rules.push(anew.from(2).times(1).across_processes());
            })
        })
        .collect();
    let partitions: Vec<Value> = modules
        .iter()
        .zip(&codes)
        .map(|(module, code)| module.partition_with_pin(&show(*code), 0, "1234"))
        .collect();
    let mut config = site.full(&service, &json!(partitions));
    config["log"]["seeds"] = json!("summary");
    site.configure_full(&config);
    let qseed = site.start();
    for (module, code) in modules.iter().zip(&codes) {
        let seeded = module
            .token
            .wait_for(RECOVERED_WITHIN, |record| seeds_of(record, 0) >= 3);
        let why = seeded
            .err()
            .map(|_| module.token.record().expect("a record").len());
        assert_eq!(
            why,
            None,
            "{function}, call {n}, {}: not seeded",
            show(*code)
        );
    }
    qseed.stop();
    let all: Vec<&Faulty> = modules.iter().collect();
    assert_well(&service, &all, &format!("{function}, call {n}"));
}

/// A module of its own that shares the file of another.
fn linked(
    folder: &Path,
    built: &Faulty,
    name: &str,
    faults: impl FnOnce(&mut qseed_faulty_token::Faults),
) -> Faulty {
    let token = qseed_faulty_token::FaultyToken::new(folder.join(name)).expect("a folder");
    token.set(faults).expect("written");
    let module = token.folder().join(MODULE_FILE);
    std::fs::hard_link(&built.module, &module).expect("one folder is one file system");
    Faulty { token, module }
}

#[test]
fn from_the_start_of_a_module() {
    many_modules(Function::Initialize, 1);
    many_modules(Function::Initialize, 2);
}

#[test]
fn from_listing_slots() {
    many_modules(Function::GetSlotList, 1);
    many_modules(Function::GetSlotList, 3);
}
