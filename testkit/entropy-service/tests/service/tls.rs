//! TLS: groups, versions, certificates, and handshakes that fail.

use std::time::Duration;

use aws_lc_rs::digest::SHA256;
use qseed_entropy_service::{
    Certificate, EntropyService, Fault, Groups, Options, Outcome, StartError, TlsFacts,
};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;

use crate::client::{Client, start, trusting, with_client_certificate};

/// Asks once over TLS and tells what was negotiated.
fn negotiated(service: &EntropyService) -> TlsFacts {
    let mut client = Client::connect_tls(service, &trusting(service)).expect("a handshake");
    assert_eq!(*client.ask(48, 1).blocks(), *service.served()[0].blocks);
    service.connections()[0]
        .tls()
        .expect("a finished handshake")
        .clone()
}

#[test]
fn groups_and_versions_are_as_asked_for() {
    let facts = |options| {
        let facts = negotiated(&start(options));
        assert!(!facts.resumed && !facts.client_certificate);
        (facts.version, facts.group.expect("a group"))
    };
    let pair = |version: &str, group: &str| (version.to_owned(), group.to_owned());
    assert_eq!(
        facts(Options::default().tls()),
        pair("TLSv1_3", "X25519MLKEM768")
    );
    let only = Options::default().groups(Groups::HybridOnly);
    assert_eq!(facts(only), pair("TLSv1_3", "X25519MLKEM768"));
    assert_eq!(
        facts(Options::default().classical_only()),
        pair("TLSv1_3", "X25519")
    );
    assert_eq!(
        facts(Options::default().tls12_only()),
        pair("TLSv1_2", "X25519")
    );
}

#[test]
fn sessions_are_resumed_and_logged() {
    let service = start(Options::default().tls());
    let config = trusting(&service);
    for _ in 0..2 {
        let mut client = Client::connect_tls(&service, &config).expect("a handshake");
        assert_eq!(client.ask(48, 1).status, 200);
    }
    let resumed = service
        .connections()
        .into_iter()
        .map(|c| c.tls().map(|tls| tls.resumed));
    assert_eq!(resumed.collect::<Vec<_>>(), [Some(false), Some(true)]);
}

/// What the client says about the service's certificate.
fn complaint(service: &EntropyService) -> String {
    let error = Client::connect_tls(service, &trusting(service))
        .err()
        .expect("a bad certificate");
    error.to_string()
}

#[test]
fn bad_certificates_are_bad_in_the_way_asked_for() {
    let of = |certificate| complaint(&start(Options::default().certificate(certificate)));
    let expired = of(Certificate::Expired);
    assert!(expired.contains("expired"), "{expired}");
    let early = of(Certificate::NotYetValid);
    assert!(early.contains("not valid yet"), "{early}");
    let name = of(Certificate::WrongName);
    assert!(name.contains("not valid for name"), "{name}");
    let other = of(Certificate::OtherAuthority);
    assert!(
        other.contains("BadSignature") || other.contains("UnknownIssuer"),
        "{other}"
    );
}

#[test]
fn a_certificate_is_exchanged_while_serving() {
    let service = start(Options::default().tls());
    let config = trusting(&service);
    let mut kept = Client::connect_tls(&service, &config).expect("a handshake");
    assert_eq!(kept.ask(48, 1).status, 200);
    let pin = service.spki_sha256();
    service.set_certificate(Certificate::Expired).expect("made");
    assert!(kept.is_closed(), "a kept connection would hide it");
    assert!(Client::connect_tls(&service, &config).is_err());
    service
        .set_certificate(Certificate::ExpiresIn(Duration::from_secs(3600)))
        .expect("made");
    let mut client = Client::connect_tls(&service, &config).expect("a handshake");
    assert_eq!(client.ask(48, 1).status, 200);
    assert_eq!(service.spki_sha256(), pin);
    let plain = start(Options::default());
    let error = plain
        .set_certificate(Certificate::Good)
        .expect_err("no TLS");
    assert!(matches!(error, StartError::NoTls));
}

