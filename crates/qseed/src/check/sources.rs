//! What a look at an entropy source finds. It costs no entropy.

use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use qseed_config as config;
use qseed_config::PostQuantum;
use qseed_sources::{
    Capabilities, CredentialVerdict, FailureClass, FetchError, HealthTest, Inspection, Link,
    SystemRoots,
};

use super::verdict::{Subject, Verdict};
use crate::assemble::source_adapter;
use crate::exit::Code;
use crate::log::{format_duration, format_time, printable};

/// Requests of one look, each within the source's time-out: to connect, for capabilities, for
/// health tests, to show the token.
const REQUESTS: u32 = 4;
/// A certificate that ends earlier is warned of: renewals take weeks in some houses.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The post-quantum key exchange.
const HYBRID: &str = "X25519MLKEM768";
/// Health tests that are shown.
const MAX_TESTS: usize = 10;

/// Looks at a source, for as long as its time-outs allow.
pub(super) async fn check(source: config::Source, roots: SystemRoots) -> Vec<Verdict> {
    let subject = Subject::new("source", source.name.as_str());
    let mut adapter = match qseed_sources::open(source_adapter(&source.kind), &roots) {
        Ok(adapter) => adapter,
        Err(error) => {
            let fix = "correct the source in the configuration";
            let code = Code::Configuration;
            return vec![subject.fault_of(code, "settings", error.to_string(), fix)];
        }
    };
    let patience = time_out(&source.kind) * REQUESTS;
    if let Ok(seen) = tokio::time::timeout(patience, adapter.inspect()).await {
        return Look { subject, source }.verdicts(&seen);
    }
    let text = format!("nothing was learnt within {}", format_duration(patience));
    vec![subject.fault("reachable", text, fix_of_reach("timeout"))]
}

fn time_out(kind: &config::SourceKind) -> Duration {
    match kind {
        config::SourceKind::Device { timeout, .. } => *timeout,
        other => other.http().map_or(Duration::ZERO, |http| http.timeout),
    }
}

struct Look {
    subject: Subject,
    source: config::Source,
}

