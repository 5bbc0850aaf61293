//! A daemon's surroundings: sources of any kind, and a token that records what it gets.

use std::path::Path;
use std::time::Duration;

use qseed_entropy_service::{EntropyService, Log, Options, RateLimit};
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::daemon::Qseed;
use crate::support::faulty::{Faulty, seeds_of};
use crate::support::site::{self, Site};

/// The size of a seed where nothing else is said.
pub(crate) const SIZE: usize = 48;

/// A configuration in the full form, and a faulty token that is in good order here.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) token: Faulty,
    config: Value,
}

impl Stage {
    /// One partition, seeded once a second from these sources.
    pub(crate) fn new(sources: &[Value]) -> Self {
        Self::with_partitions(sources, 1)
    }

    /// So many partitions, each on a token of its own, seeded once a second.
    pub(crate) fn with_partitions(sources: &[Value], count: u32) -> Self {
        let site = Site::new();
        let token = Faulty::new(site.folder(), |faults| faults.slots = count);
        let partitions: Vec<Value> = (0..count)
            .map(|number| token.partition(&format!("p{number}"), number))
            .collect();
        let config = config(&site, sources, &partitions);
        let stage = Self {
            site,
            token,
            config,
        };
        stage.site.configure_full(&stage.config);
        stage
    }

    /// Changes the configuration; a running daemon takes it on with SIGHUP.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.config);
        self.site.configure_full(&self.config);
    }

    /// The same, before the start.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        self.change(change);
        self
    }

    /// The seeds that tokens mixed in, in order.
    pub(crate) fn seeds(&self) -> Vec<Vec<u8>> {
        let injected = self.token.injected();
        injected.into_iter().map(|seed| seed.bytes).collect()
    }

    /// Waits until the first token has so many seeds more than by now.
    pub(crate) fn wait_more_seeds(&self, more: usize) {
        let known = seeds_of(&self.token.token.record().expect("a record"), 0);
        self.token.wait_seeds(0, known + more);
    }
}

/// Has a running daemon take on the configuration as it is now.
pub(crate) fn reload(qseed: &Qseed) {
    let from = qseed.log.count();
    qseed.signal(rustix::process::Signal::HUP);
    qseed.event_from(from, "reloaded");
}

/// A configuration with everything of qseed's own in the site's folder, and a log in JSON.
pub(crate) fn config(site: &Site, sources: &[Value], partitions: &[Value]) -> Value {
    json!({
        "sources": sources,
        "partitions": partitions,
        "state_dir": site.state_dir(),
        "control_socket": site.path("control.sock"),
        "log": { "format": "json" },
    })
}

/// A service as a source of this name, with time enough for a busy machine.
pub(crate) fn source(name: &str, service: &EntropyService) -> Value {
    let mut source = site::source(service);
    source["name"] = json!(name);
    source["timeout"] = json!("5s");
    source
}

/// A named pipe or a character device as a source.
pub(crate) fn device(path: &Path) -> Value {
    json!({ "name": "card", "type": "device", "path": path, "timeout": "1s" })
}

/// The bytes of a service's good answers, one after the other.
pub(crate) fn delivered(service: &EntropyService) -> Vec<u8> {
    let good = service.served();
    let good = good.iter().filter(|answer| answer.is_good());
    good.flat_map(|answer| answer.blocks.joined()).collect()
}

/// The number of a service's good answers.
pub(crate) fn good_answers(log: &Log) -> usize {
    log.served()
        .iter()
        .filter(|answer| answer.is_good())
        .count()
}

/// A service that answers one request and no other, until its rate limit is taken away.
pub(crate) fn one_answer() -> Options {
    let limit = RateLimit::new(1, Duration::from_secs(24 * 60 * 60));
    Options::default().rate_limit(limit.without_retry_after())
}

/// Waits until the service has given a good answer after its first `known` answers.
pub(crate) fn wait_good_after(service: &EntropyService, known: usize) {
    let good = |log: &Log| {
        log.served()
            .iter()
            .skip(known)
            .any(|answer| answer.is_good())
    };
    assert!(service.wait_for(good, PATIENCE), "no good answer");
}

/// Asserts that the seeds are what was delivered, from the first byte on, in order and without a
/// gap.
pub(crate) fn assert_in_order(seeds: &[Vec<u8>], delivered: &[u8]) {
    let injected = seeds.concat();
    let same = injected.iter().zip(delivered).take_while(|(a, b)| a == b);
    let same = same.count();
    assert_eq!(
        same,
        injected.len(),
        "byte {same} of {} injected ones is not byte {same} of the {} that were delivered",
        injected.len(),
        delivered.len()
    );
}

/// The lines of a log in JSON that are this event.
pub(crate) fn events(log: &[String], event: &str) -> Vec<Value> {
    let lines = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["event"] == event)
        .collect()
}

/// Waits for an event of this source after the first `from` lines.
pub(crate) fn event_of(qseed: &Qseed, from: usize, event: &str, source: &str) -> Value {
    let found = |line: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|line| line["event"] == event && line["source"] == source)
    };
    let what = format!("{event} of {source}");
    let line = qseed.log.wait_from(from, &what, found);
    serde_json::from_str(&line).expect("it was just read")
}

/// Waits for a seed, after the first `from` lines, that is made of these sources.
pub(crate) fn seed_made_of(qseed: &Qseed, from: usize, sources: &[&str]) {
    let sources = json!(sources);
    let found = |line: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|line| line["event"] == "seeded" && line["sources"] == sources)
    };
    qseed
        .log
        .wait_from(from, &format!("a seed made of {sources}"), found);
}
