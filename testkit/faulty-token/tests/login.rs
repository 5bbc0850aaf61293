//! Logins and seeds: who may, what is counted, what is answered.

mod common;

use common::{Rig, answer, id, log_in, rv};
use cryptoki::error::Rv;
use cryptoki::session::UserType;
use qseed_faulty_token::{Ckr, Faults, PinPad, PinSettings, User};

/// The user's or the security officer's PIN flags: count low, final try, locked.
fn flags(rig: &Rig, user: User) -> [bool; 3] {
    let token = rig.pkcs11.get_token_info(id(0)).expect("C_GetTokenInfo");
    if user == User::SO {
        [
            token.so_pin_count_low(),
            token.so_pin_final_try(),
            token.so_pin_locked(),
        ]
    } else {
        [
            token.user_pin_count_low(),
            token.user_pin_final_try(),
            token.user_pin_locked(),
        ]
    }
}

#[test]
fn a_pin_locks_after_its_tries_and_sets_the_flags() {
    for (user, kind) in [(User::USER, UserType::User), (User::SO, UserType::So)] {
        let rig = Rig::new(|faults| {
            faults.defaults.user.tries = Some(3);
            faults.defaults.so.tries = Some(3);
        });
        let session = rig.rw_session(0);
        let wrong = || log_in(&session, kind, Some("wrong"));
        let incorrect = rv(Ckr::PIN_INCORRECT);
        assert_eq!(flags(&rig, user), [false, false, false]);
        assert_eq!(
            (wrong(), flags(&rig, user)),
            (incorrect, [true, false, false])
        );
        assert_eq!(
            (wrong(), flags(&rig, user)),
            (incorrect, [true, true, false])
        );
        assert_eq!(
            (wrong(), flags(&rig, user)),
            (incorrect, [true, false, true])
        );
        assert_eq!(wrong(), rv(Ckr::PIN_LOCKED));
        let right = if user == User::SO { "5678" } else { "1234" };
        assert_eq!(log_in(&session, kind, Some(right)), rv(Ckr::PIN_LOCKED));
        let other = if user == User::SO {
            User::USER
        } else {
            User::SO
        };
        assert_eq!(flags(&rig, other), [false, false, false]);

        rig.token.unlock_pins().expect("unlocked");
        assert_eq!(log_in(&session, kind, Some(right)), Rv::Ok);
    }
}

#[test]
fn a_right_pin_gives_the_tries_back() {
    let rig = Rig::new(|faults| faults.defaults.user.tries = Some(2));
    let session = rig.session(0);
    for _ in 0..3 {
        assert_eq!(
            log_in(&session, UserType::User, Some("9")),
            rv(Ckr::PIN_INCORRECT)
        );
        assert_eq!(flags(&rig, User::USER), [true, true, false]);
        assert_eq!(log_in(&session, UserType::User, Some("1234")), Rv::Ok);
        assert_eq!(flags(&rig, User::USER), [false, false, false]);
        session.logout().expect("C_Logout");
    }
}

#[test]
fn a_token_may_lock_without_any_flag_or_flag_without_ever_locking() {
    let rig = Rig::new(|faults| {
        faults.slots = 2;
        faults.token(0).user = PinSettings {
            tries: Some(1),
            flags: false,
            ..PinSettings::new("1")
        };
    });
    let (silent, lasting) = (rig.session(0), rig.session(1));
    assert_eq!(
        log_in(&silent, UserType::User, Some("9")),
        rv(Ckr::PIN_INCORRECT)
    );
    assert_eq!(flags(&rig, User::USER), [false; 3]);
    assert_eq!(
        log_in(&silent, UserType::User, Some("1")),
        rv(Ckr::PIN_LOCKED)
    );
    for _ in 0..20 {
        assert_eq!(
            log_in(&lasting, UserType::User, Some("9")),
            rv(Ckr::PIN_INCORRECT)
        );
    }
    assert!(
        rig.pkcs11
            .get_token_info(id(1))
            .expect("C_GetTokenInfo")
            .user_pin_count_low()
    );
    assert_eq!(rig.token.wrong_pins(1, User::USER).expect("the state"), 20);
    assert_eq!(log_in(&lasting, UserType::User, Some("1234")), Rv::Ok);
}

