//! Adapters to entropy services and devices.
//!
//! A [`Source`] fetches exactly what it is asked for, once, and says what happened. It decides
//! nothing over time: schedules, back-off, rate limits and delivery checks belong to the engine.
//! One file a source type: `qrypt.rs` (both of its APIs), `qrng_open_api.rs`, `device.rs`. A new type
//! is one file, one variant of [`Settings`] and one line in [`open`].
//!
//! HTTP services are spoken to through `qseed_http`, whose documentation says what holds on the link.
//!
//! # Running
//! Futures of this crate need a tokio runtime with I/O and time; one thread is enough. Whatever may
//! block for long runs on threads beside it: files, devices, the resolver. Dropping a future that
//! is under way abandons its connection, so nothing of a late answer is taken for the answer to a
//! later question. Buffers of this crate that held entropy are wiped.

pub mod answer;
mod ask;
mod device;
mod error;
mod inspection;
mod qrng_open_api;
mod qrypt;
mod settings;

use std::pin::Pin;

use qseed_entropy::Entropy;
use qseed_http::{SystemRoots, Traffic};
use qseed_model::{Limits, Shape};

pub use answer::{AnswerError, Capabilities, HealthTest};
pub use error::FetchError;
pub use inspection::{CredentialVerdict, Inspection};
pub use settings::Settings;

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
