//! The link: what is not as configured is refused, said, and another source takes over; files that
//! change take effect; nothing of the environment weakens it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_entropy_service::{Certificate, EntropyService, Groups, Options};
use serde_json::{Value, json};

use crate::stage::{
    Stage, assert_in_order, delivered, event_of, events, reload, seed_made_of, source,
    wait_good_after,
};
use crate::support::daemon::Qseed;
use crate::support::{for_each_case, service, service_with};

/// What is wrong with the first of two services.
struct Wrong {
    code: &'static str,
    options: Options,
    /// Changes the source's `tls`, given another service's CA.
    tls: fn(&mut Value, PathBuf),
}

fn wrong() -> Vec<Wrong> {
    let kind = |certificate| Options::default().certificate(certificate);
    vec![
        Wrong {
            code: "tls-name",
            options: kind(Certificate::WrongName),
            tls: |_, _| (),
        },
        Wrong {
            code: "tls-expired",
            options: kind(Certificate::Expired),
            tls: |_, _| (),
        },
        Wrong {
            code: "tls-authority",
            options: kind(Certificate::OtherAuthority),
            tls: |_, _| (),
        },
        Wrong {
            code: "tls-authority",
            options: Options::default(),
            tls: |tls, other| tls["ca"] = json!(other),
        },
        Wrong {
            code: "tls-pin",
            options: Options::default(),
            tls: |tls, _| tls["pin_sha256"] = json!([STANDARD.encode([7; 32])]),
        },
        Wrong {
            code: "tls-post-quantum",
            options: Options::default().groups(Groups::Classical),
            tls: |tls, _| tls["post_quantum"] = json!("require"),
        },
        Wrong {
            code: "tls-post-quantum",
            options: Options::default().tls12_only(),
            tls: |tls, _| tls["post_quantum"] = json!("require"),
        },
        Wrong {
            code: "tls-client-certificate",
            options: Options::default().require_client_certificate(),
            tls: |_, _| (),
        },
    ]
}

#[test]
fn a_link_that_is_not_as_configured_carries_nothing_and_another_source_takes_over() {
    for_each_case(&wrong(), 8, |wrong| {
        let (bad, good) = (service_with(wrong.options.clone()), service());
        let mut first = source("first", &bad);
        (wrong.tls)(&mut first["tls"], good.ca_path().expect("TLS"));
        let mut standby = source("standby", &good);
        standby["tls"]["post_quantum"] = json!("require");
        let stage = Stage::new(&[first, standby]);
        let qseed = stage.site.start();
        let failed = event_of(&qseed, 0, "source-failed", "first");
        assert_eq!(failed["code"], wrong.code, "{failed}");
        qseed.wait_pushed(2);
        let log = qseed.stop();
        println!("{}: {}", wrong.code, failed["message"]);
        assert!(
            bad.requests().is_empty(),
            "{}: a request went out",
            wrong.code
        );
        assert_in_order(&stage.seeds(), &delivered(&good));
        // In TLS 1.3 a client learns afterwards that its certificate is missed.
        let mut connected = events(&log, "connected");
        if wrong.code == "tls-client-certificate" {
            connected.retain(|connected| connected["source"] != "first");
        }
        assert_eq!(connected.len(), 1, "{connected:?}");
        assert_eq!(connected[0]["source"], "standby");
        assert_eq!(connected[0]["tls_group"], "X25519MLKEM768");
    });
}

/// Waits until the source fails with this code, then mends it and waits for a good answer.
fn fails_until(qseed: &Qseed, from: usize, code: &str, service: &EntropyService, mend: impl Fn()) {
    let failed = event_of(qseed, from, "source-failed", "sim");
    assert_eq!(failed["code"], code, "{failed}");
    let served = service.served().len();
    mend();
    wait_good_after(service, served);
    event_of(qseed, from, "source-recovered", "sim");
}

#[test]
fn a_pin_that_is_changed_by_a_reload_takes_effect() {
    let service = service();
    let pin = STANDARD.encode(service.spki_sha256().expect("TLS"));
    let mut stage = Stage::new(&[source("sim", &service)]).with(|config| {
        config["sources"][0]["tls"]["pin_sha256"] = json!([pin]);
    });
    let qseed = stage.site.start();
    qseed.wait_pushed(1);
    stage.change(|config| {
        config["sources"][0]["tls"]["pin_sha256"] = json!([STANDARD.encode([7; 32])]);
    });
    let from = qseed.log.count();
    reload(&qseed);
    let failed = event_of(&qseed, from, "source-failed", "sim");
    assert_eq!(failed["code"], "tls-pin", "{failed}");
    let served = service.served().len();
    stage.change(|config| {
        // A second pin beside it, as when a key is about to be replaced.
        config["sources"][0]["tls"]["pin_sha256"] = json!([STANDARD.encode([7; 32]), pin]);
    });
    reload(&qseed);
    wait_good_after(&service, served);
    stage.wait_more_seeds(1);
    qseed.stop();
    assert_in_order(&stage.seeds(), &delivered(&service));
}

