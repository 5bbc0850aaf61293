//! The worker with a token that misbehaves: what reached it, and what the worker said.

mod support;

use std::num::NonZeroU32;

use qseed_faulty_token::{Ckr, Function, PinPad, PinSettings, Rule, TokenFlag, User};
use qseed_model::pins::{HeldBack, PinAnswer};
use qseed_model::{Login, TokenChoice};
use qseed_tokens::failure::FailureClass;
use qseed_tokens::wire::{FromWorker, Open, ToWorker};
use support::faulty::{Bench, faulty};

#[test]
fn a_lost_session_is_renewed_and_the_same_seed_tried_once_more() {
    for code in [Ckr::SESSION_HANDLE_INVALID, Ckr::SESSION_CLOSED] {
        let bench = Bench::new(|faults| {
            faults.token(0).lost_session = code;
            faults.token(0).seeding.needs_login = true;
        });
        bench.with_worker(async |daemon| {
            daemon.log_in(faulty(0, Login::User, Some("1234"))).await;
            daemon.seed(0, 1, &[1; 48]);
            daemon.seeded().await;
            bench.set(|faults| faults.lose_sessions(0));
            daemon.seed(0, 2, &[2; 48]);
            assert_eq!(
                daemon.let_log_in().await,
                PinAnswer::Accepted,
                "guarded again"
            );
            assert_eq!(daemon.seeded().await, (2, 2));
        });
        assert_eq!(bench.mixed_in(), [(0, vec![1; 48]), (0, vec![2; 48])]);
        assert_eq!(bench.logins(), 2);
    }
}

#[test]
fn a_chunk_that_went_in_does_not_go_in_again_after_a_lost_session_or_login() {
    for code in [Ckr::SESSION_HANDLE_INVALID, Ckr::USER_NOT_LOGGED_IN] {
        let bench = Bench::new(|faults| {
            let third = Rule::answer(Function::SeedRandom, code).from(3).times(1);
            faults.rules.push(third);
        });
        let seed: Vec<u8> = (0..48).collect();
        bench.with_worker(async |daemon| {
            daemon.start_opening(Open {
                chunk: NonZeroU32::new(20),
                ..faulty(0, Login::User, Some("1234"))
            });
            daemon.let_log_in().await;
            daemon.opened().await;
            daemon.seed(0, 1, &seed);
            daemon.let_log_in().await;
            assert_eq!(daemon.seeded().await, (1, 4));
        });
        let chunks = [&seed[..20], &seed[20..40], &seed[40..]];
        assert_eq!(bench.mixed_in(), chunks.map(|chunk| (0, chunk.to_vec())));
    }
}

#[test]
fn a_lost_login_is_renewed_once_for_all_partitions_of_the_token() {
    let bench = Bench::new(|_| {});
    bench.with_worker(async |daemon| {
        for partition in [1, 2] {
            let how = Open {
                partition,
                ..faulty(0, Login::User, Some("1234"))
            };
            daemon.start_opening(how);
        }
        daemon.let_log_in().await;
        daemon.opened().await;
        daemon.opened().await;
        let lost = Rule::answer(Function::SeedRandom, Ckr::USER_NOT_LOGGED_IN).times(2);
        bench.set(|faults| faults.rules.push(lost));
        daemon.seed(1, 1, &[1; 48]);
        let (first, ask, _) = daemon.asked().await;
        daemon.seed(2, 2, &[2; 48]);
        while daemon.any_message().await != (FromWorker::Waits { partition: 2 }) {}
        daemon.say(first, ask, true);
        // The token never logged the user out, so it judged no PIN.
        assert_eq!(daemon.outcome().await, PinAnswer::NotJudged);
        let mut seeded = [daemon.seeded().await.0, daemon.seeded().await.0];
        seeded.sort_unstable();
        assert_eq!(seeded, [1, 2]);
    });
    assert_eq!(bench.mixed_in().len(), 2);
}

