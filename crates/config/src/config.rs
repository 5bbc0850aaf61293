//! A validated configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use qseed_model::{Combine, Reserve};
use qseed_secrets::{Secret, SecretRef};

use crate::audit::Audit;
use crate::exposure::NamedSecret;
use crate::partition::{Module, Partition, Pin};
use crate::source::Source;

/// A validated configuration. Everything in it is in range and consistent.
///
/// Its literal secrets are wiped when it is dropped, and printing it shows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which of the two forms the file has.
    pub form: Form,
    /// The entropy sources, at least one, in the file's order.
    pub sources: Vec<Source>,
    /// What several sources are to each other.
    pub combine: Combine,
    /// Entropy kept to ride out an outage; `None`: none is.
    pub reserve: Option<Reserve>,
    /// Whether each seed is also XOR-combined with bytes of the kernel's `getrandom`.
    pub mix_local: bool,
    /// The partitions, at least one, in the file's order.
    pub partitions: Vec<Partition>,
    /// The modules that partitions use.
    pub modules: Vec<Module>,
    /// Where the PIN guard and the ledger are kept.
    pub state_dir: PathBuf,
    /// The ledger; `None`: none is written.
    pub audit: Option<Audit>,
    /// Where web page, metrics and health are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The Unix socket of the commands, at most 107 bytes.
    pub control_socket: PathBuf,
    /// The log.
    pub log: Log,
}

impl Config {
    /// Moves the PINs that the configuration spells out to the caller, each with its partition's
    /// name, and leaves [`Pin::Taken`], so that a long-lived configuration holds none.
    pub fn take_literal_pins(&mut self) -> Vec<(String, Secret)> {
        let mut taken = Vec::new();
        for partition in &mut self.partitions {
            if !matches!(&partition.pin, Pin::Given(SecretRef::Literal(_))) {
                continue;
            }
            if let Pin::Given(SecretRef::Literal(pin)) =
                std::mem::replace(&mut partition.pin, Pin::Taken)
            {
                taken.push((partition.name.clone(), pin));
            }
        }
        taken
    }

    /// The environment variables that secrets are read from, which no worker inherits.
    #[must_use]
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .secrets()
            .into_iter()
            .filter_map(|secret| match secret.reference {
                SecretRef::Environment(name) => Some(name.clone()),
                SecretRef::Literal(_) | SecretRef::File(_) | SecretRef::Credential(_) => None,
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Every secret that the configuration spells out or refers to.
    #[must_use]
    pub fn secrets(&self) -> Vec<NamedSecret<'_>> {
        let sources = self.sources.iter().flat_map(Source::secrets);
        let partitions = self.partitions.iter().filter_map(Partition::secret);
        let audit = self.audit.iter().flat_map(Audit::secrets);
        sources.chain(partitions).chain(audit).collect()
    }
}

/// The two forms of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The original's flat file: one source, one partition.
    Flat,
    /// Sources and partitions as lists.
    Full,
}

/// The log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The form of its lines.
    pub format: LogFormat,
    /// The least important events that it has.
    pub level: Level,
    /// How seeds are logged; `None`: each for up to 100 partitions, else a summary.
    pub seeds: Option<Seeds>,
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A time and a sentence.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// What qseed does.
    #[default]
    Info,
    /// How it does it.
    Debug,
}

/// How seeds are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// A line for each.
    Each,
    /// A summary a minute.
    Summary,
}
