//! Slots and tokens: names, and tokens that come, go and move.

mod common;

use common::{Rig, answer, id, rv};
use cryptoki::error::Rv;
use qseed_faulty_token::{Ckr, Padding, PinPad, SlotList, TokenFlag};

#[test]
fn thousands_of_slots_have_a_token_each() {
    let rig = Rig::new(|faults| {
        faults.slots = 5000;
        faults.first_slot_id = 100;
        faults.defaults.label = "token {n}".to_owned();
    });
    assert_eq!(rig.tokens(), (100..5100).collect::<Vec<_>>());
    let token = rig.pkcs11.get_token_info(id(5099)).expect("C_GetTokenInfo");
    assert_eq!(
        (token.label(), token.serial_number()),
        ("token 4999", "FT4999")
    );
    let slot = rig.pkcs11.get_slot_info(id(5099)).expect("C_GetSlotInfo");
    assert_eq!(
        (slot.slot_description(), slot.token_present()),
        ("faulty slot 4999", true)
    );
    assert_eq!(
        answer(rig.pkcs11.get_slot_info(id(99))),
        rv(Ckr::SLOT_ID_INVALID)
    );
    assert!(rig.session(5099).seed_random(b"seed").is_ok());
    let seeds = rig.token.seeds().expect("a record");
    assert_eq!((seeds[0].slot, seeds[0].token), (Some(5099), Some(4999)));
    assert_eq!(seeds[0].seed.as_deref(), Some(b"seed".as_slice()));
}

#[test]
fn tokens_may_share_their_names() {
    let rig = Rig::new(|faults| {
        faults.slots = 2;
        faults.defaults.label = "twin".to_owned();
        faults.defaults.serial = "1".to_owned();
    });
    let names = |slot| {
        let token = rig.pkcs11.get_token_info(id(slot)).expect("C_GetTokenInfo");
        (token.label().to_owned(), token.serial_number().to_owned())
    };
    assert_eq!(names(0), ("twin".to_owned(), "1".to_owned()));
    assert_eq!(names(0), names(1));
}

#[test]
fn texts_are_padded_with_nul_on_demand() {
    let rig = Rig::new(|faults| faults.defaults.padding = Padding::Nul);
    assert_eq!(rig.label(0).trim_end_matches('\0'), "faulty-0");
    assert_eq!(rig.label(0).len(), 32);
    rig.set(|faults| faults.defaults.padding = Padding::Blank);
    assert_eq!(rig.label(0), "faulty-0");
}

#[test]
fn flags_follow_the_file() {
    let rig = Rig::new(|faults| {
        faults.slots = 2;
        let token = faults.token(1);
        token.set_flags = vec![TokenFlag::UserPinFinalTry, TokenFlag::SoPinLocked];
        token.clear_flags = vec![TokenFlag::Rng];
        token.login_required = false;
        token.user.pin = None;
        token.pin_pad = Some(PinPad::Right);
        token.initialized = false;
        token.firmware = [7, 4];
    });
    let [usual, odd] = [0, 1].map(|slot| {
        let token = rig.pkcs11.get_token_info(id(slot)).expect("C_GetTokenInfo");
        [
            token.rng(),
            token.login_required(),
            token.user_pin_initialized(),
            token.token_initialized(),
            token.protected_authentication_path(),
            token.user_pin_final_try(),
            token.so_pin_locked(),
            token.firmware_version().major() == 7,
        ]
    });
    assert_eq!(usual, [true, true, true, true, false, false, false, false]);
    assert_eq!(odd, usual.map(|flag| !flag));
    assert_eq!(
        answer(rig.pkcs11.open_ro_session(id(1))),
        rv(Ckr::TOKEN_NOT_RECOGNIZED)
    );
}

#[test]
fn a_removed_token_leaves_an_empty_slot_and_dead_sessions() {
    let rig = Rig::new(|faults| faults.slots = 2);
    let session = rig.session(1);
    rig.set(|faults| faults.remove(1));
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::DEVICE_REMOVED)
    );
    assert_eq!(rig.tokens(), [0]);
    assert_eq!(rig.pkcs11.get_all_slots().expect("C_GetSlotList").len(), 2);
    assert_eq!(
        answer(rig.pkcs11.get_token_info(id(1))),
        rv(Ckr::TOKEN_NOT_PRESENT)
    );
    assert_eq!(
        answer(rig.pkcs11.open_ro_session(id(1))),
        rv(Ckr::TOKEN_NOT_PRESENT)
    );
    rig.set(|faults| faults.insert(1));
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::DEVICE_REMOVED)
    );
    assert_eq!(answer(rig.session(1).seed_random(b"seed")), Rv::Ok);
}

