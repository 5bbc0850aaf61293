//! What the service saw and served.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};

use crate::api::{Api, Ask};
use crate::blocks::Blocks;
use crate::fault::Fault;

/// A connection that reached the service.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Counts from 1.
    pub number: u64,
    /// When it was accepted.
    #[serde(skip)]
    pub at: Instant,
    /// The same by the wall clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// What became of it at first.
    pub outcome: Outcome,
}

/// What became of a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Accepted; nothing negotiated yet.
    Accepted,
    /// Ready for requests, without TLS.
    Plain,
    /// Ready for requests, over TLS.
    Tls(TlsFacts),
    /// Reset or refused by a fault.
    Fault(Fault),
    /// The TLS handshake failed; what the TLS library says.
    HandshakeFailed(String),
}

/// What a TLS handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsFacts {
    /// `TLSv1_3` or `TLSv1_2`.
    pub version: String,
    /// The key-exchange group, such as `X25519MLKEM768`; `None` for a resumed TLS 1.2 session.
    pub group: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether the client showed a certificate (that the service's CA signed).
    pub client_certificate: bool,
}

/// A request as it arrived, whether or not it was answered.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Counts from 1 over all connections.
    pub number: u64,
    /// When its head had arrived.
    #[serde(skip)]
    pub at: Instant,
    /// The same by the wall clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The [`Connection::number`].
    pub connection: u64,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case. The values of `authorization` and `x-api-key` are left out.
    pub headers: Vec<(String, String)>,
    /// The entropy that it asks for, if it is valid.
    pub ask: Option<Ask>,
}

/// An answer, written down before its first byte leaves.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// Counts from 1.
    pub number: u64,
    /// When it was ready to be sent.
    #[serde(skip)]
    pub at: Instant,
    /// The same by the wall clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The request, shared with [`Log::requests`].
    #[serde(serialize_with = "shared")]
    pub request: Arc<Request>,
    /// The interface; `None` for a path of none.
    pub api: Option<Api>,
    /// The HTTP status.
    pub status: u16,
    /// The entropy in the answer, decoded as the client should have decoded it. Empty where the
    /// answer holds none.
    pub blocks: Blocks,
    /// The faults that befell it.
    pub faults: Vec<Fault>,
}

/// How much there was, of everything. Kept when all else is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests that arrived.
    pub requests: u64,
    /// Answers of any status.
    pub answers: u64,
    /// Answers with status 200.
    pub answers_ok: u64,
    /// Bytes of entropy in answers, decoded, good and spoiled.
    pub entropy_bytes: u64,
}

/// Everything that the service saw and served, oldest first.
#[derive(Default)]
pub struct Log {
    forget: bool,
    counts: Counts,
    connections: Vec<Connection>,
    requests: Vec<Arc<Request>>,
    served: Vec<Arc<Served>>,
}

impl Request {
    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Served {
    /// Whether a client may use its entropy: status 200 with blocks, and no fault or legal ones.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status == 200 && !self.blocks.is_empty() && self.faults.iter().all(Fault::is_legal)
    }
}

impl Connection {
    /// What TLS agreed on, if it did.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFacts> {
        match &self.outcome {
            Outcome::Tls(facts) => Some(facts),
            _ => None,
        }
    }
}

impl Log {
    pub(crate) fn new(forget: bool) -> Self {
        Self {
            forget,
            ..Self::default()
        }
    }

    /// Totals; complete with [`Options::forget`](crate::Options::forget) too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// All connections.
    #[must_use]
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// All requests, refused and unanswered ones included.
    #[must_use]
    pub fn requests(&self) -> &[Arc<Request>] {
        &self.requests
    }

    /// All answers.
    #[must_use]
    pub fn served(&self) -> &[Arc<Served>] {
        &self.served
    }

    /// The largest number of requests that arrived within any `window`, both ends included: for
    /// asserting that a client keeps its rate limit.
    #[must_use]
    pub fn most_requests_within(&self, window: Duration) -> usize {
        let mut recent = VecDeque::new();
        let mut most = 0;
        for request in &self.requests {
            recent.push_back(request.at);
            while recent
                .front()
                .is_some_and(|first| request.at.duration_since(*first) > window)
            {
                recent.pop_front();
            }
            most = most.max(recent.len());
        }
        most
    }

    pub(crate) fn connected(&mut self) -> u64 {
        self.counts.connections += 1;
        let number = self.counts.connections;
        if !self.forget {
            let (at, time) = (Instant::now(), SystemTime::now());
            self.connections.push(Connection {
                number,
                at,
                time,
                outcome: Outcome::Accepted,
            });
        }
        number
    }

    pub(crate) fn became(&mut self, connection: u64, outcome: Outcome) {
        // Numbers count from 1, in the order of the list.
        let index = usize::try_from(connection - 1).unwrap_or(usize::MAX);
        if let Some(known) = self.connections.get_mut(index) {
            known.outcome = outcome;
        }
    }

    /// Numbers a request and keeps it.
    pub(crate) fn requested(&mut self, mut request: Request) -> Arc<Request> {
        self.counts.requests += 1;
        request.number = self.counts.requests;
        let request = Arc::new(request);
        if !self.forget {
            self.requests.push(Arc::clone(&request));
        }
        request
    }

    /// Numbers an answer and keeps it.
    pub(crate) fn answered(&mut self, mut served: Served) -> Arc<Served> {
        self.counts.answers += 1;
        self.counts.answers_ok += u64::from(served.status == 200);
        self.counts.entropy_bytes += served.blocks.total() as u64;
        served.number = self.counts.answers;
        let served = Arc::new(served);
        if !self.forget {
            self.served.push(Arc::clone(&served));
        }
        served
    }
}

fn shared<S: Serializer>(request: &Arc<Request>, serializer: S) -> Result<S::Ok, S::Error> {
    request.as_ref().serialize(serializer)
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&time)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{Log, Request};

    fn request(at: Instant) -> Request {
        Request {
            number: 0,
            at,
            time: SystemTime::UNIX_EPOCH,
            connection: 1,
            method: "GET".into(),
            path: "/".into(),
            headers: Vec::new(),
            ask: None,
        }
    }

    #[test]
    fn the_densest_window_is_found() {
        let mut log = Log::new(false);
        let start = Instant::now();
        for millis in [0, 100, 900, 1_000, 1_001, 3_000] {
            log.requested(request(start + Duration::from_millis(millis)));
        }
        assert_eq!(log.most_requests_within(Duration::from_secs(1)), 4);
        assert_eq!(log.most_requests_within(Duration::from_millis(1_001)), 5);
        assert_eq!(log.most_requests_within(Duration::ZERO), 1);
    }

    #[test]
    fn a_forgetful_log_counts() {
        let mut log = Log::new(true);
        assert_eq!(log.connected(), 1);
        assert_eq!(log.requested(request(Instant::now())).number, 1);
        assert_eq!(log.requested(request(Instant::now())).number, 2);
        assert_eq!(log.counts().requests, 2);
        assert!(log.requests().is_empty() && log.connections().is_empty());
    }
}
