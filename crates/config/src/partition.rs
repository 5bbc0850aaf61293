//! Partitions and the modules through which they are reached, as configured.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use qseed_model::{Login, Output, TokenChoice};
use qseed_secrets::SecretRef;

use crate::exposure::NamedSecret;
use crate::report::Place;

/// A PKCS#11 token that is seeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name, unique among the partitions: 1 to 64 visible characters.
    pub name: String,
    /// The vendor's shared library. [`crate::Config::modules`] has an entry for it.
    pub module: PathBuf,
    /// Which of the module's tokens it is.
    pub token: TokenChoice,
    /// As whom to log in.
    pub login: Login,
    /// The PIN. [`Pin::Absent`] exactly if the login needs none.
    pub pin: Pin,
    /// Bytes of one seed, 1 to 65,536.
    pub size: usize,
    /// The time from one seed to the next, 1 s to 365 d.
    pub period: Duration,
    /// The most bytes of one `C_SeedRandom` call, 1 to 65,536; `None`: a seed is one call.
    pub chunk: Option<usize>,
    /// Where the configuration describes it.
    pub position: Place,
}

impl Partition {
    /// Its PIN, where the configuration spells it out or refers to it.
    #[must_use]
    pub fn secret(&self) -> Option<NamedSecret<'_>> {
        let Pin::Given(reference) = &self.pin else {
            return None;
        };
        let what = format!("the PIN of partition {}", self.name);
        Some(NamedSecret { what, reference })
    }

    /// Whether a session that was opened for `other` serves this one as well: all but size, period
    /// and place in the file is the same. Literal PINs that were taken out are not compared.
    #[must_use]
    pub fn is_same_session(&self, other: &Self) -> bool {
        *self
            == Self {
                size: self.size,
                period: self.period,
                position: self.position,
                ..other.clone()
            }
    }
}

/// A partition's PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The login needs none.
    Absent,
    /// As the configuration gives it: spelt out or by reference.
    Given(SecretRef),
    /// The configuration spelt it out; [`crate::Config::take_literal_pins`] has handed it on.
    Taken,
}

/// Settings of a vendor's shared library.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// Its path, as the partitions name it.
    pub path: PathBuf,
    /// Environment variables of its worker process alone, in the file's order.
    pub environment: Vec<(String, String)>,
    /// What `C_Initialize` gets as the library's parameters (NSS).
    pub init_args: Option<String>,
    /// The longest that one call may take before the module counts as hung, 1 s to 1 h.
    pub deadline: Duration,
    /// Calls in flight at once over its partitions, 1 to 256.
    pub concurrency: u16,
    /// What the log has of that which the library writes to standard output and error.
    pub output: Output,
    /// Whether its worker process may open other connections than to local sockets.
    pub network: bool,
}

impl Module {
    /// The module at `path` with the default settings.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            environment: Vec::new(),
            init_args: None,
            deadline: Duration::from_secs(30),
            concurrency: 8,
            output: Output::Count,
            network: true,
        }
    }
}

/// Shows no value that may hold a vendor's secret.
impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Module")
            .field("path", &self.path)
            .field("environment", &names)
            .field("init_args", &self.init_args.as_ref().map(|_| "…"))
            .field("deadline", &self.deadline)
            .field("concurrency", &self.concurrency)
            .field("output", &self.output)
            .field("network", &self.network)
            .finish()
    }
}
