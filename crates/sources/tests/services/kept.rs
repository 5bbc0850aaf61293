//! The one connection that is kept.

use qseed_entropy_service::{Fault, Options};
use qseed_sources::{Ask, FetchError};

use crate::{PATIENT, ask, plain, qrypt, secure, spawn};

#[tokio::test]
async fn one_connection_carries_all_requests() {
    let service = spawn(Options::default().tls());
    let mut source = qrypt(secure(&service));
    let ready = source.connect().await.expect("a connection");
    assert_eq!((ready.attempts, service.counts().requests), (0, 0));
    for _ in 0..5 {
        let delivery = source.fetch(ask(48, 1)).await.expect("a delivery");
        assert_eq!(delivery.link, ready.link);
    }
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test]
async fn a_refusal_keeps_the_connection() {
    let service = spawn(Options::default().tls());
    let mut source = qrypt(secure(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    service.fault_next(Fault::status(503), 1);
    source.fetch(ask(48, 1)).await.expect_err("a refusal");
    source.fetch(ask(48, 1)).await.expect("a delivery");
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced_without_a_fault() {
    for options in [Options::default(), Options::default().tls()] {
        let service = spawn(options);
        let http = if service.ca_path().is_some() {
            secure(&service)
        } else {
            plain(&service)
        };
        let mut source = qrypt(http);
        source.fetch(ask(48, 1)).await.expect("a delivery");
        service.stop();
        service.restart();
        let delivery = source.fetch(ask(48, 1)).await.expect("a delivery");
        assert!(delivery.attempts <= 2);
        assert_eq!(service.counts().connections, 2);
        assert_eq!(delivery.link.map_or(2, |link| link.connection), 2);
    }
}

#[tokio::test]
async fn the_spare_attempt_replaces_a_stale_connection() {
    for options in [Options::default(), Options::default().tls()] {
        let service = spawn(options);
        let http = if service.ca_path().is_some() {
            secure(&service)
        } else {
            plain(&service)
        };
        let mut source = qrypt(http);
        source.fetch(ask(48, 1)).await.expect("a delivery");
        service.fault_next(Fault::StaleClose, 1);
        let delivery = source.fetch(ask(48, 1)).await.expect("a delivery");
        assert_eq!(delivery.attempts, 2);
        assert_eq!(service.counts().connections, 2);
        let served = service.served().last().expect("an answer").blocks.joined();
        assert_eq!(delivery.entropy.expose(), served);
    }
}

#[tokio::test]
async fn without_a_spare_attempt_a_stale_connection_is_a_failure() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    service.fault_next(Fault::StaleClose, 1);
    let only_one = Ask {
        spare_attempt: false,
        ..ask(48, 1)
    };
    let failed = source.fetch(only_one).await.expect_err("closed");
    assert!(
        matches!(failed.error, FetchError::Closed { .. }),
        "{failed:?}"
    );
    assert_eq!(failed.attempts, 1);
    source
        .fetch(only_one)
        .await
        .expect("a delivery on a new connection");
}

#[tokio::test]
async fn a_fresh_connection_that_fails_is_not_tried_again() {
    let service = spawn(Options::default().fault(Fault::CloseUnanswered));
    let mut source = qrypt(plain(&service));
    let failed = source.fetch(ask(48, 1)).await.expect_err("closed");
    assert_eq!((failed.attempts, service.counts().requests), (1, 1));
}

#[tokio::test]
async fn bytes_of_an_answer_end_the_matter() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    service.fault_next(Fault::Truncate, 1);
    let failed = source.fetch(ask(48, 1)).await.expect_err("half an answer");
    assert!(
        matches!(failed.error, FetchError::Truncated { .. }),
        "{failed:?}"
    );
    assert_eq!((failed.attempts, service.counts().requests), (1, 2));
    assert!(service.wait_for(|log| log.served().len() == 2, PATIENT));
}
