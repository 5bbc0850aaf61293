//! The worker with a real token: `SoftHSM`, with `pkcs11-spy` in front of it, whose log tells what
//! reached the token.

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use qseed_model::pins::{HeldBack, PinAnswer};
use qseed_model::uri::TokenUri;
use qseed_model::{Login, TokenChoice};
use qseed_real_tokens::SoftHsm;
use qseed_tokens::failure::FailureClass;
use qseed_tokens::find::matches;
use qseed_tokens::supervisor::WorkerSpec;
use qseed_tokens::wire::{Open, PinSource, ToWorker};
use support::{Daemon, Workers as _, on_one_thread, token, with_worker};

/// Bytes that differ from place to place and from seed to seed.
fn bytes(length: usize, number: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place * 7 + place / 251 + number * 31).to_le_bytes()[0])
        .collect()
}

#[test]
fn a_token_gets_exactly_the_seeds_that_were_sent() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    let lengths = [1, 2, 48, 511, 512, 513, 4_096, 65_536];
    let seeds: Vec<_> = lengths
        .iter()
        .enumerate()
        .map(|(n, l)| bytes(*l, n))
        .collect();
    on_one_thread(async {
        let (mut daemon, library) = Daemon::ready(&hsm.spec()).await;
        assert_eq!(library.manufacturer, "SoftHSM");
        daemon.start_opening(token(1, "first", Login::None, None));
        let (partition, info) = daemon.opened().await;
        assert_eq!((partition, info.label.as_str()), (1, "first"));
        assert_eq!(info.model, "SoftHSM v2");
        for (job, seed) in (0..).zip(&seeds) {
            daemon.seed(1, job, seed);
            assert_eq!(daemon.seeded().await, (job, 1));
        }
        daemon.shut_down().await;
    });
    let log = hsm.spy_log();
    assert!(log.seeds() == seeds, "other bytes, or in another order");
    assert_eq!(log.count("C_OpenSession"), 1, "one session stays open");
    assert_eq!(log.count("C_Login"), 0);
    assert!(log.functions().ends_with(&["CloseSession", "Finalize"]));
}

#[test]
fn a_seed_is_cut_for_tokens_that_take_short_ones() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    let seed = bytes(48, 1);
    with_worker(&hsm.spec(), async |daemon| {
        let chunk = NonZeroU32::new(20);
        let open = Open {
            chunk,
            ..token(1, "first", Login::None, None)
        };
        daemon.start_opening(open);
        daemon.opened().await;
        daemon.seed(1, 5, &seed);
        assert_eq!(daemon.seeded().await, (5, 3));
    });
    assert_eq!(
        hsm.spy_log().seeds(),
        [&seed[..20], &seed[20..40], &seed[40..]]
    );
}

#[test]
fn a_pin_is_presented_on_the_guards_word_alone() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        daemon.start_opening(token(1, "first", Login::User, Some("1234")));
        let (partition, ask, tag) = daemon.asked().await;
        daemon.say(partition, ask, false);
        assert_eq!(
            daemon.open_failed().await.class,
            FailureClass::PinHeld(HeldBack::Refused)
        );
        daemon.start_opening(token(1, "first", Login::User, Some("1234")));
        let (_, another, same_tag) = daemon.asked().await;
        assert!(another != ask && same_tag == tag);
        // A verdict on an older question is none on this one.
        daemon.say(partition, ask, true);
        daemon.say(partition, another, false);
        assert_eq!(
            daemon.open_failed().await.class,
            FailureClass::PinHeld(HeldBack::Refused)
        );
        daemon.start_opening(token(1, "first", Login::User, Some("1234")));
        let (partition, ask, _) = daemon.asked().await;
        daemon.say(partition, ask, true);
        assert_eq!(daemon.outcome().await, PinAnswer::Accepted);
        daemon.opened().await;
        daemon.seed(1, 1, &bytes(48, 1));
        daemon.seeded().await;
    });
    let log = hsm.spy_log();
    assert_eq!(log.count("C_Login"), 1);
    assert!(
        log.functions()
            .ends_with(&["Logout", "CloseSession", "Finalize"])
    );
}

