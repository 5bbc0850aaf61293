//! Any fault of any function, at the calls that the steering file says.

mod common;

use std::thread;

use common::{PATIENCE, Rig, answer, id, log_in, rv};
use cryptoki::error::Rv;
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use qseed_faulty_token::{Action, Ckr, Event, Function, Record, Rule};

fn seed(session: &Session) -> Rv {
    answer(session.seed_random(b"seed"))
}

/// What every function that a seeder uses answers now, once. `spare` is closed.
fn calls(rig: &Rig, session: &Session, spare: Session) -> Vec<(Function, Rv)> {
    let pkcs11 = &rig.pkcs11;
    vec![
        (Function::GetInfo, answer(pkcs11.get_library_info())),
        (Function::GetSlotList, answer(pkcs11.get_all_slots())),
        (Function::GetSlotInfo, answer(pkcs11.get_slot_info(id(0)))),
        (Function::GetTokenInfo, answer(pkcs11.get_token_info(id(0)))),
        (
            Function::GetMechanismList,
            answer(pkcs11.get_mechanism_list(id(0))),
        ),
        (
            Function::OpenSession,
            answer(pkcs11.open_ro_session_no_drop(id(0))),
        ),
        (Function::GetSessionInfo, answer(session.get_session_info())),
        (
            Function::Login,
            log_in(session, UserType::User, Some("1234")),
        ),
        (Function::SeedRandom, seed(session)),
        (Function::Logout, answer(session.logout())),
        (Function::CloseSession, answer(spare.close())),
    ]
}

#[test]
fn every_function_gives_every_answer_of_the_standard() {
    let rig = Rig::new(|_| ());
    let session = rig.session(0);
    let vendors = [Ckr(0x8000_0001), Ckr(0xffff_ffff_ffff_fff0)];
    // CKR_BUFFER_TOO_SMALL has cryptoki ask for the slots again, for ever.
    let codes = Ckr::STANDARD
        .iter()
        .copied()
        .filter(|&code| code != Ckr::BUFFER_TOO_SMALL);
    for code in codes.chain(vendors) {
        let spare = rig.session(0);
        rig.set(|faults| faults.rules.push(Rule::everywhere(Action::Answer(code))));
        for (function, answered) in calls(&rig, &session, spare) {
            assert_eq!(answered, rv(code), "{function} {code}");
        }
        rig.set(|faults| faults.rules.clear());
        let spare = rig.session(0);
        for (function, answered) in calls(&rig, &session, spare) {
            assert_eq!(answered, Rv::Ok, "{function}, after {code}");
        }
    }
}

#[test]
fn initialize_and_finalize_are_refused() {
    let rig = Rig::loaded(|faults| {
        faults
            .rules
            .push(Rule::answer(Function::Initialize, Ckr::HOST_MEMORY).times(1));
        faults
            .rules
            .push(Rule::answer(Function::Finalize, Ckr::GENERAL_ERROR).times(1));
    });
    assert_eq!(answer(rig.initialize()), rv(Ckr::HOST_MEMORY));
    assert_eq!(
        answer(rig.pkcs11.get_library_info()),
        rv(Ckr::CRYPTOKI_NOT_INITIALIZED)
    );
    assert_eq!(answer(rig.initialize()), Rv::Ok);
    assert_eq!(
        answer(rig.initialize()),
        rv(Ckr::CRYPTOKI_ALREADY_INITIALIZED)
    );
    assert_eq!(
        answer(rig.pkcs11.clone().finalize()),
        rv(Ckr::GENERAL_ERROR)
    );
    assert_eq!(answer(rig.pkcs11.clone().finalize()), Rv::Ok);
    assert_eq!(
        answer(rig.pkcs11.clone().finalize()),
        rv(Ckr::CRYPTOKI_NOT_INITIALIZED)
    );
}

#[test]
fn a_fault_comes_at_the_calls_it_is_meant_for() {
    let rig = Rig::new(|faults| {
        faults.slots = 2;
        let fault = Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR);
        faults.rules.push(fault.token(1).from(2).every(2).times(2));
    });
    let (healthy, faulty) = (rig.session(0), rig.session(1));
    let error = rv(Ckr::DEVICE_ERROR);
    let expected = [Rv::Ok, error, Rv::Ok, error, Rv::Ok, Rv::Ok];
    for expected in expected {
        assert_eq!((seed(&healthy), seed(&faulty)), (Rv::Ok, expected));
    }
}

#[test]
fn a_fault_lasts_until_the_file_changes() {
    let rig = Rig::new(|faults| {
        faults
            .rules
            .push(Rule::answer(Function::SeedRandom, Ckr::FUNCTION_FAILED));
    });
    let session = rig.session(0);
    assert_eq!(
        [seed(&session), seed(&session)],
        [rv(Ckr::FUNCTION_FAILED); 2]
    );
    rig.set(|faults| faults.rules.clear());
    assert_eq!(seed(&session), Rv::Ok);
}

