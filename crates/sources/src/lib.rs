//! Adapters to entropy services and devices.
//!
//! A [`Source`] fetches exactly what it is asked for, once, and says what happened. It decides
//! nothing over time: schedules, back-off, rate limits and delivery checks belong to the engine.
//! One file a source type: `qrypt.rs` (both of its APIs), `qrng_open_api.rs`, `device.rs`. A new type
//! is one file, one variant of [`Settings`] and one line in [`open`].
//!
//! # The link
//! - HTTP/1.1 over TLS 1.3 (1.2 only where the server has no better) on one kept connection a
//!   source. If the server closed it while it was idle, a new one replaces it without a fault.
//! - Redirects are never followed, bodies are cut off at what the request could need, and no body,
//!   token or reason phrase of a server gets into an error.
//! - **No proxy**: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are not honoured. Entropy is fetched
//!   from the service itself or not at all.
//! - **The environment** cannot weaken the link: `SSLKEYLOGFILE` is ignored, there is no way to
//!   switch verification off. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where this system's roots
//!   are, as for every OpenSSL program; [`SystemRoots::origin`] shows that they do, and a source
//!   with `tls.ca` does not look at them.
//! - Buffers of this crate that held a token, a body or entropy are wiped. What `hyper` and
//!   `rustls` buffer on the way is theirs: a few KiB a connection that the next answer overwrites.
//!
//! # Running
//! Futures of this crate need a tokio runtime with I/O and time; one thread is enough. Whatever may
//! block for long runs on threads beside it: files, devices, the resolver. Dropping a future that
//! is under way abandons its connection, so nothing of a late answer is taken for the answer to a
//! later question.

pub mod answer;
mod device;
mod error;
mod helper;
mod http;
mod inspection;
mod link;
mod qrng_open_api;
mod qrypt;
mod settings;
mod tls;

use std::pin::Pin;

use qseed_entropy::Entropy;
use qseed_model::{Limits, Shape};

pub use answer::{AnswerError, Capabilities, HealthTest};
pub use error::{FetchError, Phase};
pub use inspection::{CredentialVerdict, Inspection};
pub use link::{Link, Traffic};
pub use settings::{Auth, ClientIdentity, Http, Settings, Tls};
pub use tls::{SystemRoots, TlsFault, UnusableFile};

/// A future that a trait object hands out.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One request for entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What to ask for, within [`Source::limits`].
    pub shape: Shape,
    /// Whether a second request may be sent at once, on a new connection, if the server turns out
    /// to have closed the kept one.
    pub spare_attempt: bool,
}

/// Something that delivers entropy.
pub trait Source: Send {
    /// Asks for entropy once, within the source's time-out. Delivers the asked bytes in the order
    /// of the answer, otherwise unchecked.
    ///
    /// # Errors
    /// [`FetchError`]; whatever of the answer had arrived is wiped.
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Entropy, FetchError>>;

    /// What one fetch may ask for, as far as it is known. [`Source::connect`] and
    /// [`Source::fetch`] may learn better.
    fn limits(&self) -> Limits;

    /// Opens the connection beforehand and, if the service announces its limits, asks for them.
    /// Costs no entropy.
    ///
    /// # Errors
    /// [`FetchError`], as a fetch would.
    fn connect(&mut self) -> BoxFuture<'_, Result<(), FetchError>>;

    /// Looks at the source for a person who asks whether it will work. Costs no entropy.
    fn inspect(&mut self) -> BoxFuture<'_, Inspection>;

    /// What went over the network since the last call, whatever came of it.
    fn take_traffic(&mut self) -> Traffic;
}

/// Makes a source ready for use, without touching the network or a file yet.
///
/// `roots` is shared, so that the system's certificates are read once for all sources.
#[must_use]
pub fn open(settings: Settings, roots: &SystemRoots) -> Box<dyn Source> {
    match settings {
        Settings::Qrypt(http) => Box::new(qrypt::Qrypt::open(http, roots)),
        Settings::QryptKib(http) => Box::new(qrypt::Qrypt::open_older(http, roots)),
        Settings::QrngOpenApi(http) => Box::new(qrng_open_api::QrngOpenApi::open(http, roots)),
        Settings::Device { path, timeout } => Box::new(device::Device::new(path, timeout)),
    }
}
