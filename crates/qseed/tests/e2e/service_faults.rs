//! Services in trouble: nothing wrong is injected, the daemon goes on, and the next good answer
//! is injected.

use std::time::Duration;

use qseed_entropy_service::{Base64Fault, EntropyService, Fault, Options, RetryAfter};
use serde_json::{Value, json};

use crate::support::accounts::assert_delivered_once;
use crate::support::daemon::is_event;
use crate::support::faulty::Faulty;
use crate::support::figures::figures;
use crate::support::site::Site;
use crate::support::{ACCESS_TOKEN, PATIENCE, for_each_case, service, service_with};

/// Seeds of two blocks, so that blocks can be missing, too many, or alike.
const SIZE: usize = 2048;

/// A daemon that seeds one faulty token (which is in good order here) once a second.
pub(crate) struct Stage {
    pub(crate) service: EntropyService,
    pub(crate) site: Site,
    pub(crate) token: Faulty,
}

impl Stage {
    pub(crate) fn new(service: EntropyService) -> Self {
        let site = Site::new();
        let token = Faulty::new(site.folder(), |_| ());
        let mut partition = token.partition("p", 0);
        partition["size"] = json!(SIZE);
        site.configure_full(&site.full(&service, &json!([partition])));
        Self {
            service,
            site,
            token,
        }
    }

    /// Changes the source's settings.
    pub(crate) fn with(self, change: impl FnOnce(&mut Value)) -> Self {
        let text = std::fs::read(self.site.config_path()).expect("it was written");
        let mut config: Value = serde_json::from_slice(&text).expect("it is JSON");
        change(&mut config["sources"][0]);
        self.site.configure_full(&config);
        self
    }

    /// Waits until the service has told a good answer after the first `known` answers, and the
    /// token has mixed it in.
    pub(crate) fn wait_good_after(&self, known: usize) {
        let good = |log: &qseed_entropy_service::Log| {
            log.served()
                .iter()
                .skip(known)
                .find(|answer| answer.is_good())
                .cloned()
        };
        assert!(
            self.service.wait_for(|log| good(log).is_some(), PATIENCE),
            "no good answer"
        );
        let answer = self
            .service
            .log(good)
            .expect("it was just there")
            .blocks
            .joined();
        self.token.wait(|record| {
            let mut seeds = record
                .iter()
                .filter_map(|line| line.ended(qseed_faulty_token::Function::SeedRandom));
            seeds.any(|seed| seed.succeeded() && seed.seed.as_ref() == Some(&answer))
        });
    }

    /// What must hold at the end, whatever the service did.
    pub(crate) fn settle(&self) {
        let seeds = self.token.injected();
        assert!(seeds.iter().all(|seed| seed.bytes.len() == SIZE));
        assert_delivered_once(
            &self.service,
            seeds.iter().map(|seed| seed.bytes.as_slice()),
        );
    }
}

/// Every fault that befalls a connection or an answer and must not reach a token.
fn faults() -> Vec<Fault> {
    let mut faults = vec![
        Fault::Refuse,
        Fault::Reset,
        Fault::HandshakeFailure,
        Fault::SlowHandshake(Duration::from_secs(600)),
        Fault::SlowDrip {
            bytes: 1,
            every: Duration::from_millis(200),
        },
        Fault::Latency(Duration::from_secs(600)),
        Fault::Gzip,
        Fault::Hang,
        Fault::CloseUnanswered,
        Fault::EndlessHeaders,
        Fault::Stall,
        Fault::Truncate,
        Fault::huge_body(),
        Fault::ContentType("text/html".to_owned()),
        Fault::CaptivePortal,
        Fault::ThrottleSentence,
        Fault::InvalidJson,
        Fault::TrailingBytes,
        Fault::WrongField,
        Fault::RepeatedField,
        Fault::TooFewBlocks,
        Fault::TooManyBlocks,
        Fault::ShortBlock,
        Fault::LongBlock,
        Fault::NoBlocks,
        Fault::AllZero,
        Fault::RepeatedBlock,
        Fault::Replay,
        Fault::Text,
        Fault::Biased(90),
    ];
    faults.extend([204, 301, 302, 307, 418, 429, 500, 502, 503].map(Fault::status));
    faults.extend(
        [
            Base64Fault::BadCharacter,
            Base64Fault::NoPadding,
            Base64Fault::TrailingBits,
            Base64Fault::UrlSafe,
            Base64Fault::WhiteSpace,
        ]
        .map(Fault::Base64),
    );
    faults
}

