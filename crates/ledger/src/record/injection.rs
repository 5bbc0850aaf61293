//! Records of injections: what is about to go into a token, what went in, what a token refused.

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A token, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its model.
    pub model: String,
    /// The version of its firmware.
    pub firmware: Option<String>,
}

/// Where bytes of a seed come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The source's name.
    pub name: String,
    /// The number of the request, from the start of the daemon.
    pub request: u64,
    /// How many bytes of the seed it gave. Two sources that each gave as many as the seed has were
    /// combined by XOR.
    pub bytes: u64,
    /// The version of TLS; none: no TLS.
    pub tls_version: Option<String>,
    /// The group of the key exchange.
    pub tls_group: Option<String>,
}

/// An injection into one partition, or several injections that share all of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The partitions, and what became of the seed of each.
    pub partitions: Partitions,
    /// The file of their module.
    pub module: String,
    /// Where the bytes come from; empty: no seed was taken.
    pub sources: Vec<Source>,
    /// The kernel's random bytes were mixed in by XOR as well.
    pub mix_local: bool,
    /// The bytes of each seed; 0: no seed was taken.
    pub bytes: u64,
    /// The delivery checks that all of the bytes passed.
    pub checks: Vec<String>,
    /// The PKCS#11 function; none: it came to no call.
    pub function: Option<String>,
}

/// The partitions of an [`Injection`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// One partition.
    One {
        /// Its token, as far as it is known.
        token: Option<Token>,
        /// What became of the seed.
        outcome: Outcome,
    },
    /// Several partitions. Their `opened` records have more of their tokens.
    Many(Vec<(Outcome, Option<Serial>)>),
}

/// The serial number of a token.
pub type Serial = String;

/// What became of the seed of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The partition.
    pub partition: String,
    /// The name of the return value; none: not known, or it came to no call.
    pub ckr: Option<String>,
    /// From the call to the answer, in microseconds; none: not known.
    pub duration_us: Option<u64>,
    /// The number of the injection, from the start of the daemon, which an intent and its outcome
    /// share; none: there was no intent.
    pub job: Option<u64>,
}

impl Injection {
    /// What became of each seed.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let (one, many) = match &self.partitions {
            Partitions::One { outcome, .. } => (Some(outcome), [].as_slice()),
            Partitions::Many(many) => (None, many.as_slice()),
        };
        one.into_iter()
            .chain(many.iter().map(|(outcome, _)| outcome))
    }
}

/// Seeds are about to be injected: nothing of what became of them is known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent(pub Injection);

/// Tokens accepted seeds. What that did to their generators is unknown, and no entropy is credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed(pub Injection);

/// A token could not be opened (no bytes), or a seed went to a token that did not accept it.
/// Whether such a seed was mixed in is unknown: it is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which seeds.
    pub injection: Injection,
    /// A stable name for the kind of failure, such as `pin-refused`.
    pub reason: String,
    /// For people.
    pub because: String,
}

impl Serialize for Intent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        write(&mut map, &self.0, Known::Nothing)?;
        map.end()
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        write(&mut map, &self.0, Known::Outcome)?;
        map.serialize_entry("credited_bits", &0)?;
        map.end()
    }
}

impl Serialize for Refused {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        write(&mut map, &self.injection, Known::Outcome)?;
        map.serialize_entry("reason", &self.reason)?;
        map.serialize_entry("because", &self.because)?;
        map.end()
    }
}

/// What is known when a record is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Outcome,
}

