//! TLS: versions, groups, certificates, pins, client certificates.

use std::path::PathBuf;

use qseed_entropy::Entropy;
use qseed_entropy_service::{Certificate, EntropyService, Groups, Options};
use qseed_http::{ClientIdentity, Tls};
use qseed_model::{FetchFault, Host, PostQuantum, Scheme};
use qseed_secrets::SecretRef;
use qseed_sources::FetchError;

use crate::{ask, http, qrypt, spawn, tls};

async fn fetch(service: &EntropyService, tls: Tls) -> Result<Entropy, FetchError> {
    let mut http = http(&service.url(), tls);
    http.url.scheme = Scheme::Https;
    qrypt(http).fetch(ask(48, 1)).await
}

async fn refused(service: &EntropyService, tls: Tls) -> &'static str {
    let failed = fetch(service, tls).await.expect_err("no link");
    assert_eq!(service.counts().requests, 0, "nothing was sent: {failed}");
    failed.code()
}

async fn agreed(service: &EntropyService, post_quantum: PostQuantum) -> (&'static str, String) {
    let tls = Tls {
        post_quantum,
        ..tls(service)
    };
    let mut source = qrypt(http(&service.url(), tls));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    let link = source.take_traffic().link.expect("TLS");
    (link.version, link.group.clone())
}

#[tokio::test]
async fn post_quantum_key_exchange_as_configured() {
    use PostQuantum::{Off, Prefer, Require};
    let hybrid = spawn(Options::default().tls());
    assert_eq!(
        agreed(&hybrid, Require).await,
        ("TLSv1.3", "X25519MLKEM768".to_owned())
    );
    assert_eq!(
        agreed(&hybrid, Prefer).await,
        ("TLSv1.3", "X25519MLKEM768".to_owned())
    );
    assert_eq!(agreed(&hybrid, Off).await, ("TLSv1.3", "X25519".to_owned()));

    let classical = spawn(Options::default().classical_only());
    let require = Tls {
        post_quantum: Require,
        ..tls(&classical)
    };
    assert_eq!(refused(&classical, require).await, "tls-post-quantum");
    assert_eq!(
        agreed(&classical, Prefer).await,
        ("TLSv1.3", "X25519".to_owned())
    );

    let hybrid_only = spawn(Options::default().groups(Groups::HybridOnly));
    let off = Tls {
        post_quantum: Off,
        ..tls(&hybrid_only)
    };
    assert_eq!(refused(&hybrid_only, off).await, "tls");
}

#[tokio::test]
async fn tls_1_2_only_if_the_server_has_no_better() {
    let service = spawn(Options::default().tls12_only());
    let require = Tls {
        post_quantum: PostQuantum::Require,
        ..tls(&service)
    };
    assert_eq!(refused(&service, require).await, "tls-post-quantum");
    assert_eq!(
        agreed(&service, PostQuantum::Prefer).await,
        ("TLSv1.2", "X25519".to_owned())
    );
}

#[tokio::test]
async fn certificates_that_prove_nothing() {
    for (certificate, code) in [
        (Certificate::Expired, "tls-expired"),
        (Certificate::NotYetValid, "tls-expired"),
        (Certificate::WrongName, "tls-name"),
    ] {
        let service = spawn(Options::default().certificate(certificate));
        assert_eq!(refused(&service, tls(&service)).await, code);
    }
    let other = spawn(Options::default().certificate(Certificate::OtherAuthority));
    assert_eq!(refused(&other, tls(&other)).await, "tls-authority");
}

