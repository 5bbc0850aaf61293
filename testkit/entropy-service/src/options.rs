//! How a service is to be started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::authority::Certificate;
use crate::durations::{format_duration, parse_duration};
use crate::fault::{Fault, FaultOrder};

/// How a service is to be started: by default plain HTTP on a free port of 127.0.0.1, without a
/// token, a rate limit or faults.
#[derive(Clone)]
pub struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) base: String,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) token: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) scope: Scope,
    pub(crate) faults: Vec<FaultOrder>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) forget: bool,
    pub(crate) older_api: Option<u16>,
}

/// What the TLS side offers and wants.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    pub(crate) groups: Groups,
    pub(crate) only_tls12: bool,
    pub(crate) certificate: Certificate,
    pub(crate) client_certificate: bool,
}

/// The key-exchange groups that the service offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Groups {
    /// X25519MLKEM768 first, then the classical ones.
    #[default]
    Hybrid,
    /// X25519, secp256r1 and secp384r1: a service without post-quantum key exchange.
    Classical,
    /// X25519MLKEM768 alone.
    HybridOnly,
}

/// The largest request that is answered. The smallest is one block of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a block. Qrypt's limit, the default, is 1024.
    pub max_block_size: u32,
    /// Blocks a request (KiB a request in the older interface). Qrypt's limit, the default, is 512.
    pub max_block_count: u32,
}

/// A limit on requests over a sliding window. Requests that it refuses with 429 do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests that are answered within [`per`](Self::per).
    pub requests: u32,
    /// The length of the sliding window.
    pub per: Duration,
    /// Whether a refusal says, in whole seconds, when the next request will be answered.
    pub retry_after: bool,
}

/// Which answers faults befall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The answers that carry entropy.
    #[default]
    Entropy,
    /// Those to `capabilities` and `healthtest` as well.
    Everything,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            base: "/v1".to_owned(),
            tls: None,
            token: None,
            api_key: None,
            limits: Limits::default(),
            rate: None,
            scope: Scope::default(),
            faults: Vec::new(),
            state: None,
            admin: None,
            forget: false,
            older_api: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_block_size: 1024,
            max_block_count: 512,
        }
    }
}

impl RateLimit {
    /// At most `requests` in any `per`, with `Retry-After` in refusals.
    #[must_use]
    pub fn new(requests: u32, per: Duration) -> Self {
        Self {
            requests,
            per,
            retry_after: true,
        }
    }

    /// Refuses without saying when to come back.
    #[must_use]
    pub fn without_retry_after(self) -> Self {
        Self {
            retry_after: false,
            ..self
        }
    }
}

/// Why a text is no rate limit.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no rate limit: write requests/time, for example 30/10s")]
pub struct RateLimitError(String);

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RateLimitError(text.to_owned());
        let (requests, per) = text.split_once('/').ok_or_else(wrong)?;
        let requests = requests.parse().map_err(|_| wrong())?;
        let per = parse_duration(per).map_err(|_| wrong())?;
        if per.is_zero() {
            return Err(wrong());
        }
        Ok(Self::new(requests, per))
    }
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.requests, format_duration(self.per))
    }
}

impl Options {
    /// Listens on `address`; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Serves the QRNG Open API below `path`, `/v1` by default. Its `capabilities` are always at
    /// `/api/v1/capabilities` as well, beside Qrypt's paths, as on the appliance.
    #[must_use]
    pub fn base(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.base = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        self
    }

    /// Speaks TLS (1.3 and 1.2), with a certificate for 127.0.0.1, `::1` and localhost by a CA
    /// of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Speaks TLS with these key-exchange groups.
    #[must_use]
    pub fn groups(mut self, groups: Groups) -> Self {
        self.tls.get_or_insert_default().groups = groups;
        self
    }

    /// Speaks TLS without post-quantum key exchange.
    #[must_use]
    pub fn classical_only(self) -> Self {
        self.groups(Groups::Classical)
    }

    /// Speaks TLS 1.2 and nothing newer.
    #[must_use]
    pub fn tls12_only(mut self) -> Self {
        self.tls.get_or_insert_default().only_tls12 = true;
        self
    }

    /// Speaks TLS with this kind of certificate.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.tls.get_or_insert_default().certificate = certificate;
        self
    }

    /// Speaks TLS with clients that show a certificate by the service's CA, and no others.
    #[must_use]
    pub fn require_client_certificate(mut self) -> Self {
        self.tls.get_or_insert_default().client_certificate = true;
        self
    }

    /// Answers 401 without `Authorization: Bearer token`.
    ///
    /// Where an API key is set too, either lets a request in.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Answers 401 without `X-API-KEY: key`.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Answers requests up to these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Answers 429 beyond this rate.
    #[must_use]
    pub fn rate_limit(mut self, rate: RateLimit) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Starts with `fault` standing, until it is cleared.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(FaultOrder { fault, times: None });
        self
    }

    /// Starts with this fault ordered, standing or for a number of answers.
    #[must_use]
    pub fn order(mut self, order: FaultOrder) -> Self {
        self.faults.push(order);
        self
    }

    /// Lets each answer wait this long; short for a standing [`Fault::Latency`].
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        self.fault(Fault::Latency(latency))
    }

    /// Which answers faults befall: those with entropy, by default.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Writes `ca.pem`, `server.pem`, `client.pem` and `client.key` into this folder, which is made
    /// where it is missing. Without it they go into a temporary folder that is removed with the
    /// service.
    #[must_use]
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// Opens the administration interface (plain HTTP) on `address`; keep it on loopback.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Keeps only counts: memory stays flat under any number of requests.
    #[must_use]
    pub fn forget(mut self) -> Self {
        self.forget = true;
        self
    }

    /// Answers `POST /api/v1/entropy` with this status, as a service of the older interface does.
    #[must_use]
    pub fn older_api(mut self, status: u16) -> Self {
        self.older_api = Some(status);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, RateLimit};

    #[test]
    fn rates_are_read_and_written() {
        let rate: RateLimit = "30/10s".parse().expect("a rate");
        assert_eq!(rate, RateLimit::new(30, Duration::from_secs(10)));
        assert_eq!(rate.to_string(), "30/10s");
        for wrong in ["30", "30/", "/10s", "-1/10s", "30/0s", "x/10s"] {
            assert!(wrong.parse::<RateLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_base_path_begins_with_one_slash_and_ends_without() {
        for (given, kept) in [("/v1", "/v1"), ("api/v1/", "/api/v1"), ("/", ""), ("", "")] {
            assert_eq!(Options::default().base(given).base, kept);
        }
    }
}
