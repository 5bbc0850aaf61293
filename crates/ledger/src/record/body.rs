//! What a record is about: one type an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::encoding;
use super::injection::{Intent, Refused, Seed, Token};
use crate::tree::Hash;

/// Defines [`Body`] and the names of its events, each once.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "event")]
        pub enum Body {
            $($(#[$doc])* #[serde(rename = $name)] $variant($variant),)*
        }

        impl Body {
            /// The name of the event.
            #[must_use]
            pub const fn event(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Reads the fields of this event from a whole line; none: no such event.
            pub(crate) fn parse(event: &str, line: &[u8]) -> serde_json::Result<Option<Self>> {
                Ok(Some(match event {
                    $($name => Self::$variant(serde_json::from_slice(line)?),)*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

events! {
    /// The first record of a ledger.
    Began = "began",
    /// The first record of each file but the first.
    Continued = "continued",
    /// A daemon started.
    Started = "started",
    /// A daemon took on a configuration, at its start or when it was asked to.
    Configured = "configured",
    /// A daemon ended as it was asked to.
    Stopped = "stopped",
    /// A partition has an open session.
    Opened = "opened",
    /// Seeds are about to be injected (`mode: required`).
    Intent = "intent",
    /// Seeds were injected.
    Seed = "seed",
    /// A token could not be opened or did not accept a seed.
    Refused = "refused",
    /// The state of a partition changed.
    State = "state",
    /// A delivery failed a check and was dropped whole.
    Rejected = "rejected",
    /// A worker process started or ended.
    Worker = "worker",
    /// The tree was signed.
    Checkpoint = "checkpoint",
    /// A witness cosigned a checkpoint.
    Witnessed = "witnessed",
    /// The anchor command was given a checkpoint.
    Anchored = "anchored",
    /// The end of the file was damaged, and what was damaged was cut off.
    Recovered = "recovered",
    /// Records could not be written and are lost (`mode: best-effort`).
    Lost = "lost",
}

/// The first record of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The ledger's name in its checkpoints, never used for another ledger.
    pub origin: String,
    /// The verifier keys.
    pub keys: Vec<String>,
    /// The version of qseed.
    pub version: String,
    /// What the kernel granted of the daemon's hardening, each measure by its name.
    pub hardening: BTreeMap<String, String>,
    /// Why a ledger begins, for people.
    pub because: String,
    /// The ledger before, if this one begins because that one cannot be continued.
    pub previous: Option<Previous>,
}

/// The ledger before, as far as it was signed or could be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its origin.
    pub origin: String,
    /// The records that it had.
    pub size: u64,
    /// The root of its tree at this size.
    #[serde(with = "encoding::base64")]
    pub root: Hash,
}

/// The first record of each file but the first: all that a verifier needs to go on from here when
/// the files before are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// The ledger's name in its checkpoints.
    pub origin: String,
    /// The verifier keys.
    pub keys: Vec<String>,
    /// The records before this one: its own `seq`.
    pub size: u64,
    /// The root of the tree at this size.
    #[serde(with = "encoding::base64")]
    pub root: Hash,
    /// The hashes of the largest complete subtrees, from left to right, that make the root.
    #[serde(with = "encoding::base64_list")]
    pub frontier: Vec<Hash>,
    /// The signed checkpoint of this size.
    pub note: String,
}

/// A daemon started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The version of qseed.
    pub version: String,
    /// Its process number.
    pub pid: u32,
    /// `best-effort` or `required`.
    pub mode: String,
    /// What the kernel granted of the daemon's hardening, each measure by its name.
    pub hardening: BTreeMap<String, String>,
}

/// A daemon took on a configuration, at its start or when it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The number of partitions.
    pub partitions: u64,
    /// Where entropy comes from, the preferred source first.
    pub sources: Vec<ConfiguredSource>,
    /// What several sources are to each other: `failover` or `xor`.
    pub combine: String,
    /// The kernel's random bytes are mixed into each seed by XOR as well.
    pub mix_local: bool,
}

/// Where entropy comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredSource {
    /// The source's name.
    pub name: String,
    /// The address of its service, or the path of its device.
    pub url: String,
}

/// A daemon ended as it was asked to. One that was killed leaves no such record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Why, for people.
    pub because: String,
}

/// A partition has an open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The partition.
    pub partition: String,
    /// The file of its module.
    pub module: String,
    /// The token that was found.
    pub token: Option<Token>,
    /// From the call to the answer, in microseconds.
    pub duration_us: u64,
}

/// The state of a partition changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The partition.
    pub partition: String,
    /// Its state, as in the status document.
    pub state: String,
    /// Its state before; none: it is new.
    pub before: Option<String>,
}

/// A delivery failed a check and was dropped whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The source.
    pub source: String,
    /// The number of the request, from the start of the daemon.
    pub request: u64,
    /// The check that it failed.
    pub check: String,
    /// The bytes dropped.
    pub bytes: u64,
}

/// A worker process started or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The file of its module.
    pub module: String,
    /// Which partitions it serves: `common`, `slow` or `quarantine`.
    pub role: String,
    /// `started`, `failed`, `ended` or `stuck`.
    pub state: String,
    /// Why, for people.
    pub because: Option<String>,
}

/// The tree was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The records that it covers, which are all before this one: its own `seq`.
    pub size: u64,
    /// The root of the tree at this size.
    #[serde(with = "encoding::base64")]
    pub root: Hash,
    /// The C2SP signed note.
    pub note: String,
}

/// A witness cosigned a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// The name of the witness's key.
    pub witness: String,
    /// The size of the checkpoint.
    pub size: u64,
    /// The checkpoint with the ledger's signatures and this witness's.
    pub note: String,
}

/// The anchor command was given a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// The program.
    pub command: String,
    /// The size of the checkpoint.
    pub size: u64,
    /// Its exit code; none: it was killed.
    pub code: Option<i32>,
    /// The last line that it printed.
    pub said: Option<String>,
}

/// The end of the file was damaged, and what was damaged was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The bytes cut off.
    pub cut_bytes: u64,
    /// What was wrong with them, for people.
    pub because: String,
}

/// Records could not be written and are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub records: u64,
    /// The seeds that they were about.
    pub seeds: u64,
    /// The time of the first.
    pub since: String,
    /// The time of the last.
    pub until: String,
    /// Why, for people.
    pub because: String,
}