/// Both ways: an authority that is not trusted any more ends the kept connection, and one that is
/// trusted from now on opens a new one.
#[test]
fn a_ca_file_that_is_replaced_takes_effect() {
    let (service, other) = (service(), service_with(Options::default()));
    let right = service.ca_pem().expect("TLS");
    let wrong = other.ca_pem().expect("TLS");
    let stage = Stage::new(&[source("sim", &service)]);
    let ca = stage.site.write_secret("ca.pem", &right);
    let stage = stage.with(|config| config["sources"][0]["tls"]["ca"] = json!(ca));
    let qseed = stage.site.start();
    qseed.wait_pushed(2);
    let from = qseed.log.count();
    stage.site.write_secret("ca.pem", &wrong);
    fails_until(&qseed, from, "tls-authority", &service, || {
        stage.site.write_secret("ca.pem", &right);
    });
    let from = qseed.log.count();
    stage.site.write_secret("ca.pem", "no certificate at all\n");
    fails_until(&qseed, from, "tls-files", &service, || {
        stage.site.write_secret("ca.pem", &right);
    });
    stage.wait_more_seeds(1);
    qseed.stop();
    assert_in_order(&stage.seeds(), &delivered(&service));
}

#[test]
fn a_client_certificate_that_is_replaced_takes_effect() {
    let mutual = || service_with(Options::default().require_client_certificate());
    let (service, other) = (mutual(), mutual());
    let file = |path: Option<PathBuf>| std::fs::read(path.expect("TLS")).expect("readable");
    let stage = Stage::new(&[source("sim", &service)]);
    let show = |of: &EntropyService| {
        // The key first: between the two they do not belong together, which is a fault as well.
        stage
            .site
            .write_secret("client.key", file(of.client_key_path()));
        stage
            .site
            .write_secret("client.pem", file(of.client_certificate_path()));
    };
    show(&other);
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(stage.site.config_path()).expect("it was written"))
            .expect("JSON");
    let key = format!("file:{}", stage.site.path("client.key").display());
    config["sources"][0]["tls"]["client_cert"] = json!(stage.site.path("client.pem"));
    config["sources"][0]["tls"]["client_key"] = json!(key);
    stage.site.configure_full(&config);
    let qseed = stage.site.start();
    fails_until(&qseed, 0, "tls-client-certificate", &service, || {
        show(&service);
    });
    qseed.wait_pushed(2);
    qseed.stop();
    assert!(
        service
            .connections()
            .iter()
            .any(|c| c.tls().is_some_and(|t| t.client_certificate))
    );
    assert_in_order(&stage.seeds(), &delivered(&service));
}

#[test]
fn tls_1_2_is_used_only_without_a_better_version_and_is_logged() {
    let old = service_with(Options::default().tls12_only());
    let stage = Stage::new(&[source("sim", &old)]);
    let qseed = stage.site.start();
    qseed.wait_pushed(1);
    let connected = qseed.event("connected");
    assert_eq!(connected["tls_version"], "TLSv1.2", "{connected}");
    assert_eq!(connected["tls_group"], "X25519", "{connected}");
    qseed.stop();
}

#[test]
fn the_environment_does_not_weaken_the_link() {
    let (first, service) = (
        service_with(Options::default().certificate(Certificate::Expired)),
        service(),
    );
    let stage = Stage::new(&[source("first", &first), source("sim", &service)]);
    let keys = stage.site.path("keys.log");
    let mut command = stage.site.command();
    command.env("SSLKEYLOGFILE", &keys);
    // What other libraries obey.
    command.env("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    command.env("PYTHONHTTPSVERIFY", "0");
    command.env("GIT_SSL_NO_VERIFY", "1");
    command.env("OPENSSL_CONF", stage.site.path("nothing.cnf"));
    // Roots of the system's own do not count where `ca` is set.
    command.env("SSL_CERT_FILE", first.ca_path().expect("TLS"));
    let qseed = Qseed::start(&mut command);
    seed_made_of(&qseed, 0, &["sim"]);
    qseed.wait_pushed(2);
    qseed.stop();
    assert!(!keys.exists(), "the keys of the link were written down");
    assert!(first.requests().is_empty());
    assert_in_order(&stage.seeds(), &delivered(&service));
}

/// The system's certificates, as `$SSL_CERT_FILE` names them, are read again at SIGHUP.
#[test]
fn a_reload_renews_the_systems_certificates() {
    let (first, stranger) = (service(), service());
    let mut system = source("system", &first);
    system["tls"].as_object_mut().expect("a map").remove("ca");
    let stage = Stage::new(&[system]);
    let roots = stage.site.folder().join("roots.pem");
    let trust = |service: &EntropyService| {
        std::fs::write(&roots, service.ca_pem().expect("TLS")).expect("written");
    };
    trust(&stranger);
    let mut command = stage.site.command();
    let qseed = Qseed::start(
        command
            .env("SSL_CERT_FILE", &roots)
            .env_remove("SSL_CERT_DIR"),
    );
    let failed = event_of(&qseed, 0, "source-failed", "system");
    assert_eq!(failed["code"], "tls-authority", "{failed}");
    trust(&first);
    reload(&qseed);
    stage.token.wait_seeds(0, 1);
    let from = qseed.log.count();
    trust(&stranger);
    reload(&qseed);
    let failed = event_of(&qseed, from, "source-failed", "system");
    assert_eq!(failed["code"], "tls-authority", "{failed}");
    qseed.stop();
}
