//! Every way in which a service can fail, and what the adapter says to it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_entropy_service::{Base64Fault, EntropyService, Fault, Options, RetryAfter};
use qseed_http::HttpError;
use qseed_model::{Check, FetchFault, Host, Limits};
use qseed_sources::{Ask, FetchError, Settings, Source};

use crate::{
    PATIENT, SHORT, TOKEN, ask, bearer, fetch_in_time, plain, secure, sent, source, spawn,
};

/// Lets `fault` befall one fetch over a connection of its own, of both Qrypt APIs over plain HTTP
/// and TLS, and the next fetch be good.
async fn befall(fault: &Fault, timeout: Duration) -> Vec<(FetchError, u32)> {
    let mut failures = Vec::new();
    for options in [Options::default(), Options::default().tls()] {
        let service = spawn(options.token(TOKEN));
        let mut http = if service.ca_path().is_some() {
            secure(&service)
        } else {
            plain(&service)
        };
        http.auth = bearer(TOKEN);
        http.timeout = timeout;
        for settings in [Settings::Qrypt(http.clone()), Settings::QryptKib(http)] {
            let mut source = source(settings);
            service.set_fault(fault.clone());
            let mut failed = source.fetch(some(&*source)).await.expect_err("a fault");
            if failed.kind() == FetchFault::Limits {
                // The other API is asked next.
                sent(&mut *source);
                failed = source.fetch(some(&*source)).await.expect_err("a fault");
            }
            let attempts = sent(&mut *source);
            service.clear_faults();
            says_no_secret(&failed, &service);
            let ask = some(&*source);
            let delivery = fetch_in_time(&mut *source, ask).await;
            let delivery = delivery.expect("the fault has ended");
            let served = service.served().last().expect("an answer").blocks.joined();
            assert_eq!(delivery.expose(), served);
            failures.push((failed, attempts));
        }
    }
    failures
}

/// What both APIs deliver as many bytes for.
fn some(source: &dyn Source) -> Ask {
    if source.limits() == Limits::QRYPT_KIB {
        ask(1024, 2)
    } else {
        ask(512, 4)
    }
}

/// Neither the token nor anything of a body gets into an error.
fn says_no_secret(failed: &FetchError, service: &EntropyService) {
    let said = format!("{failed} {failed:?}");
    assert!(!said.contains(TOKEN), "{said}");
    for served in service.served() {
        let bytes = served.blocks.joined();
        let text = STANDARD.encode(&bytes);
        assert!(text.is_empty() || !said.contains(&text[..8]), "{said}");
    }
    for phrase in [
        "slow down",
        "many requests,",
        "<html",
        "hunter2",
        "elsewhere.example",
    ] {
        assert!(!said.to_lowercase().contains(phrase), "{said}");
    }
}

async fn all_say(fault: Fault, code: &str, class: FetchFault) {
    for (failed, _) in befall(&fault, PATIENT).await {
        assert_eq!(failed.code(), code, "{fault:?}: {failed:?}");
        assert_eq!(failed.kind(), class, "{fault:?}: {failed:?}");
    }
}

async fn all_time_out(fault: Fault) {
    for (failed, attempts) in befall(&fault, SHORT).await {
        assert_eq!(failed.code(), "timeout", "{fault:?}: {failed:?}");
        assert_eq!(attempts, 1);
    }
}

#[tokio::test]
async fn connections_that_come_to_nothing() {
    for (failed, attempts) in befall(&Fault::Refuse, PATIENT).await {
        assert_eq!((failed.code(), attempts), ("connect", 0));
        assert_eq!(failed.kind(), FetchFault::Transient);
    }
    for (failed, _) in befall(&Fault::Reset, PATIENT).await {
        // The reset is seen in place of an answer or of a handshake; if it is quick, connecting
        // itself reports it.
        let code = failed.code();
        assert!(["connect", "closed", "tls"].contains(&code), "{failed:?}");
        assert_eq!(failed.kind(), FetchFault::Transient);
    }
    for (failed, _) in befall(&Fault::HandshakeFailure, PATIENT).await {
        assert!(["closed", "tls"].contains(&failed.code()), "{failed:?}");
    }
    all_say(Fault::CloseUnanswered, "closed", FetchFault::Transient).await;
}