#[test]
fn a_reinitialised_token_counts_afresh() {
    let rig = Rig::new(|faults| faults.defaults.user.tries = Some(1));
    assert_eq!(
        log_in(&rig.session(0), UserType::User, Some("9")),
        rv(Ckr::PIN_INCORRECT)
    );
    rig.set(|faults| faults.reinitialize(0));
    assert_eq!(
        log_in(&rig.session(0), UserType::User, Some("1234")),
        Rv::Ok
    );
}

#[test]
fn every_presentation_is_recorded_with_its_pin() {
    let rig = Rig::new(|faults| {
        faults.defaults.another_login = Some(Ckr::USER_TOO_MANY_TYPES);
        faults.defaults.user.pin = Some("pä$$".to_owned());
    });
    let session = rig.session(0);
    let present = |pin| log_in(&session, UserType::User, Some(pin));
    assert_eq!(present("0012"), rv(Ckr::USER_TOO_MANY_TYPES));
    rig.set(|faults| faults.defaults.another_login = None);
    assert_eq!(present("0012"), rv(Ckr::PIN_INCORRECT));
    assert_eq!(present("pä$$"), Rv::Ok);
    let logins = rig.token.logins().expect("a record");
    let told: Vec<_> = logins
        .iter()
        .map(|login| {
            (
                login.call.user,
                login.call.pin.clone().unwrap_or_default(),
                login.judged,
            )
        })
        .collect();
    let user = Some(User::USER);
    assert_eq!(
        told,
        [
            (user, b"0012".to_vec(), Some(Ckr::USER_TOO_MANY_TYPES)),
            (user, b"0012".to_vec(), Some(Ckr::PIN_INCORRECT)),
            (user, "pä$$".as_bytes().to_vec(), Some(Ckr::OK)),
        ]
    );
    assert!(logins.iter().all(|login| login.told == login.judged));
    assert_eq!(rig.token.wrong_pins(0, User::USER).expect("the state"), 0);
}

#[test]
fn a_login_holds_for_the_token_until_its_last_session_closes() {
    let rig = Rig::new(|faults| faults.slots = 2);
    let (first, second) = (rig.session(0), rig.session(0));
    assert_eq!(log_in(&first, UserType::User, Some("1234")), Rv::Ok);
    assert_eq!(
        log_in(&second, UserType::User, Some("1234")),
        rv(Ckr::USER_ALREADY_LOGGED_IN)
    );
    let another = rv(Ckr::USER_ANOTHER_ALREADY_LOGGED_IN);
    assert_eq!(log_in(&second, UserType::So, Some("5678")), another);
    assert_eq!(
        log_in(&rig.session(1), UserType::User, Some("1234")),
        Rv::Ok
    );
    first.close().expect("C_CloseSession");
    assert_eq!(
        log_in(&second, UserType::User, Some("1234")),
        rv(Ckr::USER_ALREADY_LOGGED_IN)
    );
    second.close().expect("C_CloseSession");
    let third = rig.session(0);
    assert_eq!(log_in(&third, UserType::User, Some("1234")), Rv::Ok);
    third.logout().expect("C_Logout");
    assert_eq!(answer(third.logout()), rv(Ckr::USER_NOT_LOGGED_IN));
}

#[test]
fn the_security_officer_cannot_log_in_while_a_read_only_session_is_open() {
    let rig = Rig::new(|_| ());
    let read_only = rig.session(0);
    let read_write = rig.rw_session(0);
    let log_in_officer = || log_in(&read_write, UserType::So, Some("5678"));
    assert_eq!(log_in_officer(), rv(Ckr::SESSION_READ_ONLY_EXISTS));
    read_only.close().expect("C_CloseSession");
    assert_eq!(log_in_officer(), Rv::Ok);
    let read_only = rig.pkcs11.open_ro_session(id(0));
    assert_eq!(answer(read_only), rv(Ckr::SESSION_READ_WRITE_SO_EXISTS));
}