#[test]
fn a_login_held_back_while_a_seed_waits_ends_the_seed() {
    let bench = Bench::new(|_| {});
    bench.with_worker(async |daemon| {
        daemon.log_in(faulty(0, Login::User, Some("1234"))).await;
        bench.set(|faults| faults.lose_sessions(0));
        daemon.seed(0, 1, &[1; 48]);
        let (partition, ask, _) = daemon.asked().await;
        daemon.say(partition, ask, false);
        let (failure, open) = daemon.seed_failed().await;
        assert_eq!(
            (failure.class, open),
            (FailureClass::PinHeld(HeldBack::Refused), false)
        );
    });
    assert!(bench.mixed_in().is_empty());
    assert_eq!(bench.logins(), 1);
}

/// Another program's wrong PIN, or one of another token that counts together with this one.
#[test]
fn a_token_that_comes_to_its_last_try_while_the_guard_is_asked_is_offered_nothing() {
    for flag in [TokenFlag::UserPinFinalTry, TokenFlag::UserPinLocked] {
        let bench = Bench::new(|_| {});
        bench.with_worker(async |daemon| {
            daemon.start_opening(faulty(0, Login::User, Some("1234")));
            let (partition, ask, _) = daemon.asked().await;
            bench.set(|faults| faults.token(0).set_flags.push(flag));
            daemon.say(partition, ask, true);
            assert_eq!(daemon.outcome().await, PinAnswer::NotJudged);
            let failure = daemon.open_failed().await;
            assert_eq!(failure.class, FailureClass::PinGuarded);
        });
        assert_eq!(bench.logins(), 0);
    }
}

#[test]
fn a_pin_does_not_follow_into_another_tokens_slot() {
    let bench = Bench::new(|faults| faults.slots = 2);
    bench.with_worker(async |daemon| {
        daemon.log_in(faulty(0, Login::User, Some("1234"))).await;
        bench.set(|faults| {
            faults.swap(0, 1);
            faults.lose_sessions(0);
        });
        daemon.seed(0, 1, &[1; 48]);
        let (failure, open) = daemon.seed_failed().await;
        assert_eq!((failure.class, open), (FailureClass::TokenMissing, false));
        // Opened anew it is found where it is now.
        daemon.start_opening(faulty(0, Login::User, Some("1234")));
        daemon.let_log_in().await;
        assert_eq!(daemon.opened().await.1.slot_id, 1);
        daemon.seed(0, 2, &[2; 48]);
        daemon.seeded().await;
    });
    assert_eq!(bench.mixed_in(), [(0, vec![2; 48])]);
}

#[test]
fn a_session_is_opened_where_the_token_is_now() {
    let bench = Bench::new(|faults| faults.slots = 2);
    bench.with_worker(async |daemon| {
        daemon.open(faulty(0, Login::None, None)).await;
        // The listing that was made for the first partition is still young.
        bench.set(|faults| faults.swap(0, 1));
        daemon.start_opening(faulty(1, Login::None, None));
        assert_eq!(daemon.opened().await.1.slot_id, 0);
        daemon.seed(1, 1, &[1; 48]);
        daemon.seeded().await;
    });
    assert_eq!(bench.mixed_in(), [(1, vec![1; 48])]);
}