impl Look {
    fn verdicts(&self, seen: &Inspection) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        match &seen.reached {
            Err(error) => {
                let fix = fix_of_reach(error.code());
                verdicts.push(self.subject.fault("reachable", error.to_string(), fix));
                return verdicts;
            }
            Ok(link) => {
                let text = format!("{} is reachable", seen.target);
                verdicts.push(self.subject.ok("reachable", text));
                match link {
                    Some(link) => verdicts.extend(self.link(link, seen.trust.as_deref())),
                    None => verdicts.extend(self.without_tls()),
                }
            }
        }
        verdicts.extend(self.credential(&seen.credential));
        match &seen.capabilities {
            Some(Ok(told)) => verdicts.push(self.capabilities(told)),
            Some(Err(error)) => verdicts.extend(self.no_capabilities(seen, error)),
            None => {}
        }
        match &seen.health {
            Some(Ok(tests)) => verdicts.extend(self.health(tests)),
            Some(Err(error)) if !is_in_trouble(seen) => {
                let text = format!("the service's own tests cannot be read: {error}");
                let fix = "ask the service's operator; seeding goes on without";
                verdicts.push(self.subject.warning("health", text, fix));
            }
            Some(Err(_)) | None => {}
        }
        verdicts
    }

    /// The daemon asks for the capabilities before it asks for entropy, and goes on without them
    /// where the answer is none. What is wrong with everything is said once.
    fn no_capabilities(&self, seen: &Inspection, error: &FetchError) -> Option<Verdict> {
        let text = format!("the service's capabilities cannot be read: {error}");
        if is_in_trouble(seen) {
            return None;
        }
        Some(if error.class() == FailureClass::Invalid {
            let fix = "ask the service's operator; seeding goes on within the usual limits";
            self.subject.warning("capabilities", text, fix)
        } else {
            let fix = fix_of_answer(error);
            self.subject.fault("capabilities", text, fix)
        })
    }

    fn http(&self) -> Option<&config::Http> {
        self.source.kind.http()
    }

    fn link(&self, link: &Link, trust: Option<&str>) -> Vec<Verdict> {
        let Link { version, group, .. } = link;
        let trust = trust.unwrap_or("the system's certificates");
        let said = format!("{version}, {group}, trust: {trust}");
        let asked = self
            .http()
            .map_or(PostQuantum::Prefer, |http| http.tls.post_quantum);
        let mut verdicts = vec![match (group == HYBRID, asked) {
            (true, _) => self.subject.ok("tls", said),
            (false, PostQuantum::Off) => self.subject.warning(
                "tls",
                format!(
                    "{said}: whoever records the traffic can decrypt it with a quantum computer \
                     later, since `post_quantum` is off"
                ),
                "set post_quantum: prefer or require",
            ),
            (false, _) => self.subject.warning(
                "tls",
                format!(
                    "{said}: the service does not offer {HYBRID}, so whoever records the traffic \
                     can decrypt it with a quantum computer later"
                ),
                "ask the service's operator for TLS 1.3 with X25519MLKEM768",
            ),
        }];
        if *version != "TLSv1.3" {
            let text = format!("the service speaks {version} at best");
            let fix = "ask the service's operator for TLS 1.3";
            verdicts.push(self.subject.warning("tls-version", text, fix));
        }
        verdicts.extend(link.certificate_expires.map(|end| self.certificate(end)));
        verdicts
    }

    fn certificate(&self, end: Timestamp) -> Verdict {
        let text = format!(
            "the server's certificate is valid until {}",
            format_time(end)
        );
        let left = end.duration_since(Timestamp::now());
        if left > SOON {
            return self.subject.ok("certificate", text);
        }
        let left = Duration::try_from(left).unwrap_or_default();
        let text = format!("{text}, for another {}", format_duration(left));
        let fix = "have it renewed in time; a new one needs no change here unless it is pinned";
        self.subject.warning("certificate", text, fix)
    }

    fn without_tls(&self) -> Option<Verdict> {
        let host = &self.http()?.url.host;
        Some(if host.is_loopback() {
            let text = "plain HTTP, on this machine alone";
            self.subject.ok("tls", text)
        } else {
            let text = "plain HTTP: whoever listens on the way knows the entropy and the token";
            let fix = "use https://, or make sure that the way is a cable that nobody else reaches";
            self.subject.warning("tls", text, fix)
        })
    }

    fn credential(&self, verdict: &CredentialVerdict) -> Option<Verdict> {
        let http = self.http()?;
        let has_token = http.access_token.is_some();
        let has_certificate = http.tls.client_cert.is_some();
        let shown = match (has_token, has_certificate) {
            (true, _) => "the access token",
            (false, true) => "qseed's client certificate",
            (false, false) => "qseed without a token",
        };
        Some(match verdict {
            CredentialVerdict::Accepted => self
                .subject
                .ok("credential", format!("the service accepts {shown}")),
            CredentialVerdict::Refused(error) => {
                let fix = match (has_token, has_certificate) {
                    (true, _) => {
                        "get a valid token from the service's operator and put it where \
                         `access_token` points to; a changed file takes effect at once"
                    }
                    (false, true) => {
                        "ask the service's operator whether it accepts the certificate in \
                         `tls.client_cert`, or wants an access token as well"
                    }
                    (false, false) => {
                        "the service wants to know who asks: set `access_token` (and `auth`)"
                    }
                };
                self.subject.fault("credential", error.to_string(), fix)
            }
            CredentialVerdict::OutOfOrder(error) => {
                let fix = fix_of_answer(error);
                self.subject.fault("service", error.to_string(), fix)
            }
            CredentialVerdict::Unknown => {
                let text = format!(
                    "whether the service accepts {shown} cannot be found out without spending \
                     entropy"
                );
                let fix = "qseed run --once shows it, and seeds every partition once";
                self.subject.warning("credential", text, fix)
            }
        })
    }

    fn capabilities(&self, told: &Capabilities) -> Verdict {
        let (size, count) = (&told.limits.block_size, &told.limits.block_count);
        let mut text = format!(
            "one request may ask for {} to {} blocks of {} to {} bytes",
            count.start(),
            count.end(),
            size.start(),
            size.end()
        );
        if !told.entropy_types.is_empty() {
            let types: Vec<_> = told
                .entropy_types
                .iter()
                .map(|name| printable(name))
                .collect();
            let _ = write!(text, "; entropy types: {}", types.join(", "));
        }
        if let Some(sources) = told.source_count {
            let _ = write!(text, "; generators: {sources}");
        }
        self.subject.ok("capabilities", text)
    }

    /// The service's own words: what they mean is the service's matter, except for one.
    fn health(&self, tests: &[HealthTest]) -> Vec<Verdict> {
        let shown = tests.iter().take(MAX_TESTS);
        let verdict = |test: &HealthTest| {
            let when = test
                .time
                .as_ref()
                .map_or(String::new(), |time| format!(" ({time})"));
            let text = format!(
                "the service's own test {}: {}{when}",
                test.name, test.result
            );
            if test.result.to_lowercase().contains("fail") {
                let fix = "ask the service's operator; qseed's own delivery checks go on";
                self.subject.warning("health", text, fix)
            } else {
                self.subject.ok("health", text)
            }
        };
        shown.map(verdict).collect()
    }
}

/// Whether what is wrong with the service as a whole has been said.
fn is_in_trouble(seen: &Inspection) -> bool {
    matches!(
        seen.credential,
        CredentialVerdict::Refused(_) | CredentialVerdict::OutOfOrder(_)
    )
}

/// What to do about a service that is there and does not answer as such a service does.
fn fix_of_answer(error: &FetchError) -> &'static str {
    match error {
        FetchError::Status { status: 429, .. } => {
            "wait and check again; if it stays, lower `rate_limit` or ask the service's operator"
        }
        FetchError::Status {
            status: 500..=599, ..
        } => "check again later; if it stays, ask the service's operator",
        other => fix_of_reach(other.code()),
    }
}

/// What to do about a source that is out of reach, by the error's stable word.
fn fix_of_reach(code: &str) -> &'static str {
    match code {
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
        "tls-files" => "mend the file in `tls`",
        "status-404" | "status-4xx" | "redirect" | "content-type" => {
            "check `url` and `type`: another kind of service answers there, or a proxy or portal"
        }
        "device" => "check the device's path, its driver and who may read it",
        _ => "check `url` and what answers there",
    }
}
