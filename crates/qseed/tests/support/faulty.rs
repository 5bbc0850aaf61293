//! A faulty token as partitions of a configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_faulty_token::{Event, Faults, FaultyToken, Function, Record};
use serde_json::{Value, json};

use super::PATIENCE;

/// A copy of the faulty module in a folder of its own.
pub struct Faulty {
    pub token: FaultyToken,
    pub module: PathBuf,
}

/// A seed as it reached a token.
#[derive(Clone, Debug)]
pub struct Injected {
    pub ns: u64,
    pub token: u32,
    pub bytes: Vec<u8>,
}

impl Faulty {
    /// A copy below `folder`, with these faults.
    pub fn new(folder: &Path, faults: impl FnOnce(&mut Faults)) -> Self {
        Self::named(folder, "module", faults)
    }

    /// One of several copies below `folder`.
    pub fn named(folder: &Path, name: &str, faults: impl FnOnce(&mut Faults)) -> Self {
        let token = FaultyToken::new(folder.join(name)).expect("a folder");
        token.set(faults).expect("written");
        let module = token.install().expect("the module is built with this test");
        Self { token, module }
    }

    /// Partition `name` on token `number`, without a login, once a second.
    pub fn partition(&self, name: &str, number: u32) -> Value {
        json!({
            "name": name,
            "module": self.module,
            "token": format!("pkcs11:serial=FT{number}"),
            "login": "none",
            "period": "1s",
        })
    }

    /// The same, logging in as the normal user.
    pub fn partition_with_pin(&self, name: &str, number: u32, pin: &str) -> Value {
        let mut partition = self.partition(name, number);
        partition["login"] = json!("user");
        partition["pin"] = json!(pin);
        partition
    }

    /// The seeds that tokens mixed in, in order.
    pub fn injected(&self) -> Vec<Injected> {
        let record = self.token.record().expect("a record");
        record.iter().filter_map(injected).collect()
    }

    /// Waits until the record is as wanted.
    pub fn wait(&self, found: impl FnMut(&[Record]) -> bool) -> Vec<Record> {
        self.wait_within(PATIENCE, found)
    }

    /// The same for what takes longer.
    pub fn wait_within(&self, time: Duration, found: impl FnMut(&[Record]) -> bool) -> Vec<Record> {
        self.token.wait_for(time, found).expect("it comes")
    }

    /// Waits until a token has mixed in so many seeds.
    pub fn wait_seeds(&self, token: u32, wanted: usize) {
        self.wait(|record| seeds_of(record, token) >= wanted);
    }

    /// Waits until a token gets one more seed than it has by now.
    pub fn wait_next_seed(&self, token: u32) {
        let known = seeds_of(&self.token.record().expect("a record"), token);
        self.wait_seeds(token, known + 1);
    }

    /// How often a PIN was presented to a token.
    pub fn presentations(&self, token: u32) -> usize {
        let logins = self.token.logins().expect("a record");
        logins
            .iter()
            .filter(|login| login.call.token == Some(token))
            .count()
    }
}

/// The number of seeds that a token has mixed in.
pub fn seeds_of(record: &[Record], token: u32) -> usize {
    record
        .iter()
        .filter_map(injected)
        .filter(|seed| seed.token == token)
        .count()
}

/// Counts each token's seeds in a record that grows.
pub struct SeedCounter {
    counts: Vec<usize>,
    read: usize,
}

impl SeedCounter {
    /// For tokens 0 to `tokens` - 1.
    pub fn new(tokens: usize) -> Self {
        Self {
            counts: vec![0; tokens],
            read: 0,
        }
    }

    /// The seeds of each token in `record`, which begins as the one before did.
    pub fn count(&mut self, record: &[Record]) -> &[usize] {
        for seed in record[self.read..].iter().filter_map(injected) {
            self.counts[seed.token as usize] += 1;
        }
        self.read = record.len();
        &self.counts
    }
}

fn injected(line: &Record) -> Option<Injected> {
    let call = line
        .ended(Function::SeedRandom)
        .filter(|call| call.succeeded())?;
    Some(Injected {
        ns: line.ns,
        token: call.token?,
        bytes: call.seed.clone()?,
    })
}

/// The number of calls of a function that have ended.
pub fn calls_of(record: &[Record], function: Function) -> usize {
    record
        .iter()
        .filter(|line| line.ended(function).is_some())
        .count()
}

/// Whether a rule has acted on this function.
pub fn has_struck(record: &[Record], of: Function) -> bool {
    record
        .iter()
        .any(|line| matches!(&line.event, Event::Fault { function, .. } if *function == of))
}