#[test]
fn a_partition_closed_before_the_verdict_lets_the_next_one_ask() {
    let bench = Bench::new(|_| {});
    bench.with_worker(async |daemon| {
        let how = |partition| Open {
            partition,
            ..faulty(0, Login::User, Some("1234"))
        };
        daemon.start_opening(how(1));
        let (first, ask, _) = daemon.asked().await;
        daemon.start_opening(how(2));
        while daemon.any_message().await != (FromWorker::Waits { partition: 2 }) {}
        daemon.worker.send(ToWorker::Close { partition: first });
        daemon.say(first, ask, true);
        // That nothing was presented, the close and the second question come in any order.
        let mut asked = None;
        let mut closed = false;
        let mut not_presented = false;
        while asked.is_none() || !closed || !not_presented {
            match daemon.message().await {
                FromWorker::PinOutcome {
                    partition: 1,
                    ask: of,
                    answer: PinAnswer::NotJudged,
                    ..
                } if of == ask => not_presented = true,
                FromWorker::Closed { partition: 1 } => closed = true,
                FromWorker::PinAsk {
                    partition: 2, ask, ..
                } => asked = Some(ask),
                other => panic!("{other:?}"),
            }
        }
        daemon.say(2, asked.expect("a question"), true);
        assert_eq!(daemon.outcome().await, PinAnswer::Accepted);
        assert_eq!(daemon.opened().await.0, 2);
    });
    assert_eq!(bench.logins(), 1);
}

#[test]
fn seeding_refused_is_permanent_and_leaves_the_partition_open() {
    for code in [
        Ckr::RANDOM_SEED_NOT_SUPPORTED,
        Ckr::RANDOM_NO_RNG,
        Ckr::FUNCTION_NOT_SUPPORTED,
    ] {
        let bench = Bench::new(|faults| faults.token(0).seeding.refused = Some(code));
        bench.with_worker(async |daemon| {
            daemon.open(faulty(0, Login::None, None)).await;
            daemon.seed(0, 1, &[1; 48]);
            let (failure, open) = daemon.seed_failed().await;
            assert_eq!((failure.class, open), (FailureClass::Permanent, true));
        });
    }
}

/// Every return value that the standard has, and some that it has not.
fn all_codes() -> impl Iterator<Item = u64> {
    let named = |code: &u64| qseed_tokens::ckr::Ckr(*code).name().is_some();
    (1..0x300)
        .filter(named)
        .chain([0x4242, 0x8000_0000, 0x8000_0011, u64::MAX])
}

#[test]
fn after_any_answer_to_a_seed_the_next_one_gets_through() {
    let bench = Bench::new(|_| {});
    bench.with_worker(async |daemon| {
        daemon.open(faulty(0, Login::None, None)).await;
        let mut job = 0;
        for code in all_codes() {
            bench.set(|faults| {
                faults.rules = vec![Rule::answer(Function::SeedRandom, Ckr(code)).times(1)];
            });
            job += 1;
            daemon.seed(0, job, &[1; 48]);
            let renewed = matches!(Ckr(code), Ckr::SESSION_CLOSED | Ckr::SESSION_HANDLE_INVALID);
            if renewed {
                assert_eq!(daemon.seeded().await, (job, 2));
            } else {
                let (failure, open) = daemon.seed_failed().await;
                assert!(open, "{failure}");
                assert_eq!(failure.ckr.map(|ckr| ckr.0), Some(code));
            }
            job += 1;
            daemon.seed(0, job, &[2; 48]);
            assert_eq!(daemon.seeded().await, (job, 1), "after {code:#x}");
        }
    });
    let mixed_in = bench.mixed_in();
    assert_eq!(mixed_in.len(), all_codes().count() + 2);
}

#[test]
fn any_answer_to_a_login_is_one_presentation() {
    let bench = Bench::new(|_| {});
    bench.with_worker(async |daemon| {
        for code in all_codes() {
            bench.set(|faults| {
                faults.rules = vec![Rule::answer(Function::Login, Ckr(code))];
            });
            daemon.start_opening(faulty(0, Login::User, Some("1234")));
            let answer = daemon.let_log_in().await;
            if Ckr(code) == Ckr::USER_ALREADY_LOGGED_IN {
                assert_eq!(answer, PinAnswer::NotJudged);
                daemon.opened().await;
                daemon.worker.send(ToWorker::Close { partition: 0 });
                assert_eq!(daemon.message().await, FromWorker::Closed { partition: 0 });
            } else {
                assert_ne!(answer, PinAnswer::Accepted, "{code:#x}");
                let ckr = daemon.open_failed().await.ckr.expect("a return value");
                assert_eq!(ckr.0, code);
            }
        }
    });
    assert_eq!(bench.logins(), all_codes().count());
}

