//! Tokens in trouble: gone, moved, initialised anew, without sessions, unwilling.

use qseed_faulty_token::{Ckr, Faults, Function, Record, Rule, SlotList};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::modules::assert_accounts;
use crate::support::cadence::assert_cadence;
use crate::support::daemon::{is_event, kill};
use crate::support::faulty::{Faulty, calls_of};
use crate::support::site::Site;
use crate::support::{for_each_case, service};

/// A change of what is in the slots.
type Change = fn(&mut Faults);

#[test]
fn a_token_that_comes_back_is_seeded_wherever_it_is() {
    let changes: [(&str, Change, Change); 5] = [
        (
            "pulled out and put in again",
            |faults| faults.remove(0),
            |faults| faults.insert(0),
        ),
        (
            "moved to another slot",
            |faults| faults.remove(0),
            |faults| {
                faults.token(0).slot = Some(77);
                faults.insert(0);
            },
        ),
        (
            "noticed by a null list only",
            |faults| {
                faults.slot_list = SlotList::OnNullList;
                faults.remove(0);
            },
            |faults| faults.insert(0),
        ),
        (
            "initialised anew under another label",
            |faults| {
                faults.token(0).initialized = false;
                faults.reinitialize(0);
            },
            |faults| {
                faults.token(0).initialized = true;
                faults.token(0).label = "another".to_owned();
            },
        ),
        (
            "full of sessions",
            |faults| {
                faults.token(0).max_sessions = Some(0);
                faults.lose_sessions(0);
            },
            |faults| faults.token(0).max_sessions = None,
        ),
    ];
    for_each_case(&changes, 5, |(what, trouble, end)| {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
        let partitions = json!([
            faulty.partition_with_pin("p", 0, "1234"),
            faulty.partition("neighbour", 1),
        ]);
        site.configure_full(&site.full(&service, &partitions));
        let qseed = site.start();
        faulty.wait_seeds(0, 2);
        faulty.token.set(trouble).expect("written");
        let told = qseed.event("partition-failed");
        println!("{what}: {}", told["message"]);
        assert_eq!(told["partition"], "p");
        faulty.token.set(end).expect("written");
        faulty.wait_next_seed(0);
        qseed.event("partition-recovered");
        faulty.wait_seeds(1, 13);
        qseed.stop();
        assert_cadence(&faulty.injected(), 1);
        assert_accounts(&service, &[&faulty]);
    });
}

#[test]
fn tokens_that_change_places_get_their_own_seeds() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let mut partitions = [faulty.partition("a", 0), faulty.partition("b", 1)];
    partitions[0]["size"] = json!(40);
    partitions[1]["size"] = json!(56);
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    for _ in 0..3 {
        faulty.wait_next_seed(0);
        faulty.wait_next_seed(1);
        faulty
            .token
            .set(|faults| {
                faults.swap(0, 1);
                faults.lose_sessions(0);
                faults.lose_sessions(1);
            })
            .expect("written");
    }
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(1);
    qseed.stop();
    for seed in faulty.injected() {
        assert_eq!(
            seed.bytes.len(),
            [40, 56][seed.token as usize],
            "a seed of the other's"
        );
    }
    assert_accounts(&service, &[&faulty]);
}

/// Both have the same PIN, so nothing but the slots' first tokens tells them apart.
#[test]
fn a_slot_means_the_token_that_was_there_first() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let by_slot = |slot: u32| {
        let mut partition = faulty.partition_with_pin(&format!("slot-{slot}"), slot, "1234");
        let keys = partition.as_object_mut().expect("an object");
        keys.remove("token");
        keys.insert("slot".to_owned(), json!(slot));
        keys.insert("size".to_owned(), json!([40, 56][slot as usize]));
        partition
    };
    site.configure_full(&site.full(&service, &json!([by_slot(0), by_slot(1)])));
    let qseed = site.start();
    let change_places = || {
        let changed = faulty.token.set(|faults| {
            faults.swap(0, 1);
            faults.lose_sessions(0);
            faults.lose_sessions(1);
        });
        changed.expect("written");
    };
    let held = |from: usize, name: &str| {
        qseed.log.wait_from(from, name, |line| {
            is_event(line, "partition-failed")
                && line.contains(name)
                && line.contains("another-token")
        });
    };
    faulty.wait_seeds(0, 2);
    faulty.wait_seeds(1, 2);
    change_places();
    held(0, "slot-0");
    held(0, "slot-1");
    let presentations = (faulty.presentations(0), faulty.presentations(1));
    // Another worker process knows it as well.
    let [worker] = qseed.workers()[..] else {
        panic!("{:?}", qseed.workers())
    };
    let started = |record: &[Record]| calls_of(record, Function::Initialize);
    let before = started(&faulty.token.record().expect("a record"));
    let record_all = faulty.token.set(|faults| faults.record_all = true);
    record_all.expect("written");
    kill(worker, Signal::KILL);
    faulty.wait(|record| started(record) > before);
    let looked_at = calls_of(
        &faulty.token.record().expect("a record"),
        Function::GetTokenInfo,
    );
    faulty.wait(|record| calls_of(record, Function::GetTokenInfo) >= looked_at + 2);
    assert_eq!(
        (faulty.presentations(0), faulty.presentations(1)),
        presentations
    );
    change_places();
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(1);
    for seed in faulty.injected() {
        let own = [40, 56][seed.token as usize];
        assert_eq!(seed.bytes.len(), own, "a seed of the other's");
    }
    // The operator wants them where they are now.
    let from = qseed.log.count();
    change_places();
    held(from, "slot-0");
    held(from, "slot-1");
    qseed.signal(Signal::HUP);
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(1);
    let seeds = faulty.injected();
    let last = |token| seeds.iter().rfind(|seed| seed.token == token).expect("one");
    assert_eq!((last(0).bytes.len(), last(1).bytes.len()), (56, 40));
    qseed.stop();
    assert_accounts(&service, &[&faulty]);
}