#[test]
fn a_vendors_users_have_pins_of_their_own() {
    let rig = Rig::new(|faults| {
        let limited = PinSettings {
            tries: Some(1),
            ..PinSettings::new("user:password")
        };
        faults
            .defaults
            .vendor_users
            .insert(User(0x8000_0001), limited);
    });
    let session = rig.session(0);
    let vendor = |number| UserType::VendorExtension(number);
    let unknown = log_in(&session, vendor(0x8000_0002), Some("user:password"));
    assert_eq!(unknown, rv(Ckr::USER_TYPE_INVALID));
    assert_eq!(
        log_in(&session, vendor(0x8000_0001), Some("user:password")),
        Rv::Ok
    );
    session.logout().expect("C_Logout");
    assert_eq!(
        log_in(&session, vendor(0x8000_0001), Some("9")),
        rv(Ckr::PIN_INCORRECT)
    );
    let locked = log_in(&session, vendor(0x8000_0001), Some("user:password"));
    assert_eq!(locked, rv(Ckr::PIN_LOCKED));
    assert_eq!(flags(&rig, User::USER), [false; 3]);
}

#[test]
fn a_pin_that_was_never_set() {
    let rig = Rig::new(|faults| faults.defaults.user.pin = None);
    let answered = log_in(&rig.session(0), UserType::User, Some("1234"));
    assert_eq!(answered, rv(Ckr::USER_PIN_NOT_INITIALIZED));
}

#[test]
fn a_pin_pad_takes_a_login_without_a_pin() {
    let with = |pad| {
        let rig = Rig::new(|faults| {
            faults.defaults.pin_pad = pad;
            faults.defaults.user.tries = Some(3);
        });
        let answered = log_in(&rig.session(0), UserType::User, None);
        (
            answered,
            rig.token.wrong_pins(0, User::USER).expect("the state"),
        )
    };
    assert_eq!(with(None), (rv(Ckr::ARGUMENTS_BAD), 0));
    assert_eq!(with(Some(PinPad::Right)), (Rv::Ok, 0));
    assert_eq!(with(Some(PinPad::Wrong)), (rv(Ckr::PIN_INCORRECT), 1));
    assert_eq!(with(Some(PinPad::Cancel)), (rv(Ckr::FUNCTION_CANCELED), 0));
}

fn seeded(change: impl FnOnce(&mut Faults), length: usize) -> Rv {
    let rig = Rig::new(change);
    answer(rig.session(0).seed_random(&vec![7; length]))
}

#[test]
fn seeding_is_refused_in_each_of_its_ways() {
    for code in [
        Ckr::RANDOM_SEED_NOT_SUPPORTED,
        Ckr::RANDOM_NO_RNG,
        Ckr::FUNCTION_NOT_SUPPORTED,
    ] {
        let rig = Rig::new(|faults| faults.defaults.seeding.refused = Some(code));
        assert_eq!(answer(rig.session(0).seed_random(b"seed")), rv(code));
        let token = rig.pkcs11.get_token_info(id(0)).expect("C_GetTokenInfo");
        assert_eq!(token.rng(), code != Ckr::RANDOM_NO_RNG);
        let seeds = rig.token.seeds().expect("a record");
        assert_eq!((seeds[0].result, seeds[0].succeeded()), (Some(code), false));
    }
}

#[test]
fn seeds_have_a_shortest_and_a_longest_length() {
    let limits = |faults: &mut Faults| {
        faults.defaults.seeding.min = 32;
        faults.defaults.seeding.max = Some(48);
        faults.defaults.seeding.wrong_length = Ckr::DEVICE_ERROR;
    };
    let seeded = |length| seeded(limits, length);
    let error = rv(Ckr::DEVICE_ERROR);
    assert_eq!([31, 32, 48, 49].map(seeded), [error, Rv::Ok, Rv::Ok, error]);
    assert_eq!(
        [0, 65_536].map(|length| self::seeded(|_| (), length)),
        [Rv::Ok, Rv::Ok]
    );
}

#[test]
fn seeding_may_need_a_login() {
    let rig = Rig::new(|faults| faults.defaults.seeding.needs_login = true);
    let session = rig.session(0);
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::USER_NOT_LOGGED_IN)
    );
    assert_eq!(log_in(&session, UserType::User, Some("1234")), Rv::Ok);
    assert_eq!(answer(session.seed_random(b"seed")), Rv::Ok);
    rig.set(|faults| faults.lose_sessions(0));
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::SESSION_HANDLE_INVALID)
    );
    let session = rig.session(0);
    assert_eq!(
        answer(session.seed_random(b"seed")),
        rv(Ckr::USER_NOT_LOGGED_IN)
    );
}
