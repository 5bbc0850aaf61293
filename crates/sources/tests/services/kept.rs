//! The one connection that is kept.

use std::sync::Arc;

use qseed_entropy_service::{Fault, Options};
use qseed_http::{HttpError, Traffic};
use qseed_sources::{Ask, FetchError};

use crate::{PATIENT, ask, plain, qrypt, secure, sent, spawn};

#[tokio::test]
async fn one_connection_carries_all_requests() {
    let service = spawn(Options::default().tls());
    let mut source = qrypt(secure(&service));
    source.connect().await.expect("a connection");
    let Traffic { sent, link } = source.take_traffic();
    assert_eq!((sent, service.counts().requests), (0, 0));
    let link = link.expect("TLS");
    for _ in 0..5 {
        source.fetch(ask(48, 1)).await.expect("a delivery");
        let now = source.take_traffic().link.expect("TLS");
        assert!(Arc::ptr_eq(&now, &link), "the same connection");
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
        let before = source.take_traffic().link;
        service.stop();
        service.restart();
        source.fetch(ask(48, 1)).await.expect("a delivery");
        let Traffic { sent, link } = source.take_traffic();
        assert!(sent <= 2);
        assert_eq!(service.counts().connections, 2);
        if let (Some(before), Some(link)) = (before, link) {
            assert!(!Arc::ptr_eq(&before, &link), "another connection");
        }
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
        sent(&mut *source);
        service.fault_next(Fault::StaleClose, 1);
        let delivery = source.fetch(ask(48, 1)).await.expect("a delivery");
        assert_eq!(sent(&mut *source), 2);
        assert_eq!(service.counts().connections, 2);
        let served = service.served().last().expect("an answer").blocks.joined();
        assert_eq!(delivery.expose(), served);
    }
}

#[tokio::test]
async fn without_a_spare_attempt_a_stale_connection_is_a_failure() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    sent(&mut *source);
    service.fault_next(Fault::StaleClose, 1);
    let only_one = Ask {
        spare_attempt: false,
        ..ask(48, 1)
    };
    let failed = source.fetch(only_one).await.expect_err("closed");
    assert!(
        matches!(failed, FetchError::Http(HttpError::Closed)),
        "{failed:?}"
    );
    assert_eq!(sent(&mut *source), 1);
    source
        .fetch(only_one)
        .await
        .expect("a delivery on a new connection");
}

#[tokio::test]
async fn a_fresh_connection_that_fails_is_not_tried_again() {
    let service = spawn(Options::default().fault(Fault::CloseUnanswered));
    let mut source = qrypt(plain(&service));
    source.fetch(ask(48, 1)).await.expect_err("closed");
    assert_eq!((sent(&mut *source), service.counts().requests), (1, 1));
}

#[tokio::test]
async fn bytes_of_an_answer_end_the_matter() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    sent(&mut *source);
    service.fault_next(Fault::Truncate, 1);
    let failed = source.fetch(ask(48, 1)).await.expect_err("half an answer");
    assert!(
        matches!(failed, FetchError::Http(HttpError::Closed)),
        "{failed:?}"
    );
    assert_eq!((sent(&mut *source), service.counts().requests), (1, 2));
    assert!(service.wait_for(|log| log.served().len() == 2, PATIENT));
}