#[test]
fn a_token_that_was_out_unseen_has_lost_its_sessions_too() {
    let rig = Rig::new(|_| ());
    let session = rig.session(0);
    rig.set(|faults| faults.remove(0));
    rig.set(|faults| faults.insert(0));
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::SESSION_HANDLE_INVALID)
    );
}

#[test]
fn a_session_stays_dead_once_a_call_has_seen_its_token_gone() {
    let rig = Rig::new(|faults| faults.slots = 2);
    let session = rig.session(0);
    rig.set(|faults| faults.token(0).present = false);
    assert_eq!(rig.tokens(), [1]);
    rig.set(|faults| faults.token(0).present = true);
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::DEVICE_REMOVED)
    );
}

#[test]
fn tokens_change_places() {
    let rig = Rig::new(|faults| faults.slots = 2);
    let session = rig.session(0);
    rig.set(|faults| faults.swap(0, 1));
    assert_eq!([rig.label(0), rig.label(1)], ["faulty-1", "faulty-0"]);
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::SESSION_HANDLE_INVALID)
    );
    rig.set(|faults| faults.token(0).slot = Some(77));
    assert_eq!(rig.tokens(), [0, 77]);
    assert_eq!(rig.label(77), "faulty-0");
}

#[test]
fn a_reinitialised_token_loses_its_sessions() {
    let rig = Rig::new(|_| ());
    let session = rig.session(0);
    rig.set(|faults| {
        faults.reinitialize(0);
        faults.token(0).label = "renewed".to_owned();
    });
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::SESSION_HANDLE_INVALID)
    );
    assert_eq!(rig.label(0), "renewed");
}

#[test]
fn a_stale_module_notices_new_tokens_only_after_finalize() {
    let rig = Rig::new(|faults| {
        faults.slot_list = SlotList::OnInitialize;
        faults.remove(0);
    });
    rig.set(|faults| {
        faults.insert(0);
        faults.slots = 2;
    });
    assert!(rig.tokens().is_empty());
    assert_eq!(rig.pkcs11.get_all_slots().expect("C_GetSlotList").len(), 1);
    rig.pkcs11.clone().finalize().expect("C_Finalize");
    rig.initialize().expect("C_Initialize");
    assert_eq!(rig.tokens(), [0, 1]);
}

#[test]
fn sessions_are_limited_by_token_and_by_module() {
    let rig = Rig::new(|faults| {
        faults.slots = 3;
        faults.max_sessions = Some(3);
        faults.defaults.max_sessions = Some(2);
    });
    let first = rig.session(0);
    let _second = rig.session(0);
    let full = rv(Ckr::SESSION_COUNT);
    assert_eq!(answer(rig.pkcs11.open_ro_session(id(0))), full);
    let _third = rig.session(1);
    assert_eq!(answer(rig.pkcs11.open_ro_session(id(2))), full);
    first.close().expect("C_CloseSession");
    assert_eq!(answer(rig.pkcs11.open_ro_session(id(2))), Rv::Ok);
}

#[test]
fn sessions_are_lost_on_demand() {
    let rig = Rig::new(|faults| faults.defaults.lost_session = Ckr::SESSION_CLOSED);
    let session = rig.session(0);
    assert_eq!(answer(session.seed_random(b"seed")), Rv::Ok);
    rig.set(|faults| faults.lose_sessions(0));
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::SESSION_CLOSED)
    );
    assert_eq!(answer(rig.session(0).seed_random(b"seed")), Rv::Ok);
}

#[test]
fn sessions_are_lost_after_so_many_calls() {
    let rig = Rig::new(|faults| faults.defaults.session_calls = Some(2));
    let session = rig.session(0);
    let seeded = [(); 3].map(|()| answer(session.seed_random(b"seed")));
    assert_eq!(seeded, [Rv::Ok, Rv::Ok, rv(Ckr::SESSION_HANDLE_INVALID)]);
    assert_eq!(answer(rig.session(0).seed_random(b"seed")), Rv::Ok);
}