#[test]
fn an_error_may_hide_that_the_work_was_done_and_an_ok_that_it_was_not() {
    let rig = Rig::new(|faults| {
        let lost = Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR);
        faults.rules.push(lost.after_work().times(1));
        faults
            .rules
            .push(Rule::answer(Function::SeedRandom, Ckr::OK).from(2).times(1));
    });
    let session = rig.session(0);
    assert_eq!(
        [seed(&session), seed(&session)],
        [rv(Ckr::DEVICE_ERROR), Rv::Ok]
    );
    let seeds = rig.token.seeds().expect("a record");
    let told: Vec<_> = seeds
        .iter()
        .map(|seed| (seed.succeeded(), seed.result))
        .collect();
    assert_eq!(
        told,
        [(true, Some(Ckr::DEVICE_ERROR)), (false, Some(Ckr::OK))]
    );
}

#[test]
fn a_hanging_call_returns_when_the_fault_ends_and_delays_no_other() {
    const THREADS: usize = 40;
    let rig = Rig::new(|faults| {
        faults.slots = 1000;
        let mut hang = Rule::new(Function::SeedRandom, Action::Hang);
        hang.tokens = (0..500).collect();
        faults.rules.push(hang);
    });
    thread::scope(|scope| {
        let hanging: Vec<_> = (0..THREADS as u64)
            .map(|slot| {
                let session = rig.session(slot);
                scope.spawn(move || seed(&session))
            })
            .collect();
        let all_hang = rig
            .token
            .wait_for(PATIENCE, |record| concurrency(record) >= THREADS)
            .map(|_| ());
        let others = seed(&rig.session(700));
        let still_hanging = hanging
            .iter()
            .filter(|thread| !thread.is_finished())
            .count();
        // Before anything is judged: a failed test must end too.
        rig.set(|faults| faults.rules.clear());
        all_hang.expect("all hang");
        assert_eq!((others, still_hanging), (Rv::Ok, THREADS));
        for thread in hanging {
            assert_eq!(thread.join().expect("no panic"), Rv::Ok);
        }
    });
}

/// The most calls that were in progress at once.
fn concurrency(record: &[Record]) -> usize {
    let calls = record.iter().filter_map(|line| match line.event {
        Event::Concurrency { calls } => Some(calls as usize),
        _ => None,
    });
    calls.max().unwrap_or(0)
}

#[test]
fn calls_take_the_latency_that_is_set() {
    let rig = Rig::new(|faults| {
        faults.latency_us.insert(Function::SeedRandom, 20_000);
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::DelayMs(30)));
    });
    let session = rig.session(0);
    assert_eq!(seed(&session), Rv::Ok);
    let record = rig.token.record().expect("a record");
    let begun = record
        .iter()
        .find(|line| line.begun(Function::SeedRandom).is_some());
    let ended = record
        .iter()
        .find(|line| line.ended(Function::SeedRandom).is_some());
    let took = ended.expect("done").ns - begun.expect("held up").ns;
    assert!(took >= 50_000_000, "{took} ns");
}

#[test]
fn a_wrong_steering_file_leaves_the_last_good_one_in_force() {
    let rig = Rig::new(|faults| {
        faults
            .rules
            .push(Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR));
    });
    let session = rig.session(0);
    let file = rig.folder.path().join(qseed_faulty_token::STEERING_FILE);
    std::fs::write(&file, r#"{"slotz": 3}"#).expect("written");
    assert_eq!(seed(&session), rv(Ckr::DEVICE_ERROR));
    let record = rig.token.record().expect("a record");
    let complaint = record.iter().find_map(|line| match &line.event {
        Event::Steered { error } => error.as_deref(),
        _ => None,
    });
    assert!(complaint.expect("a complaint").contains("slotz"));
    // Written over in place, as an editor does.
    std::fs::write(&file, "{}").expect("written");
    assert_eq!(seed(&session), Rv::Ok);
}

#[test]
fn unsupported_functions_answer_so() {
    let rig = Rig::new(|_| ());
    let session = rig.session(0);
    let unsupported = rv(Ckr::FUNCTION_NOT_SUPPORTED);
    assert_eq!(answer(session.generate_random_vec(8)), unsupported);
    assert_eq!(answer(session.find_objects(&[])), unsupported);
    assert_eq!(answer(rig.pkcs11.get_slot_event()), unsupported);
    let mechanism = rig.pkcs11.get_mechanism_info(id(0), MechanismType::SHA256);
    assert_eq!(answer(mechanism), rv(Ckr::MECHANISM_INVALID));
    rig.set(|faults| {
        faults
            .rules
            .push(Rule::answer(Function::GenerateRandom, Ckr::RANDOM_NO_RNG));
    });
    assert_eq!(
        answer(session.generate_random_vec(8)),
        rv(Ckr::RANDOM_NO_RNG)
    );
}

#[test]
fn every_call_is_recorded_on_demand() {
    let rig = Rig::new(|faults| faults.record_all = true);
    rig.label(0);
    let record = rig.token.record().expect("a record");
    assert!(
        record
            .iter()
            .any(|line| line.ended(Function::GetTokenInfo).is_some())
    );
}