#[test]
fn a_lost_session_is_opened_again_at_once() {
    let codes = [Ckr::SESSION_HANDLE_INVALID, Ckr::SESSION_CLOSED];
    for_each_case(&codes, 2, |code| {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| {
            faults.defaults.lost_session = *code;
            faults.defaults.seeding.needs_login = true;
        });
        let partitions = json!([faulty.partition_with_pin("p", 0, "1234")]);
        site.configure_full(&site.full(&service, &partitions));
        let qseed = site.start();
        for _ in 0..3 {
            faulty.wait_next_seed(0);
            faulty
                .token
                .set(|faults| faults.lose_sessions(0))
                .expect("written");
        }
        faulty.wait_next_seed(0);
        faulty.wait_next_seed(0);
        let log = qseed.stop();
        assert!(
            !log.iter().any(|line| is_event(line, "partition-failed")),
            "{log:?}"
        );
        assert_accounts(&service, &[&faulty]);
    });
}

#[test]
fn a_token_that_takes_no_seeds_rests_and_others_continue() {
    let (service, site) = (service(), Site::new());
    let refusals = [
        Ckr::RANDOM_SEED_NOT_SUPPORTED,
        Ckr::RANDOM_NO_RNG,
        Ckr::FUNCTION_NOT_SUPPORTED,
    ];
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 4;
        for (token, code) in (1..).zip(refusals) {
            faults.token(token).seeding.refused = Some(code);
        }
    });
    let partitions: Vec<Value> = (0..4)
        .map(|n| faulty.partition(&format!("p{n}"), n))
        .collect();
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    faulty.wait_seeds(0, 6);
    let log = qseed.stop();
    let attempts = |token| {
        let seeds = faulty.token.seeds().expect("a record");
        seeds
            .iter()
            .filter(|seed| seed.token == Some(token))
            .count()
    };
    for (token, code) in (1..).zip(refusals) {
        let name = format!("p{token}");
        let told: Vec<Value> = log
            .iter()
            .filter(|line| is_event(line, "partition-failed"))
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["partition"] == name)
            .collect();
        let [told] = &told[..] else {
            panic!("{name} was told {} times", told.len())
        };
        assert_eq!(told["fault"], "seeding-refused", "{told}");
        let message = told["message"].as_str().expect("a text");
        assert!(
            message.contains(code.name().expect("standard")),
            "{message}"
        );
        assert!(message.contains("as qseed faulty has it"), "{message}");
        assert_eq!(attempts(token), 1, "{name}");
    }
    assert_accounts(&service, &[&faulty]);
}

#[test]
fn a_library_that_lists_no_slots_any_more_is_restarted() {
    let (service, site) = (service(), Site::new());
    // As p11-kit's client does for ever once its server was restarted.
    let faulty = Faulty::new(site.folder(), |faults| {
        let lists = Rule::answer(Function::GetSlotList, Ckr::DEVICE_ERROR).from(3);
        faults.rules.push(lists);
    });
    let partitions = json!([faulty.partition("p", 0)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    faulty.wait_seeds(0, 3);
    let once = Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR).times(1);
    faulty
        .token
        .set(|faults| faults.rules.push(once.across_processes()))
        .expect("written");
    qseed.event("partition-failed");
    faulty.wait_next_seed(0);
    qseed.event("partition-recovered");
    qseed.stop();
    let record = faulty.token.record().expect("a record");
    assert_eq!(calls_of(&record, Function::Initialize), 2);
    assert_accounts(&service, &[&faulty]);
}

#[test]
fn a_seed_is_cut_for_a_token_that_takes_short_ones() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 2;
        faults.defaults.seeding.max = Some(32);
    });
    let mut partitions = [faulty.partition("cut", 0), faulty.partition("whole", 1)];
    partitions[0]["chunk"] = json!(32);
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    faulty.wait_seeds(0, 4);
    let told = qseed.event("partition-failed");
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.contains("`chunk`") && told["partition"] == "whole",
        "{message}"
    );
    qseed.stop();
    let seeds = faulty.injected();
    let lengths: Vec<usize> = seeds.iter().map(|seed| seed.bytes.len()).take(4).collect();
    assert_eq!(lengths, [32, 16, 32, 16]);
    assert_accounts(&service, &[&faulty]);
}