#[tokio::test]
async fn a_self_signed_certificate_in_tls_ca_is_accepted_as_exactly_that_one() {
    let own = |service: &EntropyService| {
        let ca = service.ca_path().expect("TLS").with_file_name("server.pem");
        Tls {
            ca: Some(ca),
            ..Tls::default()
        }
    };
    let service = spawn(Options::default().certificate(Certificate::SelfSigned));
    fetch(&service, own(&service)).await.expect("a delivery");
    let pinned = Tls {
        pin_sha256: vec![[7; 32]],
        ..own(&service)
    };
    let failed = fetch(&service, pinned).await.expect_err("another key");
    assert_eq!(failed.code(), "tls-pin");
    let stranger = spawn(Options::default().certificate(Certificate::SelfSigned));
    let failed = fetch(&service, own(&stranger))
        .await
        .expect_err("a stranger");
    assert!(
        failed.to_string().contains("put it into tls.ca"),
        "{failed}"
    );
    for (certificate, code) in [
        (Certificate::SelfSignedExpired, "tls-expired"),
        (Certificate::SelfSignedWrongName, "tls-name"),
    ] {
        let service = spawn(Options::default().certificate(certificate));
        assert_eq!(refused(&service, own(&service)).await, code);
    }
}

#[tokio::test]
async fn errors_of_tls_are_sentences() {
    let said = async |service: &EntropyService, tls: Tls| {
        let failed = fetch(service, tls).await.expect_err("no link");
        failed.to_string()
    };
    let plain = spawn(Options::default());
    let secure = spawn(Options::default().tls());
    let speaks_http = Tls {
        ca: secure.ca_path(),
        ..Tls::default()
    };
    let text = said(&plain, speaks_http).await;
    assert!(
        text.ends_with("does the server speak plain HTTP there?"),
        "{text}"
    );
    secure.order("handshake-failure".parse().expect("a fault"));
    let text = said(&secure, tls(&secure)).await;
    assert!(
        text.ends_with("the server ended the handshake with TLS alert 40"),
        "{text}"
    );
    let hybrid_only = spawn(Options::default().groups(Groups::HybridOnly));
    let off = Tls {
        post_quantum: PostQuantum::Off,
        ..tls(&hybrid_only)
    };
    let text = said(&hybrid_only, off).await;
    assert!(text.ends_with("TLS alert 40"), "{text}");
}

#[tokio::test]
async fn tls_ca_stands_instead_of_the_systems_roots() {
    let [service, stranger] = [(); 2].map(|()| spawn(Options::default().tls()));
    assert_eq!(refused(&service, tls(&stranger)).await, "tls-authority");
    let code = refused(&service, Tls::default()).await;
    // Of the system's roots there may be none.
    assert!(["tls-authority", "tls-files"].contains(&code), "{code}");
}

/// Whether this machine has IPv6: its loopback address, at least.
fn has_ipv6() -> bool {
    let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    addresses.contains("00000000000000000000000000000001 ")
}

#[tokio::test]
async fn names_and_both_kinds_of_addresses_are_verified() {
    let service = spawn(Options::default().tls());
    let mut named = http(&service.url(), tls(&service));
    named.url.host = Host::Name("localhost".to_owned());
    qrypt(named).fetch(ask(48, 1)).await.expect("a delivery");
    if !has_ipv6() {
        return;
    }
    let loopback = "[::1]:0".parse().expect("an address");
    let v6 = spawn(Options::default().tls().listen(loopback));
    assert!(v6.url().contains("[::1]"));
    fetch(&v6, tls(&v6)).await.expect("a delivery");
}

#[tokio::test]
async fn pins() {
    let service = spawn(Options::default().tls());
    let key = service.spki_sha256().expect("TLS");
    let pinned = |pins: &[[u8; 32]]| Tls {
        pin_sha256: pins.to_vec(),
        ..tls(&service)
    };
    assert_eq!(refused(&service, pinned(&[[7; 32]])).await, "tls-pin");
    fetch(&service, pinned(&[[7; 32], key]))
        .await
        .expect("a delivery");

    // A pin is asked for besides the usual validation, not instead of it.
    let wrong_name = spawn(Options::default().certificate(Certificate::WrongName));
    let pin_sha256 = wrong_name.spki_sha256().into_iter().collect();
    let pinned = Tls {
        pin_sha256,
        ..tls(&wrong_name)
    };
    assert_eq!(refused(&wrong_name, pinned).await, "tls-name");
}

fn identity(service: &EntropyService) -> ClientIdentity {
    let path = |path: Option<PathBuf>| path.expect("TLS");
    ClientIdentity {
        certificate: path(service.client_certificate_path()),
        key: SecretRef::File(path(service.client_key_path())),
    }
}