#[test]
fn nothing_wrong_is_injected_and_the_next_good_answer_is() {
    for_each_case(&faults(), 12, |fault| {
        let stage = Stage::new(service());
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        let known = qseed.log.count();
        stage.service.set_fault(fault.clone());
        let failed = |line: &str| is_event(line, "source-failed") || is_event(line, "check-failed");
        let line = qseed
            .log
            .wait_from(known, &format!("{fault:?}: a failure"), failed);
        let served = stage.service.served().len();
        stage.service.clear_faults();
        stage.wait_good_after(served);
        println!("{fault:?}: {line}");
        qseed.event_from(known, "source-recovered");
        qseed.stop();
        stage.settle();
    });
}

#[test]
fn what_is_unusual_but_valid_is_injected() {
    let legal = [
        Fault::SlowHandshake(Duration::from_millis(100)),
        Fault::Latency(Duration::from_millis(100)),
        Fault::SlowDrip {
            bytes: 1024,
            every: Duration::from_millis(1),
        },
        Fault::Chunked,
        Fault::Http10,
        Fault::CloseAfterAnswer,
        Fault::IdleClose(Duration::from_millis(10)),
        Fault::ExtraFields,
        // The connection that was kept open is gone; that is no fault, and is not said.
        Fault::StaleClose,
    ];
    for_each_case(&legal, 12, |fault| {
        let stage = Stage::new(service());
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        stage.service.set_fault(fault.clone());
        let served = stage.service.served().len();
        stage.wait_good_after(served + 1);
        let log = qseed.stop();
        assert!(
            !log.iter().any(|line| is_event(line, "source-failed")),
            "{fault:?}: {log:?}"
        );
        stage.settle();
    });
}

#[test]
fn a_retry_after_is_obeyed() {
    let in_seconds = RetryAfter::Seconds(3);
    let at_a_date = RetryAfter::Date(4);
    let cases = [
        (429, in_seconds),
        (503, in_seconds),
        (429, at_a_date),
        (503, at_a_date),
    ];
    for_each_case(&cases, 4, |(status, retry_after)| {
        let stage = Stage::new(service());
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        stage
            .service
            .fault_next(Fault::status_retry_after(*status, *retry_after), 1);
        let refused = |log: &qseed_entropy_service::Log| {
            log.served()
                .iter()
                .position(|answer| answer.status == *status)
        };
        assert!(
            stage
                .service
                .wait_for(|log| refused(log).is_some(), PATIENCE)
        );
        let refused = stage.service.log(refused).expect("it was just there");
        stage.wait_good_after(refused + 1);
        qseed.stop();
        let served = stage.service.served();
        let waited = served[refused + 1]
            .request
            .at
            .duration_since(served[refused].at);
        // A date has whole seconds, so up to one of the four is lost.
        assert!(
            waited >= Duration::from_millis(2900),
            "{status} {retry_after:?}: {waited:?}"
        );
        stage.settle();
    });
}

#[test]
fn a_refusal_waits_for_the_operator_and_a_changed_token_file_ends_the_wait() {
    for_each_case(&[400, 401, 403, 404, 422], 5, |status| {
        let stage = Stage::new(service());
        let token = stage.site.write_secret("access-token", ACCESS_TOKEN);
        let stage = stage.with(|source| {
            source["access_token"] = json!(format!("file:{}", token.display()));
        });
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        // After a 404 the older call is tried too.
        let times = if *status == 404 { 2 } else { 1 };
        stage.service.fault_next(Fault::status(*status), times);
        let failed = qseed.event("source-failed");
        let next = failed["next_in_seconds"].as_f64().expect("a number");
        assert!((240.0..=300.0).contains(&next), "{failed}");
        let served = stage.service.served().len();
        stage.site.write_secret("access-token", ACCESS_TOKEN);
        stage.wait_good_after(served);
        qseed.stop();
        stage.settle();
    });
}

