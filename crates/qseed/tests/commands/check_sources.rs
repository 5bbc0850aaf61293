//! `qseed check`: sources.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Command;
use std::time::Duration;

use qseed_entropy_service::{Certificate, EntropyService, Fault, Options, RateLimit, Scope};

use super::bench::{Bench, NOBODY, Ran, TOKEN, qseed, service};

/// Where the system's own programs are.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";
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
fn link_certificate_and_token_are_shown() {
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
        (
            Certificate::OtherAuthority,
            ["unknown authority", "`tls.ca`"],
        ),
    ] {
        service.set_certificate(certificate).expect("made");
        let ran = check(&source(&service, TOKEN, "", ""));
        assert_eq!(ran.code, 69, "{ran:?}");
        let line = ran.verdict("fault    source sim: no secure link to ", &["; fix: "]);
        let told = words.iter().all(|word| line.contains(word));
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
fn the_open_apis_limits_and_health_are_shown() {
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
fn plain_http_to_another_machine_is_warned_of_even_if_that_does_not_answer() {
    let source = "{name: lab, type: qrypt, url: \"http://192.0.2.1\", timeout: 1s, \
                  insecure_http: true}";
    let ran = check(source);
    assert_eq!(ran.code, 69, "{ran:?}");
    ran.verdict("fault    source lab: ", &[]);
    ran.verdict("warning  source lab: plain HTTP", &["; fix: use https://"]);
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
fn checks_that_are_impossible_are_listed() {
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

/// The url of a server that answers whatever it is asked with this; nothing at all is a hang.
fn answers_all(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer_all = move || {
        let mut held = Vec::new();
        for connection in listener.incoming() {
            let mut stream = connection.expect("a connection");
            if answer.is_empty() {
                held.push(stream);
                continue;
            }
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            // What is closed before it was read to its end would be reset, answer and all.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    };
    std::thread::spawn(answer_all);
    url
}

/// An answer that ends with its connection.
fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn a_service_that_answers_as_none_does_is_a_fault() {
    let json = |status: &str| answer(&format!("{status}\r\nContent-Type: application/json"), "{}");
    for (answer, told) in [
        (json("500 Internal Server Error"), "status 500"),
        (json("503 Service Unavailable"), "status 503"),
        (json("429 Too Many Requests"), "status 429"),
        (json("404 Not Found"), "check the url"),
        (json("302 Found\r\nLocation: /"), "redirects elsewhere"),
        (
            answer("200 OK\r\nContent-Type: text/html", "<html>"),
            "instead of JSON",
        ),
        (String::new(), "within 1s"),
    ] {
        let url = answers_all(answer);
        let kinds = ["qrypt", "qrypt-kib", "qrng-open-api"];
        let sources = kinds.map(|kind| {
            format!(
                "{{name: {kind}, type: {kind}, url: \"{url}\", access_token: {TOKEN}, \
                 timeout: 1s}}"
            )
        });
        let ran = check(&sources.join(", "));
        assert_eq!(ran.code, 69, "{ran:?}");
        for kind in kinds {
            ran.verdict(&format!("fault    source {kind}: "), &[told, "; fix: "]);
        }
        assert!(!ran.out.contains("capabilities"), "said once: {ran:?}");
    }
}

#[test]
fn an_answer_to_a_malformed_request_shows_nothing() {
    let url = answers_all(answer("200 OK\r\nContent-Type: application/json", "{}"));
    let source =
        format!("{{name: lab, type: qrypt, url: \"{url}\", access_token: {TOKEN}, timeout: 1s}}");
    let ran = check(&source);
    assert_eq!(ran.code, 0, "{ran:?}");
    let words = ["cannot be found out without spending entropy"];
    ran.verdict("warning  source lab: whether", &words);
}

#[test]
fn capabilities_and_health_tests_are_not_claimed_for_the_entropy() {
    let service = service(Options::default().scope(Scope::Everything));
    let source = format!(
        "{{name: lab, type: qrng-open-api, url: \"{}\", access_token: {TOKEN}}}",
        service.open_api_url()
    );
    service.fault_next(Fault::status(503), 2);
    let ran = check(&source);
    assert_eq!(ran.code, 69, "the daemon asks for capabilities: {ran:?}");
    let words = ["status 503", "; fix: "];
    ran.verdict("fault    source lab: the service's capabilities", &words);
    ran.verdict("warning  source lab: the service's own tests", &words);
    service.fault_next(Fault::ThrottleSentence, 2);
    let ran = check(&source);
    assert_eq!(ran.code, 0, "the daemon goes on without: {ran:?}");
    let words = ["is not a list of capabilities", "not valid JSON"];
    ran.verdict("warning  source lab: the service's capabilities", &words);
    let words = ["is not a list of health tests", "not valid JSON"];
    ran.verdict("warning  source lab: the service's own tests", &words);
    assert!(!ran.out.contains("supply"), "{ran:?}");
}

#[test]
fn an_empty_token_is_not_shown_to_a_service() {
    let service = service(Options::default());
    let bench = Bench::new();
    bench.write("token", "\n");
    let url = service.url();
    let source = |name: &str, token: &str| {
        format!("{{name: {name}, type: qrypt, url: \"{url}\", access_token: \"{token}\"}}")
    };
    let file = bench.path("token").display().to_string();
    let sources = [
        source("variable", "env:EMPTY_TOKEN"),
        source("file", &format!("file:{file}")),
    ];
    bench.config_with(
        &format!("sources: [{}]\n", sources.join(", ")),
        "partitions: [{name: p, module: /m.so, slot: 0, login: none}]\n",
    );
    let mut command = qseed();
    let ran = Ran::of(
        bench
            .prepared(&mut command, "check", &[])
            .env("EMPTY_TOKEN", ""),
    );
    let words = ["EMPTY_TOKEN", "it is empty"];
    ran.verdict("fault    source variable: ", &words);
    ran.verdict("fault    source file: ", &[&file, "it is empty"]);
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn a_refusal_without_a_token_does_not_speak_of_a_wrong_one() {
    let service = service(Options::default());
    let source = format!(
        "{{name: lab, type: qrng-open-api, auth: none, url: \"{}\"}}",
        service.open_api_url()
    );
    let ran = check(&source);
    assert_eq!(ran.code, 69, "{ran:?}");
    let words = [
        "status 401",
        "is missing, wrong or expired",
        "set `access_token`",
    ];
    ran.verdict("fault    source lab: ", &words);
}

/// Runs as a user who may have no other process or thread than this one.
#[test]
fn where_no_thread_can_be_started_check_says_so() {
    let service = service(Options::default().tls());
    let port = service.address().port();
    let bench = Bench::new();
    bench.config_with(
        &format!(
            "sources: [{{name: sim, type: qrypt, url: \"https://localhost:{port}\", \
             access_token: {TOKEN}}}]\n"
        ),
        "partitions: [{name: p, module: /m.so, slot: 0, login: none}]\n",
    );
    let mut command = Command::new("prlimit");
    command.env_clear().args(["--nproc=1:1"]);
    if rustix::process::geteuid().is_root() {
        bench.open_to_all();
        std::os::unix::fs::chown(bench.path("qseed.yml"), Some(NOBODY), None).expect("chown");
        let user = NOBODY.to_string();
        command.args([
            "setpriv",
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
        ]);
    }
    command.arg(env!("CARGO_BIN_EXE_qseed")).env("PATH", PATH);
    let ran = Ran::of(bench.prepared(&mut command, "check", &[]));
    assert_eq!(ran.code, 69, "{ran:?}");
    let words = ["cannot start a thread", "temporarily"];
    ran.verdict("fault    source sim: ", &words);
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
    ran.verdict("fault    source hung: ", &["within 1s", "; fix: "]);
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