#[test]
fn a_token_on_its_last_try_or_locked_is_offered_no_pin() {
    for (login, pin, flag) in [
        (Login::User, "1234", TokenFlag::UserPinFinalTry),
        (Login::User, "1234", TokenFlag::UserPinLocked),
        (Login::So, "5678", TokenFlag::SoPinFinalTry),
        (Login::So, "5678", TokenFlag::SoPinLocked),
    ] {
        let bench = Bench::new(|faults| faults.token(0).set_flags = vec![flag]);
        bench.with_worker(async |daemon| {
            daemon.start_opening(faulty(0, login, Some(pin)));
            assert_eq!(daemon.open_failed().await.class, FailureClass::PinGuarded);
            // The other user's flags are none of this one's.
            let (login, pin) = match login {
                Login::So => (Login::User, "1234"),
                _ => (Login::So, "5678"),
            };
            daemon.log_in(faulty(0, login, Some(pin))).await;
        });
        assert_eq!(bench.logins(), 1);
    }
}

#[test]
fn vendors_users_and_pin_pads_log_in() {
    let bench = Bench::new(|faults| {
        faults.slots = 3;
        let crypto = PinSettings::new("crypto");
        faults
            .token(0)
            .vendor_users
            .insert(User(0x8000_0001), crypto);
        faults.token(1).pin_pad = Some(PinPad::Right);
        faults
            .token(1)
            .set_flags
            .push(TokenFlag::ProtectedAuthenticationPath);
    });
    bench.with_worker(async |daemon| {
        let vendors = Login::Vendor(0x8000_0001);
        daemon.log_in(faulty(0, vendors, Some("crypto"))).await;
        daemon.log_in(faulty(1, Login::Protected, None)).await;
        // Without a pad nothing is tried.
        daemon.start_opening(faulty(2, Login::Protected, None));
        assert_eq!(
            daemon.open_failed().await.class,
            FailureClass::PinUnavailable
        );
    });
    let logins = bench.token.logins().expect("a record");
    let pins: Vec<_> = logins
        .iter()
        .map(|login| login.call.pin.as_deref())
        .collect();
    assert_eq!(pins, [Some(&b"crypto"[..]), None]);
}

#[test]
fn another_applications_login_is_reported_and_judges_no_pin() {
    for code in [
        Ckr::USER_ANOTHER_ALREADY_LOGGED_IN,
        Ckr::USER_TOO_MANY_TYPES,
    ] {
        let bench = Bench::new(|faults| faults.token(0).another_login = Some(code));
        bench.with_worker(async |daemon| {
            daemon.start_opening(faulty(0, Login::User, Some("1234")));
            assert_eq!(daemon.let_log_in().await, PinAnswer::NotJudged);
            assert_eq!(daemon.open_failed().await.class, FailureClass::AnotherLogin);
        });
    }
}

#[test]
fn after_any_answer_while_opening_the_next_try_gets_through() {
    for function in [
        Function::GetSlotList,
        Function::GetSlotInfo,
        Function::GetTokenInfo,
        Function::OpenSession,
    ] {
        let bench = Bench::new(|_| {});
        bench.with_worker(async |daemon| {
            for code in all_codes() {
                bench.set(|faults| {
                    faults.rules = vec![Rule::answer(function, Ckr(code)).times(1)];
                });
                let how = || Open {
                    token: TokenChoice::Slot(0),
                    ..faulty(0, Login::None, None)
                };
                daemon.start_opening(how());
                daemon.open_failed().await;
                daemon.start_opening(how());
                daemon.opened().await;
            }
        });
    }
}