#[test]
fn a_rotated_access_token_takes_effect() {
    let stage = Stage::new(service());
    let token = stage
        .site
        .write_secret("access-token", format!("{ACCESS_TOKEN}\n"));
    let stage = stage.with(|source| {
        source["access_token"] = json!(format!("file:{}", token.display()));
    });
    let qseed = stage.site.start();
    qseed.wait_pushed(1);
    stage.service.set_token(Some("another-token"));
    let failed = qseed.event("source-failed");
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|text| text.contains("401")),
        "{failed}"
    );
    let served = stage.service.served().len();
    stage.site.write_secret("access-token", "another-token\n");
    stage.wait_good_after(served);
    let log = qseed.stop().join("\n");
    assert!(
        !log.contains(ACCESS_TOKEN) && !log.contains("another-token"),
        "{log}"
    );
    stage.settle();
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let elsewhere = service();
    let target = format!("{}/api/v1/entropy", elsewhere.url());
    for_each_case(&[301, 302, 303, 307, 308], 5, |status| {
        let stage = Stage::new(service());
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        stage
            .service
            .fault_next(Fault::redirect(*status, target.as_str()), 1);
        qseed.event("source-failed");
        let served = stage.service.served().len();
        stage.wait_good_after(served);
        qseed.stop();
        stage.settle();
    });
    assert!(elsewhere.requests().is_empty() && elsewhere.connections().is_empty());
}

#[test]
fn a_huge_body_is_cut_off() {
    let stage = Stage::new(service());
    let qseed = stage.site.start();
    qseed.wait_pushed(2);
    let before = figures(qseed.id());
    stage.service.set_fault(Fault::huge_body());
    let huge = |log: &qseed_entropy_service::Log| {
        log.served()
            .iter()
            .filter(|answer| !answer.faults.is_empty())
            .count()
    };
    assert!(stage.service.wait_for(|log| huge(log) >= 3, PATIENCE));
    let after = figures(qseed.id());
    // A request for 2 KiB needs no more than some KiB of answer.
    assert!(
        after.anonymous_kib < before.anonymous_kib + 1024,
        "{before:?} {after:?}"
    );
    qseed.stop();
    stage.settle();
}

#[test]
fn partitions_that_are_no_longer_seeded_are_announced_and_so_is_their_next_seed() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let partitions = json!([faulty.partition("a", 0), faulty.partition("b", 1)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    faulty.wait_seeds(1, 1);
    service.set_fault(Fault::status(503));
    let late = qseed.event("partitions-late");
    assert_eq!(late["level"], "warning", "{late}");
    assert_eq!(late["partitions"], json!(["a", "b"]), "{late}");
    assert_eq!(late["causes"], json!({"waiting-for-entropy": 2}), "{late}");
    let overdue = late["unseeded_seconds"].as_f64().expect("a number");
    let text = late["message"].as_str().expect("a text");
    assert!(text.contains("waiting for entropy"), "{text}");
    service.clear_faults();
    let again = qseed.event("partitions-recovered");
    assert_eq!(again["partitions"], json!(["a", "b"]), "{again}");
    let gap = again["gap_seconds"].as_f64().expect("a number");
    assert!(gap >= overdue, "{late} {again}");
    let log = qseed.stop();
    let late = log.iter().filter(|line| is_event(line, "partitions-late"));
    assert_eq!(late.count(), 1, "{log:?}");
}

#[test]
fn a_service_with_the_older_call_alone_seeds_and_the_log_says_so_once() {
    for_each_case(&[404, 405], 2, |status| {
        let stage = Stage::new(service_with(Options::default().older_api(*status)));
        let qseed = stage.site.start();
        qseed.wait_pushed(3);
        let log = qseed.stop();
        let said = log.iter().filter(|line| line.contains("older-api")).count();
        assert_eq!(said, 1, "{log:?}");
        stage.settle();
    });
}