#[tokio::test]
async fn answers_that_take_too_long() {
    all_time_out(Fault::Hang).await;
    all_time_out(Fault::Stall).await;
    all_time_out(Fault::Latency(PATIENT)).await;
    let every = Duration::from_millis(100);
    all_time_out(Fault::SlowDrip { bytes: 16, every }).await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long() {
    let service = spawn(
        Options::default()
            .fault(Fault::SlowHandshake(PATIENT))
            .tls(),
    );
    let mut http = secure(&service);
    http.timeout = SHORT;
    let mut source = crate::qrypt(http);
    let failed = source.fetch(ask(48, 1)).await.expect_err("a hang");
    assert_eq!((failed.code(), sent(&mut *source)), ("timeout", 0));
    assert!(failed.to_string().contains("TLS handshake"), "{failed}");
}

#[tokio::test]
async fn answers_that_break_off_or_do_not_end() {
    use FetchFault::Transient;
    all_say(Fault::Truncate, "closed", Transient).await;
    all_say(Fault::huge_body(), "too-large", Transient).await;
    all_say(Fault::EndlessHeaders, "too-large", Transient).await;
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_while_it_comes() {
    for manner in [Fault::Chunked, Fault::Http10] {
        let service = spawn(Options::default().fault(Fault::huge_body()).fault(manner));
        let mut source = crate::qrypt(plain(&service));
        let failed = source.fetch(ask(48, 1)).await.expect_err("1 GiB");
        assert_eq!(failed.code(), "too-large");
        service.clear_faults();
        source.fetch(ask(48, 1)).await.expect("a delivery");
    }
}

#[tokio::test]
async fn answers_of_another_kind() {
    use FetchFault::Transient;
    for kind in [
        "text/plain",
        "text/html; charset=utf-8",
        "application/octet-stream",
        "",
    ] {
        all_say(
            Fault::ContentType(kind.to_owned()),
            "content-type",
            Transient,
        )
        .await;
    }
    all_say(Fault::CaptivePortal, "content-type", Transient).await;
    all_say(Fault::Gzip, "content-type", Transient).await;
}

#[tokio::test]
async fn statuses() {
    use FetchFault::{Refused, Transient};
    for (status, code, class) in [
        (204, "status-2xx", Transient),
        (206, "status-2xx", Transient),
        (400, "status-400", Refused),
        (401, "status-401", Refused),
        (403, "status-403", Refused),
        (404, "status-404", Refused),
        (418, "status-4xx", Transient),
        (422, "status-422", Refused),
        (429, "status-429", Transient),
        (500, "status-500", Transient),
        (502, "status-502", Transient),
        (503, "status-503", Transient),
        (599, "status-5xx", Transient),
    ] {
        all_say(Fault::status(status), code, class).await;
    }
    for status in [301, 302, 303, 307, 308] {
        let fault = Fault::redirect(status, "https://elsewhere.example/api/v1/entropy");
        all_say(fault, "redirect", Transient).await;
    }
}

fn retry_after(failed: &FetchError) -> Option<Duration> {
    let FetchError::Http(HttpError::Status { retry_after, .. }) = failed else {
        panic!("a status: {failed:?}");
    };
    *retry_after
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_date() {
    for status in [429, 503] {
        let fault = Fault::status_retry_after(status, RetryAfter::Seconds(7));
        for (failed, _) in befall(&fault, PATIENT).await {
            assert_eq!(retry_after(&failed), Some(Duration::from_secs(7)));
        }
        let fault = Fault::status_retry_after(status, RetryAfter::Date(600));
        for (failed, _) in befall(&fault, PATIENT).await {
            let wait = retry_after(&failed).expect("a date");
            // The answer's own date is as much later as the answer took to be made: whole seconds.
            assert!((590..=601).contains(&wait.as_secs()), "{wait:?}");
        }
        for (failed, _) in befall(&Fault::status(status), PATIENT).await {
            assert_eq!(retry_after(&failed), None);
        }
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_asked_entropy() {
    for (fault, check) in [
        (Fault::ThrottleSentence, Check::Form),
        (Fault::InvalidJson, Check::Form),
        (Fault::TrailingBytes, Check::Form),
        (Fault::WrongField, Check::Form),
        (Fault::RepeatedField, Check::Form),
        (Fault::TooFewBlocks, Check::Length),
        (Fault::TooManyBlocks, Check::Length),
        (Fault::ShortBlock, Check::Length),
        (Fault::LongBlock, Check::Length),
        (Fault::NoBlocks, Check::Length),
        (Fault::Base64(Base64Fault::BadCharacter), Check::Base64),
        (Fault::Base64(Base64Fault::NoPadding), Check::Base64),
        (Fault::Base64(Base64Fault::TrailingBits), Check::Base64),
        (Fault::Base64(Base64Fault::UrlSafe), Check::Base64),
        (Fault::Base64(Base64Fault::WhiteSpace), Check::Base64),
    ] {
        all_say(fault, check.name(), FetchFault::Invalid(check)).await;
    }
}

#[tokio::test]
async fn unusual_answers_that_are_good() {
    for fault in [
        Fault::Chunked,
        Fault::Http10,
        Fault::CloseAfterAnswer,
        Fault::ExtraFields,
        Fault::Latency(Duration::from_millis(50)),
        Fault::SlowDrip {
            bytes: 1000,
            every: Duration::from_millis(1),
        },
    ] {
        for options in [Options::default(), Options::default().tls()] {
            let service = spawn(options.fault(fault.clone()));
            let http = if service.ca_path().is_some() {
                secure(&service)
            } else {
                plain(&service)
            };
            let mut source = crate::qrypt(http);
            for _ in 0..2 {
                let delivery = source.fetch(ask(48, 3)).await.expect("a good answer");
                let served = service.served().last().expect("an answer").blocks.joined();
                assert_eq!(delivery.expose(), served, "{fault:?}");
                assert_eq!(sent(&mut *source), 1, "{fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn names_without_an_address() {
    let service = spawn(Options::default());
    let mut http = plain(&service);
    http.url.host = Host::Name("no-such-host.invalid".to_owned());
    let mut source = crate::qrypt(http);
    let failed = source.fetch(ask(48, 1)).await.expect_err("no address");
    assert_eq!((failed.code(), sent(&mut *source)), ("dns", 0));
}
