//! The QRNG Open API: base path, limits, API keys, inspection.

use qseed_entropy_service::{EntropyService, Fault, Limits, Options, Scope};
use qseed_http::{Auth, Http, Tls};
use qseed_model::FetchFault;
use qseed_secrets::SecretRef;
use qseed_sources::{Ask, CredentialVerdict, Settings, Source};

use crate::{TOKEN, ask, http, sent, source, spawn, tls};

fn small() -> Options {
    Options::default().limits(Limits {
        max_block_size: 64,
        max_block_count: 4,
    })
}

fn settings(service: &EntropyService) -> Http {
    http(&service.open_api_url(), Tls::default())
}

fn open(service: &EntropyService) -> Box<dyn Source> {
    source(Settings::QrngOpenApi(settings(service)))
}

#[tokio::test]
async fn any_base_path_and_exact_bytes() {
    for base in ["/v1", "/api/v1", "/deep/er/v2"] {
        let service = spawn(Options::default().base(base));
        let mut source = open(&service);
        let delivery = source.fetch(ask(48, 3)).await.expect("a delivery");
        assert_eq!(
            delivery.expose(),
            service.served().last().expect("an answer").blocks.joined()
        );
        // The first fetch asked for the limits as well.
        assert_eq!((sent(&mut *source), service.counts().requests), (2, 2));
    }
}

#[tokio::test]
async fn limits_are_asked_for_once() {
    let service = spawn(small());
    let mut source = open(&service);
    assert_eq!(source.limits().max_size, 1024);
    source.connect().await.expect("a connection");
    assert_eq!(sent(&mut *source), 1);
    assert_eq!(source.limits().max_size, 64);
    assert_eq!(source.limits().max_count, 4);
    source.connect().await.expect("a connection");
    assert_eq!(sent(&mut *source), 0);
    let failed = source.fetch(ask(65, 1)).await.expect_err("too large");
    assert_eq!((failed.kind(), sent(&mut *source)), (FetchFault::Limits, 0));
    source.fetch(ask(64, 4)).await.expect("a delivery");
    assert_eq!(sent(&mut *source), 1);
}

#[tokio::test]
async fn a_first_fetch_learns_the_limits_if_it_may_send_two_requests() {
    let service = spawn(small());
    let mut source = open(&service);
    let failed = source.fetch(ask(65, 1)).await.expect_err("too large");
    assert_eq!((failed.kind(), sent(&mut *source)), (FetchFault::Limits, 1));

    let only_one = Ask {
        spare_attempt: false,
        ..ask(65, 1)
    };
    let mut source = open(&service);
    let failed = source.fetch(only_one).await.expect_err("too large");
    assert_eq!((failed.kind(), sent(&mut *source)), (FetchFault::Limits, 1));
    assert_eq!(source.limits().max_size, 64);
}

#[tokio::test]
async fn where_one_request_is_allowed_the_limits_come_first() {
    let service = spawn(small());
    let mut source = open(&service);
    let only_one = Ask {
        spare_attempt: false,
        ..ask(64, 1)
    };
    let first = source.fetch(only_one).await.expect_err("not yet");
    assert_eq!(first.kind(), FetchFault::Limits, "{first:?}");
    assert_eq!((sent(&mut *source), service.counts().requests), (1, 1));
    source.fetch(only_one).await.expect("a delivery");
    assert_eq!((sent(&mut *source), service.counts().requests), (1, 2));
}

#[tokio::test]
async fn a_refusal_is_doubted_once() {
    let wide = spawn(Options::default());
    let address = wide.address();
    let mut source = open(&wide);
    source.fetch(ask(65, 1)).await.expect("a delivery");
    drop(wide);
    let narrow = spawn(small().listen(address));
    let failed = source.fetch(ask(65, 1)).await.expect_err("too large now");
    assert_eq!(failed.kind(), FetchFault::Limits, "{failed:?}");
    let failed = source.fetch(ask(65, 1)).await.expect_err("too large now");
    assert_eq!(failed.kind(), FetchFault::Limits, "{failed:?}");
    source.fetch(ask(64, 1)).await.expect("a delivery");
    // What is malformed for another reason is the operator's to mend.
    narrow.fault_next(Fault::status(422), 5);
    let failed = source.fetch(ask(64, 1)).await.expect_err("refused");
    assert_eq!(failed.kind(), FetchFault::Limits, "{failed:?}");
    for _ in 0..4 {
        let failed = source.fetch(ask(64, 1)).await.expect_err("refused");
        assert_eq!(failed.kind(), FetchFault::Refused, "{failed:?}");
    }
    source.fetch(ask(64, 1)).await.expect("a delivery");
}

#[tokio::test]
async fn a_service_without_capabilities_is_asked_within_the_common_limits() {
    for fault in [
        Fault::status(404),
        Fault::ThrottleSentence,
        Fault::InvalidJson,
    ] {
        let service = spawn(Options::default().scope(Scope::Everything));
        let mut source = open(&service);
        service.fault_next(fault, 1);
        source.connect().await.expect("a connection");
        assert_eq!(sent(&mut *source), 1);
        assert_eq!(source.limits().max_size, 1024);
        source.fetch(ask(48, 1)).await.expect("a delivery");
        assert_eq!(sent(&mut *source), 1);
    }
}

#[tokio::test]
async fn a_failing_service_does_not_count_as_one_without_capabilities() {
    let service = spawn(small().scope(Scope::Everything));
    let mut source = open(&service);
    service.fault_next(Fault::status(503), 1);
    assert_eq!(
        source.connect().await.expect_err("503").code(),
        "status-503"
    );
    source.connect().await.expect("a connection");
    assert_eq!(source.limits().max_size, 64);
}

#[tokio::test]
async fn api_keys() {
    let service = spawn(Options::default().api_key(TOKEN));
    let mut http = settings(&service);
    http.auth = Auth::XApiKey(SecretRef::parse(TOKEN).expect("a literal"));
    source(Settings::QrngOpenApi(http))
        .fetch(ask(48, 1))
        .await
        .expect("a delivery");
    let failed = open(&service).fetch(ask(48, 1)).await.expect_err("no key");
    assert_eq!(failed.code(), "status-401");
}

#[tokio::test]
async fn an_inspection_shows_all_and_costs_no_entropy() {
    let service = spawn(small().tls().token(TOKEN));
    let mut http = http(&service.open_api_url(), tls(&service));
    http.auth = crate::bearer(TOKEN);
    let mut source = source(Settings::QrngOpenApi(http));
    let seen = source.inspect().await;
    assert_eq!(seen.target, service.open_api_url());
    assert!(
        matches!(seen.credential, CredentialVerdict::Accepted),
        "{seen:?}"
    );
    let told = seen.capabilities.expect("asked").expect("told");
    assert_eq!(told.limits, seen.limits);
    assert_eq!(seen.limits.max_count, 4);
    assert!(!seen.health.expect("asked").expect("told").is_empty());
    assert_eq!(service.counts().entropy_bytes, 0);
    assert_eq!(u64::from(sent(&mut *source)), service.counts().requests);
}