#[test]
fn a_wrong_pin_is_refused_and_reported() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        daemon.start_opening(token(1, "first", Login::User, Some("4321")));
        assert_eq!(daemon.let_log_in().await, PinAnswer::Refused);
        let failure = daemon.open_failed().await;
        assert_eq!(failure.class, FailureClass::PinRefused);
        assert_eq!(failure.to_string(), "C_Login: CKR_PIN_INCORRECT");
        // A seed for a partition that is not open is answered, and goes nowhere.
        daemon.seed(1, 9, &bytes(48, 1));
        let (failure, open) = daemon.seed_failed().await;
        assert_eq!(failure.to_string(), "the partition is not open");
        assert!(!open);
    });
    let log = hsm.spy_log();
    assert_eq!((log.count("C_Login"), log.count("C_SeedRandom")), (1, 0));
    assert_eq!(log.count("C_OpenSession"), log.count("C_CloseSession"));
}

#[test]
fn partitions_that_are_one_token_log_in_once() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        for partition in 1..=3 {
            let open = token(partition, "first", Login::User, Some("1234"));
            daemon.start_opening(open);
        }
        assert_eq!(daemon.let_log_in().await, PinAnswer::Accepted);
        let mut opened = Vec::new();
        for _ in 0..3 {
            opened.push(daemon.opened().await.0);
        }
        opened.sort_unstable();
        assert_eq!(opened, [1, 2, 3]);
        // The security officer cannot come in beside them.
        daemon.start_opening(token(4, "first", Login::So, Some("87654321")));
        assert_eq!(daemon.open_failed().await.class, FailureClass::AnotherLogin);
    });
    let log = hsm.spy_log();
    assert_eq!((log.count("C_Login"), log.count("C_Logout")), (1, 1));
}

#[test]
fn one_wrong_pin_for_two_partitions_is_asked_for_each() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        for partition in 1..=2 {
            let open = token(partition, "first", Login::User, Some("4321"));
            daemon.start_opening(open);
        }
        let (one, ask, tag) = daemon.asked().await;
        daemon.say(one, ask, true);
        assert_eq!(daemon.outcome().await, PinAnswer::Refused);
        // The second question and the first failure come in any order.
        let mut failures = Vec::new();
        while failures.len() < 2 {
            use qseed_tokens::wire::FromWorker;
            match daemon.message().await {
                FromWorker::PinAsk {
                    partition,
                    ask,
                    tags,
                    ..
                } => {
                    assert!(partition != one && tags.tag == tag);
                    daemon.say(partition, ask, false);
                }
                FromWorker::OpenFailed { failure, .. } => failures.push(failure.class),
                other => panic!("{other:?}"),
            }
        }
        assert!(
            failures.contains(&FailureClass::PinHeld(HeldBack::Refused)),
            "{failures:?}"
        );
    });
    assert_eq!(hsm.spy_log().count("C_Login"), 1);
}

#[test]
fn the_security_officer_logs_in_to_a_read_write_session() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        daemon
            .log_in(token(1, "first", Login::So, Some("87654321")))
            .await;
    });
}

#[test]
fn missing_and_ambiguous_tokens_are_reported_with_what_exists() {
    let hsm = SoftHsm::with_tokens(&["first", "second"]);
    with_worker(&hsm.spec(), async |daemon| {
        daemon.start_opening(token(1, "third", Login::None, None));
        let failure = daemon.open_failed().await;
        assert_eq!(failure.class, FailureClass::TokenMissing);
        assert!(failure.text.contains("\"first\"") && failure.text.contains("\"second\""));
        let any = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project";
        let any = TokenChoice::Uri(Box::new(TokenUri::read(any).uri));
        let open = Open {
            token: any,
            ..token(1, "x", Login::None, None)
        };
        daemon.start_opening(open);
        let failure = daemon.open_failed().await;
        // The free slot's uninitialised token is one of them.
        assert_eq!(failure.class, FailureClass::AmbiguousUri);
        assert!(failure.text.contains("\"first\""), "{failure}");
        let nowhere = TokenChoice::Slot(4_711);
        let open = Open {
            token: nowhere,
            ..token(1, "x", Login::None, None)
        };
        daemon.start_opening(open);
        assert_eq!(daemon.open_failed().await.class, FailureClass::TokenMissing);
    });
}

/// Opens fifty tokens and sends each three seeds of its own.
async fn seed_fifty(spec: &WorkerSpec, labels: &[String]) {
    let (mut daemon, _) = Daemon::ready(spec).await;
    for (partition, label) in (0..).zip(labels) {
        daemon.start_opening(token(partition, label, Login::None, None));
    }
    for _ in labels {
        let (partition, info) = daemon.opened().await;
        assert_eq!(info.label, format!("token-{partition}"));
    }
    for round in 0..3 {
        for partition in 0..50 {
            daemon.seed(partition, round, &bytes(48, partition as usize));
        }
        for _ in 0..50 {
            assert_eq!(daemon.seeded().await, (round, 1));
        }
    }
    daemon.shut_down().await;
}

