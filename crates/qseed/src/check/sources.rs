//! Checks an entropy source. That costs no entropy.

use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use qseed_config as config;
use qseed_config::PostQuantum;
use qseed_http::{Link, SystemRoots};
use qseed_model::{FetchFault, Scheme};
use qseed_sources::{CredentialVerdict, HealthTest, Inspection};

use super::verdict::Subject;
use crate::assemble::source_adapter;
use crate::log::{format_duration, format_time};

/// Requests of one check, each within the source's time-out: to connect, for capabilities, for
/// health tests, to show the token.
const REQUESTS: u32 = 4;
/// A certificate that ends earlier is warned of: renewals take weeks in some houses.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The post-quantum key exchange.
const HYBRID: &str = "X25519MLKEM768";
/// Health tests that are shown.
const MAX_TESTS: usize = 10;

/// Checks a source, for as long as its time-outs allow.
pub(super) async fn check(source: config::Source, roots: SystemRoots) -> Vec<Subject> {
    let mut subject = Subject::new("source", source.name.as_str());
    inspect(&mut subject, &source, &roots).await;
    vec![subject]
}

async fn inspect(subject: &mut Subject, source: &config::Source, roots: &SystemRoots) {
    let http = source.kind.http();
    if let Some(http) = http.filter(|http| http.url.scheme == Scheme::Http) {
        without_tls(subject, http);
    }
    let mut adapter = qseed_sources::open(source_adapter(&source.kind), roots);
    let patience = time_out(&source.kind) * REQUESTS;
    let Ok(seen) = tokio::time::timeout(patience, adapter.inspect()).await else {
        let text = format!("no answer within {}", format_duration(patience));
        return subject.fault("reachable", text, advice("timeout"));
    };
    let link = match &seen.reached {
        Ok(link) => link,
        Err(error) => {
            return subject.fault("reachable", error.to_string(), advice(error.code()));
        }
    };
    subject.ok("reachable", format!("{} is reachable", seen.target));
    let Some(http) = http else {
        return;
    };
    if let Some(link) = link {
        tls(subject, http, link, seen.trust.as_deref());
    }
    credential(subject, http, &seen.credential);
    capabilities(subject, &seen);
    health(subject, &seen);
}

fn time_out(kind: &config::SourceKind) -> Duration {
    match kind {
        config::SourceKind::Device { timeout, .. } => *timeout,
        other => other.http().map_or(Duration::ZERO, |http| http.timeout),
    }
}

fn tls(subject: &mut Subject, http: &config::Http, link: &Link, trust: Option<&str>) {
    const CHECK: &str = "tls";
    let Link { version, group, .. } = link;
    let trust = trust.unwrap_or("the system's certificates");
    let text = format!("{version}, {group}, trust: {trust}");
    let (why, fix) = if http.tls.post_quantum == PostQuantum::Off {
        let fix = "set post_quantum: prefer or require";
        ("`post_quantum` is off", fix)
    } else {
        let fix = "ask the service's operator for TLS 1.3 with X25519MLKEM768";
        ("the service does not offer X25519MLKEM768", fix)
    };
    if group == HYBRID {
        subject.ok(CHECK, text);
    } else {
        let text = format!(
            "{text}: {why}, and anyone who records the traffic can decrypt it with a quantum \
             computer later"
        );
        subject.warning(CHECK, text, fix);
    }
    if *version != "TLSv1.3" {
        let text = format!("the service speaks {version} at best");
        let fix = "ask the service's operator for TLS 1.3";
        subject.warning("tls-version", text, fix);
    }
    if let Some(end) = link.certificate_expires {
        certificate(subject, end);
    }
}

fn certificate(subject: &mut Subject, end: Timestamp) {
    const CHECK: &str = "certificate";
    let end_text = format_time(end);
    let text = format!("the server's certificate is valid until {end_text}");
    let left = end.duration_since(Timestamp::now());
    if left > SOON {
        return subject.ok(CHECK, text);
    }
    let left = format_duration(Duration::try_from(left).unwrap_or_default());
    let fix = "have it renewed in time; a new one needs no change here unless it is pinned";
    subject.warning(CHECK, format!("{text}, for another {left}"), fix);
}

fn without_tls(subject: &mut Subject, http: &config::Http) {
    const CHECK: &str = "tls";
    if http.url.host.is_loopback() {
        return subject.ok(CHECK, "plain HTTP, on this machine alone");
    }
    let text = "plain HTTP: anyone on the network path can read the entropy and the access token";
    let fix = "use https://, unless nobody else can reach the network path";
    subject.warning(CHECK, text, fix);
}

