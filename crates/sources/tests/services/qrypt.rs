//! Both of Qrypt's APIs: exact bytes, tokens, what a request looks like.

use qseed_entropy_service::{EntropyService, Options};
use qseed_http::HttpError;
use qseed_model::{FetchFault, Limits};
use qseed_sources::{CredentialVerdict, FetchError, Settings};

use crate::{TOKEN, ask, bearer, plain, qrypt, sent, source, spawn, token_file};

fn last_served(service: &EntropyService) -> Vec<u8> {
    service.served().last().expect("an answer").blocks.joined()
}

#[tokio::test]
async fn every_size_is_delivered_exactly() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    for (size, count) in [
        (1, 1),
        (2, 3),
        (48, 1),
        (48, 512),
        (511, 1),
        (512, 2),
        (511, 7),
        (512, 64),
        (512, 512),
        (1, 512),
    ] {
        let delivery = source.fetch(ask(size, count)).await.expect("a delivery");
        assert_eq!(delivery.expose(), last_served(&service), "{size} x {count}");
        assert_eq!(delivery.len(), ask(size, count).shape.bytes());
        let traffic = source.take_traffic();
        assert_eq!((traffic.sent, traffic.link), (1, None));
    }
    assert_eq!(service.counts().connections, 1);
}

#[tokio::test]
async fn the_older_api_delivers_whole_kibibytes() {
    let service = spawn(Options::default().token(TOKEN));
    let mut http = plain(&service);
    http.auth = bearer(TOKEN);
    let mut source = source(Settings::QryptKib(http));
    assert_eq!(source.limits(), Limits::QRYPT_KIB);
    for kib in [1, 2, 512] {
        let delivery = source.fetch(ask(1024, kib)).await.expect("a delivery");
        assert_eq!(delivery.len(), kib as usize * 1024);
        assert_eq!(delivery.expose(), last_served(&service));
    }
    let seen = source.inspect().await;
    assert!(
        matches!(seen.credential, CredentialVerdict::Accepted),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_request_has_what_the_apis_require() {
    let service = spawn(Options::default());
    let mut http = plain(&service);
    http.auth = bearer(TOKEN);
    qrypt(http.clone())
        .fetch(ask(48, 2))
        .await
        .expect("a delivery");
    source(Settings::QryptKib(http))
        .fetch(ask(1024, 1))
        .await
        .expect("a delivery");
    let requests = service.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|seen| (seen.method.as_str(), seen.path.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("POST", "/api/v1/entropy"),
            ("GET", "/api/v1/quantum-entropy?size=1")
        ]
    );
    for request in requests {
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(
            request.header("user-agent"),
            Some(concat!("qseed/", env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(
            request.header("host"),
            Some(service.address().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn what_is_outside_of_the_limits_is_not_sent() {
    let service = spawn(Options::default());
    let mut source = qrypt(plain(&service));
    for (size, count) in [(0, 1), (513, 1), (1, 0), (1, 513)] {
        let failed = source.fetch(ask(size, count)).await.expect_err("outside");
        assert_eq!(failed.kind(), FetchFault::Limits);
        assert_eq!(failed.code(), "limits");
    }
    assert_eq!(sent(&mut *source), 0);
    assert_eq!(service.counts().connections, 0);
}

#[tokio::test]
async fn the_older_api_is_used_if_the_service_lacks_the_newer_one() {
    for status in [404, 405] {
        let service = spawn(Options::default().token(TOKEN).older_api(status));
        let mut http = plain(&service);
        http.auth = bearer(TOKEN);
        let mut source = qrypt(http);
        let failed = source.fetch(ask(48, 1)).await.expect_err("no such call");
        assert_eq!(failed.kind(), FetchFault::Limits);
        assert_eq!(
            (sent(&mut *source), source.limits()),
            (1, Limits::QRYPT_KIB)
        );
        let delivery = source.fetch(ask(1024, 1)).await.expect("a delivery");
        assert_eq!(delivery.expose(), last_served(&service));
        let seen = source.inspect().await;
        assert!(matches!(seen.credential, CredentialVerdict::Accepted));
    }
}

#[tokio::test]
async fn an_inspection_finds_the_older_api() {
    let service = spawn(Options::default().token(TOKEN).older_api(405));
    let mut http = plain(&service);
    http.auth = bearer(TOKEN);
    let seen = qrypt(http.clone()).inspect().await;
    assert!(matches!(seen.credential, CredentialVerdict::Accepted));
    assert_eq!(seen.limits, Limits::QRYPT_KIB);
    http.auth = bearer("wrong");
    let seen = qrypt(http).inspect().await;
    assert!(matches!(seen.credential, CredentialVerdict::Refused(_)));
}

#[tokio::test]
async fn a_token_file_that_changes_while_the_request_is_on_its_way_is_noticed() {
    let service = spawn(Options::default().token("new-token"));
    service.order("latency=300ms".parse().expect("a fault"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "old-token").expect("written");
    let mut http = plain(&service);
    http.auth = token_file(file.path());
    let mut source = qrypt(http);
    let (failed, ()) = tokio::join!(source.fetch(ask(48, 1)), async {
        while service.counts().connections == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        std::fs::write(file.path(), "new-token").expect("written");
    });
    let failed = failed.expect_err("the old token is bad");
    assert!(
        matches!(
            failed,
            FetchError::Http(HttpError::Status {
                token_changed: true,
                ..
            })
        ),
        "{failed:?}"
    );
    source.fetch(ask(48, 1)).await.expect("the new one is good");
}

#[tokio::test]
async fn a_rotated_token_file_takes_effect_at_the_next_fetch() {
    let service = spawn(Options::default().token("old-token"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "old-token\n").expect("written");
    let mut http = plain(&service);
    http.auth = token_file(file.path());
    let mut source = qrypt(http);
    source
        .fetch(ask(48, 1))
        .await
        .expect("the old token is good");

    service.set_token(Some("new-token"));
    let failed = source
        .fetch(ask(48, 1))
        .await
        .expect_err("the old token is bad");
    assert_eq!(failed.kind(), FetchFault::Refused);
    assert_eq!(failed.code(), "status-401");
    assert!(
        matches!(
            failed,
            FetchError::Http(HttpError::Status {
                token_changed: false,
                ..
            })
        ),
        "{failed:?}"
    );

    std::fs::write(file.path(), "new-token\n").expect("written");
    source
        .fetch(ask(48, 1))
        .await
        .expect("the new token is good");

    std::fs::remove_file(file.path()).expect("removed");
    sent(&mut *source);
    let failed = source.fetch(ask(48, 1)).await.expect_err("no token");
    assert_eq!(
        (failed.kind(), failed.code()),
        (FetchFault::Transient, "secret")
    );
    assert_eq!(sent(&mut *source), 0);
}

#[tokio::test]
async fn an_inspection_costs_no_entropy_and_judges_the_token() {
    let service = spawn(Options::default().token(TOKEN));
    let mut http = plain(&service);
    http.auth = bearer(TOKEN);
    let mut source = qrypt(http.clone());
    let seen = source.inspect().await;
    assert_eq!(seen.target, service.url());
    assert!(matches!(seen.reached, Ok(None)));
    assert!(matches!(seen.credential, CredentialVerdict::Accepted));
    assert_eq!(sent(&mut *source), 1);

    http.auth = bearer("wrong");
    let seen = qrypt(http.clone()).inspect().await;
    assert!(matches!(
        seen.credential,
        CredentialVerdict::Refused(FetchError::Http(HttpError::Status { status: 401, .. }))
    ));
    service.stop();
    let seen = qrypt(http).inspect().await;
    assert!(matches!(
        seen.reached,
        Err(FetchError::Http(HttpError::Connect { .. }))
    ));
    assert!(matches!(seen.credential, CredentialVerdict::Unknown));
    assert_eq!(service.counts().entropy_bytes, 0);
}
