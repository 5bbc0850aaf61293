//! The worker reads what tokens say of themselves, and checks that a slot still holds its token.

mod support;

use qseed_faulty_token::Padding;
use qseed_model::Login;
use qseed_model::pins::PinAnswer;
use qseed_tokens::failure::FailureClass;
use support::faulty::{Bench, faulty};

#[test]
fn an_unreadable_clock_is_ignored() {
    // openCryptoki's, filled up with NUL, and two that say nothing.
    for time in ["17:20:14", "", "                "] {
        let bench = Bench::new(|faults| {
            faults.defaults.clock = Some(time.to_owned());
            faults.defaults.padding = Padding::Nul;
        });
        bench.with_worker(async |daemon| {
            let slots = daemon.list().await;
            let token = slots[0].token().expect("a token that can be read");
            assert_eq!(
                (token.label.as_str(), token.serial.as_str()),
                ("faulty-0", "FT0")
            );
            daemon.start_opening(faulty(0, Login::User, Some("1234")));
            assert_eq!(daemon.let_log_in().await, PinAnswer::Accepted);
            assert_eq!(&daemon.opened().await.1, token);
            daemon.seed(0, 1, &[1; 48]);
            daemon.seeded().await;
        });
        assert_eq!(bench.mixed_in(), [(0, vec![1; 48])]);
    }
}

#[test]
fn a_seed_does_not_go_into_a_session_whose_token_is_another_one() {
    let mut bench = Bench::new(|_| {});
    bench.check_before_each_seed();
    bench.with_worker(async |daemon| {
        daemon.open(faulty(0, Login::None, None)).await;
        daemon.seed(0, 1, &[1; 48]);
        daemon.seeded().await;
        // The session lives on and would take the seed.
        bench.set(|faults| faults.token(0).serial = "OTHER".to_owned());
        daemon.seed(0, 2, &[2; 48]);
        let (failure, open) = daemon.seed_failed().await;
        assert_eq!((failure.class, open), (FailureClass::TokenMissing, false));
        daemon.start_opening(faulty(0, Login::None, None));
        assert_eq!(daemon.opened().await.1.serial, "OTHER");
        daemon.seed(0, 3, &[3; 48]);
        daemon.seeded().await;
    });
    assert_eq!(bench.mixed_in(), [(0, vec![1; 48]), (0, vec![3; 48])]);
}

#[test]
fn a_token_is_not_read_again_before_each_seed() {
    let bench = Bench::new(|faults| faults.record_all = true);
    bench.with_worker(async |daemon| {
        daemon.open(faulty(0, Login::None, None)).await;
        let readings = bench.readings();
        for job in 0..10 {
            daemon.seed(0, job, &[1; 48]);
            daemon.seeded().await;
        }
        assert_eq!(bench.readings(), readings);
    });
}
