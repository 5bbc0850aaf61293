//! The link to a service: certificates, key exchange, names.

use std::process::Command;

use qseed_entropy_service::{Certificate, Groups, Options};
use serde_json::{Value, json};

use crate::service_faults::Stage;
use crate::support::daemon::{QSEED, is_event, run, untouched};
use crate::support::{for_each_case, service, service_with};

#[test]
fn a_certificate_that_is_wrong_is_refused_until_it_is_right() {
    let wrong = [
        (Certificate::Expired, "tls-expired"),
        (Certificate::NotYetValid, "tls-expired"),
        (Certificate::WrongName, "tls-name"),
        (Certificate::OtherAuthority, "tls-authority"),
    ];
    for_each_case(&wrong, 4, |(certificate, code)| {
        let stage = Stage::new(service());
        let qseed = stage.site.start();
        qseed.wait_pushed(1);
        stage.service.set_certificate(*certificate).expect("made");
        let failed = qseed.event("source-failed");
        assert_eq!(failed["code"], *code, "{failed}");
        let served = stage.service.served().len();
        stage
            .service
            .set_certificate(Certificate::Good)
            .expect("made");
        stage.wait_good_after(served);
        qseed.stop();
        stage.settle();
    });
}

/// Starts with a service that can't be used as configured: exit code 69 and nothing injected.
fn refused_at_once(stage: &Stage, code: &str) {
    let ended = stage.site.once();
    assert_eq!(ended.code, Some(69), "{code}: {ended:?}");
    let mut lines = ended.output.lines();
    let failed = lines.find(|line| is_event(line, "source-failed"));
    let failed: Value = serde_json::from_str(failed.expect("a failure")).expect("JSON");
    assert_eq!(failed["code"], code, "{failed}");
    assert!(stage.token.injected().is_empty());
    assert!(stage.service.requests().is_empty(), "a request went out");
}

#[test]
fn a_link_that_is_not_as_configured_is_not_used() {
    let pinned = Stage::new(service()).with(|source| {
        source["tls"]["pin_sha256"] = json!(["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]);
    });
    refused_at_once(&pinned, "tls-pin");
    let classical = Stage::new(service_with(Options::default().groups(Groups::Classical)))
        .with(|source| source["tls"]["post_quantum"] = json!("require"));
    refused_at_once(&classical, "tls-post-quantum");
    let unknown = Stage::new(service());
    let other = service();
    let unknown = unknown.with(|source| source["tls"]["ca"] = json!(other.ca_path()));
    refused_at_once(&unknown, "tls-authority");
}

#[test]
fn the_link_is_post_quantum_and_logged() {
    let stage = Stage::new(service()).with(|source| {
        source["tls"]["post_quantum"] = json!("require");
    });
    let qseed = stage.site.start();
    let connected = qseed.event("connected");
    assert_eq!(connected["tls_group"], "X25519MLKEM768", "{connected}");
    assert_eq!(connected["tls_version"], "TLSv1.3", "{connected}");
    qseed.wait_pushed(1);
    qseed.stop();
}

#[test]
fn a_dns_failure_is_logged() {
    let stage = Stage::new(service()).with(|source| source["url"] = json!("https://qrng.test"));
    // In a network without anything, the resolver fails at once and asks nobody.
    let mut isolated = Command::new("unshare");
    untouched(&mut isolated);
    isolated.args(["--net", "--map-root-user", "--"]).arg(QSEED);
    isolated
        .args(["run", "--once", "--config"])
        .arg(stage.site.config_path());
    let ended = run(&mut isolated);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.output.contains("qrng.test"), "{ended:?}");
    assert!(stage.token.injected().is_empty());
}