fn credential(subject: &mut Subject, http: &config::Http, verdict: &CredentialVerdict) {
    const CHECK: &str = "credential";
    let (shown, fix) = match (&http.access_token, &http.tls.client_cert) {
        (Some(_), _) => (
            "the access token",
            "get a valid token from the service's operator and put it where `access_token` points \
             to; a changed file takes effect at once",
        ),
        (None, Some(_)) => (
            "qseed's client certificate",
            "ask the service's operator whether it accepts the certificate in `tls.client_cert`, \
             or wants an access token as well",
        ),
        (None, None) => (
            "qseed without a token",
            "the service wants to know who asks: set `access_token` (and `auth`)",
        ),
    };
    match verdict {
        CredentialVerdict::Accepted => {
            subject.ok(CHECK, format!("the service accepts {shown}"));
        }
        CredentialVerdict::Refused(error) => subject.fault(CHECK, error.to_string(), fix),
        CredentialVerdict::OutOfOrder(error) => {
            subject.fault("service", error.to_string(), advice(error.code()));
        }
        CredentialVerdict::Unknown => {
            let text = format!(
                "whether the service accepts {shown} cannot be found out without spending entropy"
            );
            let fix = "qseed run --once shows it, and seeds every partition once";
            subject.warning(CHECK, text, fix);
        }
    }
}

/// The daemon asks for the capabilities before it asks for entropy. It goes on without them if the
/// answer is not valid, and only then.
fn capabilities(subject: &mut Subject, seen: &Inspection) {
    const CHECK: &str = "capabilities";
    let told = match &seen.capabilities {
        Some(Ok(told)) => told,
        Some(Err(error)) if !is_in_trouble(seen) => {
            let text = format!("the service's capabilities cannot be read: {error}");
            if !matches!(error.kind(), FetchFault::Invalid(_)) {
                return subject.fault(CHECK, text, advice(error.code()));
            }
            let fix = "ask the service's operator; seeding goes on within the usual limits";
            return subject.warning(CHECK, text, fix);
        }
        Some(Err(_)) | None => return,
    };
    let limits = &told.limits;
    let mut text = format!(
        "one request may ask for {} to {} blocks of {} to {} bytes",
        limits.min_count, limits.max_count, limits.min_size, limits.max_size
    );
    if !told.entropy_types.is_empty() {
        let _ = write!(text, "; entropy types: {}", told.entropy_types.join(", "));
    }
    if let Some(sources) = told.source_count {
        let _ = write!(text, "; generators: {sources}");
    }
    subject.ok(CHECK, text);
}

/// The service's own tests, in its own words.
fn health(subject: &mut Subject, seen: &Inspection) {
    const CHECK: &str = "health";
    let tests = match &seen.health {
        Some(Ok(tests)) => tests,
        Some(Err(error)) if !is_in_trouble(seen) => {
            let text = format!("the service's own tests cannot be read: {error}");
            let fix = "ask the service's operator; seeding goes on without them";
            return subject.warning(CHECK, text, fix);
        }
        Some(Err(_)) | None => return,
    };
    for HealthTest { name, result, time } in tests.iter().take(MAX_TESTS) {
        let time = time.as_ref();
        let when = time.map_or(String::new(), |time| format!(" ({time})"));
        let text = format!("the service's own test {name}: {result}{when}");
        if result.to_lowercase().contains("fail") {
            let fix = "ask the service's operator; qseed's own delivery checks go on";
            subject.warning(CHECK, text, fix);
        } else {
            subject.ok(CHECK, text);
        }
    }
}

/// Whether another verdict says that the whole service is in trouble.
fn is_in_trouble(seen: &Inspection) -> bool {
    matches!(
        seen.credential,
        CredentialVerdict::Refused(_) | CredentialVerdict::OutOfOrder(_)
    )
}

/// What to do about a source, by the error's stable word.
pub(super) fn advice(code: &str) -> &'static str {
    match code {
        "status-429" => {
            "wait and check again; if it stays, lower `rate_limit` or ask the service's operator"
        }
        _ if code.starts_with("status-5") => {
            "check again later; if it stays, ask the service's operator"
        }
        "dns" => "check the host in `url` and this machine's resolver",
        "connect" => "check `url`, whether the service runs, and the firewalls on the way",
        "timeout" => "check the network and the service; `timeout` is how long a request may take",
        "tls-expired" => "have the server's certificate renewed, and check this machine's clock",
        "tls-name" => "use the name in `url` that the certificate is for",
        "tls-authority" => "set `tls.ca` to the PEM file of the authority behind the certificate",
        "tls-pin" => "if the server's key was changed on purpose, set its digest in `pin_sha256`",
        "tls-post-quantum" => {
            "ask the service's operator for X25519MLKEM768, or set post_quantum: prefer"
        }
        "tls-client-certificate" => {
            "set `tls.client_cert` and `tls.client_key` to a certificate that the service accepts"
        }
        "tls-files" => "fix the file in `tls`",
        "status-404" | "status-4xx" | "redirect" | "content-type" => {
            "check `url` and `type`: another kind of service answers there, or a proxy or portal"
        }
        "device" => "check the device's path, its driver and who may read it",
        _ => "check `url` and what answers there",
    }
}
