//! A witness of transparency logs (<https://c2sp.org/tlog-witness>), for tests.
//!
//! It serves `add-checkpoint` over real HTTP/1.1 and real TLS, remembers the newest checkpoint of
//! each log, verifies signatures and consistency proofs, and misbehaves on demand. It shares no code
//! with qseed, so it also shows that another implementation understands qseed's checkpoints and
//! proofs.
//!
//! ```no_run
//! use qseed_witness::{Fault, Kind, Witness};
//!
//! let witness = Witness::spawn("witness.example/w1", Kind::Ed25519);
//! // … configure witness.url(), witness.vkey() and witness.ca_path() …
//! witness.trust("example.com/log+1a2b3c4d+AQ…");
//! witness.set_fault(Some(Fault::Hang));
//! ```

mod judge;
mod key;
mod merkle;
mod note;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use key::Kind;
use key::{Key, LogKey};
use server::Server;

/// How the witness misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes the request and never answers.
    Hang,
    /// It sends a byte of its answer at a time, with this pause after each.
    Slow(Duration),
    /// It closes the connection instead of an answer.
    Close,
    /// It answers with this status and an empty body, and looks at nothing.
    Status(u16),
    /// It answers with this status and body, and looks at nothing.
    Answer(u16, Vec<u8>),
    /// Its answer never ends.
    Endless,
    /// It signs in its own name with another key.
    OtherKey,
    /// It signs another root than the one that it was asked to sign.
    OtherRoot,
    /// It signs the time zero.
    NoTime,
    /// It signs as asked, beside signatures of keys that nobody knows.
    AmongOthers,
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The old size that the log named.
    pub old: u64,
    /// How many hashes its proof had.
    pub proof: usize,
    /// The origin of its checkpoint.
    pub origin: String,
    /// The size of its checkpoint.
    pub size: u64,
    /// How many signatures its checkpoint had.
    pub signatures: usize,
    /// What was answered; `None`: nothing, by a fault.
    pub status: Option<u16>,
}

/// The newest checkpoint of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of leaves.
    pub size: u64,
    /// The root.
    pub root: [u8; 32],
}

/// A running witness. Dropping it ends it.
pub struct Witness {
    shared: Arc<Shared>,
    server: Server,
}

/// What the handle and the connections share.
pub(crate) struct Shared {
    pub(crate) key: Key,
    state: Mutex<State>,
    changed: Condvar,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) trusted: Vec<LogKey>,
    pub(crate) known: BTreeMap<String, Known>,
    pub(crate) fault: Option<Fault>,
    requests: Vec<Request>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, request: Request) {
        self.state().requests.push(request);
        self.changed.notify_all();
    }
}

impl Witness {
    /// Starts a witness with a new key of this name, on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If this machine has no port or folder for it.
    #[must_use]
    pub fn spawn(name: &str, kind: Kind) -> Self {
        let shared = Arc::new(Shared {
            key: Key::new(name, kind),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let server = Server::start(Arc::clone(&shared));
        Self { shared, server }
    }

    /// The submission prefix.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/submit", self.server.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The file with the certificate of its authority.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.server.ca_path()
    }

    /// The key that verifies its cosignatures.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.shared.key.vkey()
    }

    /// Accepts checkpoints that this key of a log signed.
    ///
    /// # Panics
    /// If it is no verifier key.
    pub fn trust(&self, vkey: &str) {
        let key = LogKey::parse(vkey).expect("a verifier key");
        self.shared.state().trusted.push(key);
    }

    /// Misbehaves from now on, or does no longer.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// The newest checkpoint of a log.
    #[must_use]
    pub fn known(&self, origin: &str) -> Option<Known> {
        self.shared.state().known.get(origin).copied()
    }

    /// Claims to know this checkpoint of a log, or none.
    pub fn set_known(&self, origin: &str, known: Option<Known>) {
        let logs = &mut self.shared.state().known;
        match known {
            Some(known) => logs.insert(origin.to_owned(), known),
            None => logs.remove(origin),
        };
    }

    /// All requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Waits until the requests are as wanted, and returns them.
    ///
    /// # Panics
    /// When the time is up first.
    #[must_use]
    pub fn wait_for(
        &self,
        wanted: impl Fn(&[Request]) -> bool,
        patience: Duration,
    ) -> Vec<Request> {
        let state = self.shared.state();
        let waits = |state: &mut State| !wanted(&state.requests);
        let result = self
            .shared
            .changed
            .wait_timeout_while(state, patience, waits);
        let (state, timed_out) = result.unwrap_or_else(PoisonError::into_inner);
        let requests = state.requests.clone();
        assert!(!timed_out.timed_out(), "requests so far: {requests:#?}");
        requests
    }
}