/// Writes an injection: what a single partition's record says about it stands beside the rest,
/// what it says about several partitions stands in `seeds`.
fn write<M: SerializeMap>(to: &mut M, injection: &Injection, known: Known) -> Result<(), M::Error> {
    if let Partitions::One { outcome, .. } = &injection.partitions {
        to.serialize_entry("partition", &outcome.partition)?;
    }
    to.serialize_entry("module", &injection.module)?;
    if let Partitions::One { token, .. } = &injection.partitions {
        to.serialize_entry("token", token)?;
    }
    to.serialize_entry("sources", &injection.sources)?;
    to.serialize_entry("mix_local", &injection.mix_local)?;
    to.serialize_entry("bytes", &injection.bytes)?;
    to.serialize_entry("checks", &injection.checks)?;
    to.serialize_entry("function", &injection.function)?;
    match &injection.partitions {
        Partitions::One { outcome, .. } => write_outcome(to, outcome, known),
        Partitions::Many(many) => {
            let seeds: Vec<_> = many.iter().map(|seed| OneOfMany(seed, known)).collect();
            to.serialize_entry("seeds", &seeds)
        }
    }
}

fn write_outcome<M: SerializeMap>(
    to: &mut M,
    outcome: &Outcome,
    known: Known,
) -> Result<(), M::Error> {
    if known == Known::Outcome {
        to.serialize_entry("ckr", &outcome.ckr)?;
        to.serialize_entry("duration_us", &outcome.duration_us)?;
    }
    match outcome.job {
        Some(job) => to.serialize_entry("job", &job),
        None => Ok(()),
    }
}

struct OneOfMany<'a>(&'a (Outcome, Option<Serial>), Known);

impl Serialize for OneOfMany<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self((outcome, serial), known) = self;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("partition", &outcome.partition)?;
        map.serialize_entry("serial", serial)?;
        write_outcome(&mut map, outcome, *known)?;
        map.end()
    }
}

/// An injection as it is read: any field may be missing.
#[derive(Deserialize)]
struct Read {
    partition: Option<String>,
    module: String,
    token: Option<Token>,
    sources: Vec<Source>,
    mix_local: bool,
    bytes: u64,
    checks: Vec<String>,
    function: Option<String>,
    ckr: Option<String>,
    duration_us: Option<u64>,
    job: Option<u64>,
    credited_bits: Option<u64>,
    seeds: Option<Vec<ReadOneOfMany>>,
    reason: Option<String>,
    because: Option<String>,
}

#[derive(Deserialize)]
struct ReadOneOfMany {
    partition: String,
    serial: Option<String>,
    ckr: Option<String>,
    duration_us: Option<u64>,
    job: Option<u64>,
}

impl Read {
    fn injection<E: Error>(self) -> Result<Injection, E> {
        let partitions = match (self.partition, self.seeds) {
            (Some(partition), None) => Partitions::One {
                token: self.token,
                outcome: Outcome {
                    partition,
                    ckr: self.ckr,
                    duration_us: self.duration_us,
                    job: self.job,
                },
            },
            (None, Some(seeds)) => {
                Partitions::Many(seeds.into_iter().map(ReadOneOfMany::outcome).collect())
            }
            _ => return Err(E::custom("either `partition` or `seeds` must be there")),
        };
        Ok(Injection {
            partitions,
            module: self.module,
            sources: self.sources,
            mix_local: self.mix_local,
            bytes: self.bytes,
            checks: self.checks,
            function: self.function,
        })
    }
}

impl ReadOneOfMany {
    fn outcome(self) -> (Outcome, Option<Serial>) {
        let outcome = Outcome {
            partition: self.partition,
            ckr: self.ckr,
            duration_us: self.duration_us,
            job: self.job,
        };
        (outcome, self.serial)
    }
}

impl<'de> Deserialize<'de> for Intent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Read::deserialize(from)?.injection().map(Self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(from)?;
        if read.credited_bits != Some(0) {
            return Err(D::Error::custom("`credited_bits` must be 0"));
        }
        read.injection().map(Self)
    }
}

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut read = Read::deserialize(from)?;
        let text =
            |text: &mut Option<String>, name| text.take().ok_or(D::Error::missing_field(name));
        Ok(Self {
            reason: text(&mut read.reason, "reason")?,
            because: text(&mut read.because, "because")?,
            injection: read.injection()?,
        })
    }
}