#[test]
fn fifty_tokens_are_open_at_once_and_each_gets_its_own() {
    let labels: Vec<_> = (0..50).map(|number| format!("token-{number}")).collect();
    let hsm = SoftHsm::with_tokens(&labels.iter().map(String::as_str).collect::<Vec<_>>());
    on_one_thread(seed_fifty(&hsm.spec_without_spy(), &labels));
    on_one_thread(seed_fifty(&hsm.spec(), &labels));
    let log = hsm.spy_log();
    let mut seeds = log.seeds();
    seeds.sort_unstable();
    let mut sent: Vec<_> = (0..150).map(|number| bytes(48, number % 50)).collect();
    sent.sort_unstable();
    assert!(seeds == sent, "other seeds than were sent");
    let readings = log.count("C_GetTokenInfo");
    // A listing serves everybody for a second, and a busy machine may need several.
    assert!(
        readings <= 51 * 10,
        "the tokens were listed for each partition: {readings}"
    );
    assert_eq!(log.count("C_CloseSession"), 50);
}

#[test]
fn slots_are_listed_without_a_session() {
    let hsm = SoftHsm::with_tokens(&["first", "second"]);
    let (slots, library) = on_one_thread(async {
        let (mut daemon, library) = Daemon::ready(&hsm.spec()).await;
        let slots = daemon.list().await;
        daemon.shut_down().await;
        (slots, library)
    });
    let tokens: Vec<_> = slots.iter().filter_map(|slot| slot.token()).collect();
    let labels: Vec<_> = tokens.iter().map(|token| token.label.as_str()).collect();
    assert!(
        labels.contains(&"first") && labels.contains(&"second"),
        "{labels:?}"
    );
    for slot in &slots {
        let token = slot.token().expect("SoftHSM's slots all have tokens");
        assert!(matches(&token.uri(), &library, slot));
    }
    assert_eq!(hsm.spy_log().count("C_OpenSession"), 0);
}

#[test]
fn a_pin_file_is_read_when_needed_and_reported_when_missing() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    let file = hsm.folder().join("pin");
    with_worker(&hsm.spec(), async |daemon| {
        let open = || Open {
            pin: PinSource::File(file.clone()),
            ..token(1, "first", Login::User, None)
        };
        daemon.start_opening(open());
        let failure = daemon.open_failed().await;
        assert_eq!(failure.class, FailureClass::PinUnavailable);
        assert!(failure.text.contains("/pin"), "{failure}");
        std::fs::write(&file, "1234\n").expect("written");
        daemon.start_opening(open());
        assert_eq!(daemon.let_log_in().await, PinAnswer::Accepted);
        daemon.opened().await;
    });
}

#[test]
fn no_seed_goes_into_a_deleted_or_reinitialised_token() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    let mut spec = hsm.spec();
    spec.recheck_after = Duration::ZERO;
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(&spec).await;
        let open = || ToWorker::Open(token(1, "first", Login::None, None));
        daemon.worker.send(open());
        daemon.opened().await;
        daemon.seed(1, 1, &bytes(48, 1));
        daemon.seeded().await;

        hsm.reinitialise_token("first", "second");
        daemon.seed(1, 2, &bytes(48, 2));
        let (failure, open_still) = daemon.seed_failed().await;
        assert_eq!(
            (failure.class, open_still),
            (FailureClass::TokenMissing, false)
        );

        let second = token(1, "second", Login::None, None);
        daemon.start_opening(second);
        daemon.opened().await;
        hsm.delete_token("second");
        daemon.seed(1, 3, &bytes(48, 3));
        // What SoftHSM says of a token whose files are gone.
        let (failure, open_still) = daemon.seed_failed().await;
        assert_eq!(failure.to_string(), "C_GetTokenInfo: CKR_GENERAL_ERROR");
        assert_eq!((failure.class, open_still), (FailureClass::General, false));

        // The new one is seen by a new process alone.
        hsm.add_token("first");
        daemon.worker.send(open());
        assert_eq!(daemon.open_failed().await.class, FailureClass::General);
        daemon.shut_down().await;
        let (mut daemon, _) = Daemon::ready(&spec).await;
        daemon.worker.send(open());
        daemon.opened().await;
        daemon.shut_down().await;
    });
    assert_eq!(hsm.spy_log().seeds(), [bytes(48, 1)]);
}