#[tokio::test]
async fn mutual_tls() {
    let service = spawn(Options::default().require_client_certificate());
    for options in [Options::default().tls(), Options::default().tls12_only()] {
        let service = spawn(options.require_client_certificate());
        assert_eq!(
            refused(&service, tls(&service)).await,
            "tls-client-certificate"
        );
    }
    let with = |client| Tls {
        client: Some(client),
        ..tls(&service)
    };
    fetch(&service, with(identity(&service)))
        .await
        .expect("a delivery");

    let stranger = spawn(Options::default().tls());
    let mixed = ClientIdentity {
        key: identity(&stranger).key,
        ..identity(&service)
    };
    let failed = fetch(&service, with(mixed)).await.expect_err("not a pair");
    assert_eq!(
        (failed.kind(), failed.code()),
        (FetchFault::Transient, "tls-files")
    );
    assert!(failed.to_string().contains("does not belong"), "{failed}");

    let certificate = identity(&service).certificate;
    let no_key = ClientIdentity {
        key: SecretRef::File(certificate),
        ..identity(&service)
    };
    let failed = fetch(&service, with(no_key)).await.expect_err("no key");
    assert_eq!(failed.code(), "tls-files");
}

#[tokio::test]
async fn files_that_hold_no_certificates() {
    let service = spawn(Options::default().tls());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    for content in [
        None,
        Some(""),
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n"),
        Some("hunter2"),
    ] {
        if let Some(content) = content {
            std::fs::write(&path, content).expect("written");
        }
        let failed = fetch(
            &service,
            Tls {
                ca: Some(path.clone()),
                ..Tls::default()
            },
        )
        .await;
        let failed = failed.expect_err("no roots");
        assert_eq!(
            (failed.kind(), failed.code()),
            (FetchFault::Transient, "tls-files")
        );
        assert!(failed.to_string().contains("ca.pem"), "{failed}");
        assert!(!format!("{failed:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let [service, stranger] = [(); 2].map(|()| spawn(Options::default().tls()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let put = |of: &EntropyService| {
        std::fs::write(&path, of.ca_pem().expect("TLS")).expect("written");
    };
    put(&service);
    let tls = Tls {
        ca: Some(path.clone()),
        ..Tls::default()
    };
    let mut source = qrypt(http(&service.url(), tls));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    // Trust that was withdrawn ends the kept connection, too, and is not resumed from memory.
    put(&stranger);
    source.fetch(ask(48, 1)).await.expect_err("a stranger");
    put(&service);
    source.fetch(ask(48, 1)).await.expect("a delivery");
}

#[tokio::test]
async fn sessions_are_resumed() {
    let service = spawn(Options::default().tls());
    let mut source = qrypt(http(&service.url(), tls(&service)));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    let first = source.take_traffic().link.expect("TLS");
    service.stop();
    service.restart();
    source.fetch(ask(48, 1)).await.expect("a delivery");
    let second = source.take_traffic().link.expect("TLS");
    assert_eq!(second.group, "X25519MLKEM768");
    assert_eq!(second.certificate_expires, first.certificate_expires);
    let connections = service.connections();
    let resumed: Vec<_> = connections
        .iter()
        .filter_map(|made| made.tls().map(|tls| tls.resumed))
        .collect();
    assert_eq!(resumed, [false, true]);
}

#[tokio::test]
async fn an_inspection_shows_the_link() {
    let service = spawn(Options::default().tls());
    let ca = service.ca_path().expect("TLS");
    let seen = qrypt(http(&service.url(), tls(&service))).inspect().await;
    assert_eq!(seen.trust, Some(ca.display().to_string()));
    let link = seen.reached.expect("reached").expect("TLS");
    assert_eq!(
        (link.version, link.group.as_str()),
        ("TLSv1.3", "X25519MLKEM768")
    );
    let days = link
        .certificate_expires
        .expect("a date")
        .duration_since(jiff::Timestamp::now());
    assert!((364..=366).contains(&(days.as_secs() / 86_400)), "{days:?}");
}
