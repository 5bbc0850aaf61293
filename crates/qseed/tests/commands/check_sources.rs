//! `qseed check`: sources.

use std::time::Duration;

use qseed_entropy_service::{Certificate, EntropyService, Fault, Options, RateLimit, Scope};

use super::bench::{Bench, Ran, TOKEN, service};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A source over TLS with this token, and `more` settings.
fn source(service: &EntropyService, token: &str, tls: &str, more: &str) -> String {
    let ca = service.ca_path().expect("with TLS");
    format!(
        "{{name: sim, type: qrypt, url: \"{}\", access_token: {token}, tls: {{ca: {}{tls}}}{more}}}",
        service.url(),
        ca.display()
    )
}

fn check(sources: &str) -> Ran {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    let partition = format!(
        "partitions: [{{name: p, module: {}, slot: 0, login: none}}]\n",
        module.name()
    );
    bench.config_with(&format!("sources: [{sources}]\n"), &partition);
    bench.check(&[])
}

fn entropy_served(service: &EntropyService) -> usize {
    let served = service.served();
    served.iter().filter(|answer| answer.is_good()).count()
}

#[test]
fn the_link_the_certificate_and_the_token_are_told() {
    let service = service(Options::default().tls());
    let ran = check(&source(&service, TOKEN, "", ""));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ca = service.ca_path().expect("with TLS").display().to_string();
    ran.verdict("ok       source sim: TLSv1.3, X25519MLKEM768", &[&ca]);
    ran.verdict(
        "ok       source sim: the server's certificate is valid until 20",
        &["Z"],
    );
    ran.verdict(
        "ok       source sim: the service accepts the access token",
        &[],
    );
    assert_eq!(entropy_served(&service), 0);
}

#[test]
fn a_link_that_a_quantum_computer_could_open_later_is_warned_of_or_refused() {
    let service = service(Options::default().classical_only());
    let ran = check(&source(&service, TOKEN, "", ""));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "warning  source sim: TLSv1.3, X25519,",
        &["does not offer X25519MLKEM768"],
    );
    let ran = check(&source(&service, TOKEN, ", post_quantum: require", ""));
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict("fault    source sim: ", &["X25519MLKEM768", "; fix: "]);
    let ran = check(&source(&service, TOKEN, ", post_quantum: off", ""));
    ran.verdict("warning  source sim: ", &["`post_quantum` is off"]);
}

#[test]
fn old_tls_and_certificates_near_their_end_are_warned_of() {
    let options = Options::default().tls12_only();
    let service = service(options.certificate(Certificate::ExpiresIn(5 * DAY)));
    let ran = check(&source(&service, TOKEN, "", ""));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict("warning  source sim: the service speaks TLSv1.2", &[]);
    ran.verdict(
        "warning  source sim: the server's certificate is valid until",
        &["days"],
    );
}

#[test]
fn a_certificate_that_is_no_good_is_a_fault_with_its_fix() {
    let service = service(Options::default().tls());
    for (certificate, words) in [
        (Certificate::Expired, ["has expired", "renewed"]),
        (Certificate::WrongName, ["for another name", "`url`"]),
        (Certificate::OtherAuthority, ["refused", ""]),
    ] {
        service.set_certificate(certificate).expect("made");
        let ran = check(&source(&service, TOKEN, "", ""));
        assert_eq!(ran.code, 69, "{ran:?}");
        let line = ran.verdict("fault    source sim: no secure link to ", &["; fix: "]);
        let told = words.iter().all(|word| line.contains(word)) || line.contains("authority");
        assert!(told, "{certificate:?}: {line}");
    }
}

#[test]
fn a_token_that_is_refused_is_a_fault() {
    let service = service(Options::default().tls());
    let ran = check(&source(&service, "another-token", "", ""));
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict("fault    source sim: ", &["status 401", "access_token"]);
    assert!(!ran.out.contains("another-token"));
}

#[test]
fn the_open_api_tells_its_limits_and_health() {
    let service = service(Options::default());
    let source = format!(
        "{{name: lab, type: qrng-open-api, url: \"{}\", access_token: {TOKEN}}}",
        service.open_api_url()
    );
    let ran = check(&source);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "ok       source lab: plain HTTP, on this machine alone",
        &[],
    );
    let limits = "one request may ask for 1 to 512 blocks of 1 to 1024 bytes";
    ran.verdict("ok       source lab: ", &[limits]);
    assert!(ran.out.contains("the service's own test"), "{ran:?}");
    ran.verdict(
        "ok       source lab: the service accepts the access token",
        &[],
    );
    assert_eq!(entropy_served(&service), 0);
}

#[test]
fn the_older_api_is_asked_without_spending_entropy() {
    let service = service(Options::default());
    let source = format!(
        "{{name: old, type: qrypt-kib, url: \"{}\", access_token: {TOKEN}}}",
        service.url()
    );
    let ran = check(&source);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.verdict(
        "ok       source old: the service accepts the access token",
        &[],
    );
    assert_eq!(entropy_served(&service), 0);
}

#[test]
fn what_cannot_be_found_out_is_said() {
    let once = RateLimit::new(1, DAY);
    let service = service(Options::default().rate_limit(once));
    let source = format!(
        "{{name: busy, type: qrng-open-api, url: \"{}\", access_token: {TOKEN}}}",
        service.open_api_url()
    );
    let ran = check(&source);
    let words = ["cannot be found out without spending entropy", "; fix: "];
    ran.verdict("warning  source busy: whether", &words);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_source_that_hangs_or_is_away_holds_up_no_other() {
    let hung = service(
        Options::default()
            .scope(Scope::Everything)
            .fault(Fault::Hang),
    );
    let away = service(Options::default());
    away.stop();
    let good = service(Options::default());
    let named = |name: &str, service: &EntropyService| {
        let url = service.open_api_url();
        format!(
            "{{name: {name}, type: qrng-open-api, url: \"{url}\", access_token: {TOKEN}, timeout: 1s}}"
        )
    };
    let ran = check(
        &[
            named("hung", &hung),
            named("away", &away),
            named("good", &good),
        ]
        .join(", "),
    );
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict("fault    source away: cannot connect to ", &["; fix: "]);
    ran.verdict(
        "ok       source good: the service accepts the access token",
        &[],
    );
    ran.verdict(
        "warning  source hung: ",
        &["capabilities cannot be read", "within 1s"],
    );
    ran.verdict("ok       partition p: will be seeded", &[]);
}

#[test]
fn devices_are_opened() {
    let ran = check(
        "{name: card, type: device, path: /dev/urandom}, \
         {name: gone, type: device, path: /dev/no-such-card}, \
         {name: file, type: device, path: /etc/passwd}",
    );
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict("ok       source card: /dev/urandom is reachable", &[]);
    ran.verdict("fault    source gone: ", &["No such file", "driver"]);
    ran.verdict(
        "fault    source file: ",
        &["neither a character device nor a named pipe"],
    );
}