#[test]
fn mutual_tls_accepts_clients_of_the_ca() {
    let service = start(Options::default().require_client_certificate());
    let mut client =
        Client::connect_tls(&service, &with_client_certificate(&service)).expect("a handshake");
    assert_eq!(client.ask(48, 1).status, 200);
    assert!(
        service.connections()[0]
            .tls()
            .expect("TLS")
            .client_certificate
    );
    // In TLS 1.3 a client learns of its refusal only when it reads.
    let refused = Client::connect_tls(&service, &trusting(&service));
    let refused = refused.and_then(|mut client| client.take(1));
    assert!(refused.is_err());
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::HandshakeFailed(_));
    let patience = crate::client::PATIENCE;
    assert!(service.wait_for(|log| failed(&log.connections()[1].outcome), patience));
}

#[test]
fn the_pin_is_that_of_the_certificate() {
    let service = start(Options::default().tls());
    let file = service
        .ca_path()
        .expect("with TLS")
        .with_file_name("server.pem");
    let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
    let parsed = ParsedCertificate::try_from(&certificate).expect("a certificate");
    let digest = aws_lc_rs::digest::digest(&SHA256, &parsed.subject_public_key_info());
    assert_eq!(digest.as_ref(), service.spki_sha256().expect("with TLS"));
}

#[test]
fn a_handshake_fails_on_demand() {
    let service = start(Options::default().tls());
    service.fault_next(Fault::HandshakeFailure, 1);
    let config = trusting(&service);
    let error = Client::connect_tls(&service, &config)
        .err()
        .expect("an alert");
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
    assert_eq!(
        Client::connect_tls(&service, &config)
            .expect("again")
            .ask(48, 1)
            .status,
        200
    );
    assert_eq!(
        service.connections()[0].outcome,
        Outcome::Fault(Fault::HandshakeFailure)
    );
}

#[test]
fn a_handshake_is_slow_on_demand() {
    let service = start(Options::default().tls());
    let slow = Duration::from_millis(50);
    service.fault_next(Fault::SlowHandshake(slow), 1);
    let config = trusting(&service);
    let mut client = Client::connect_tls(&service, &config).expect("a slow handshake");
    assert_eq!(client.ask(48, 1).status, 200);
    let (connection, request) = (&service.connections()[0], &service.requests()[0]);
    assert!(request.at - connection.at >= slow);
}

#[test]
fn broken_answers_break_under_tls_too() {
    let service = start(Options::default().tls());
    let config = trusting(&service);
    let client = || Client::connect_tls(&service, &config).expect("a handshake");
    service.fault_next(Fault::Truncate, 1);
    let mut truncated = client();
    truncated.send_ask(48, 1);
    truncated.head();
    let (body, end) = truncated.rest();
    assert_eq!(
        end,
        Some(std::io::ErrorKind::UnexpectedEof),
        "no close_notify"
    );
    assert!(!body.is_empty());
    service.fault_next(Fault::EndlessHeaders, 1);
    let mut endless = client();
    endless.send_ask(48, 1);
    endless.take(1 << 20).expect("headers");
    service.fault_next(
        Fault::SlowDrip {
            bytes: 50,
            every: Duration::from_millis(1),
        },
        1,
    );
    assert_eq!(client().ask(48, 1).blocks().len(), 1);
}

#[test]
fn files_are_written_to_the_given_folder() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let service = start(Options::default().tls().state(&state));
    assert_eq!(service.ca_path(), Some(state.join("ca.pem")));
    let written = std::fs::read_to_string(state.join("ca.pem")).expect("written");
    assert_eq!(Some(written), service.ca_pem());
    let key = std::fs::metadata(state.join("client.key")).expect("written");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    drop(service);
    assert!(
        state.join("client.pem").exists(),
        "a folder that was given stays"
    );
}
