//! Lines about the configuration, at the start and after each reload.

use std::collections::HashMap;

use qseed_config::{Config, Level, Login, Partition, Scheme, Warning};

use crate::assemble::{Plan, shortages};
use crate::log::Entry;
use crate::print::count;

/// The first line of the log.
pub(crate) fn started(plan: &Plan) -> Entry {
    let version = env!("CARGO_PKG_VERSION");
    let message = format!(
        "qseed {version} starts: {}, {}, {}.",
        count(plan.sources.len(), "source"),
        count(plan.modules.len(), "module"),
        count(plan.partitions.len(), "partition"),
    );
    Entry::info("started", message).with("version", version)
}

/// What the operator should know of a configuration that takes effect.
pub(crate) fn warnings(plan: &Plan, found: &[Warning]) -> Vec<Entry> {
    let config = &plan.config;
    let texts = found.iter().map(Warning::to_string);
    let texts = texts.chain(cautions(config));
    let warnings = texts.map(|text| Entry::new(Level::Warn, "configuration", text));
    let shortages = shortages(config).into_iter().map(Entry::from);
    warnings.chain(shortages).collect()
}

/// What the configuration asks for and this version does not do yet, and what it gives away.
fn cautions(config: &Config) -> Vec<String> {
    let without_effect = config.listen.map(|_| {
        "`listen` has no effect in this version: no web page or metrics are served.".to_owned()
    });
    let in_the_clear = config.sources.iter().filter_map(|source| {
        let url = &source.kind.http()?.url;
        let open = url.scheme == Scheme::Http && !url.host.is_loopback();
        open.then(|| {
            format!(
                "{}: plain HTTP (`insecure_http`): anyone on the network path can read the entropy \
                 and the access token.",
                source.name
            )
        })
    });
    let mut cautions: Vec<_> = without_effect.into_iter().chain(in_the_clear).collect();
    cautions.extend(excluding_logins(config));
    cautions
}

/// Partitions that name one token and log in to it in ways that exclude each other.
fn excluding_logins(config: &Config) -> Vec<String> {
    let mut logins: HashMap<_, &Partition> = HashMap::new();
    let mut conflicts = Vec::new();
    for partition in &config.partitions {
        if partition.login == Login::None {
            continue;
        }
        let token = (&partition.module, &partition.token);
        let first = *logins.entry(token).or_insert(partition);
        if partition.login.excludes(first.login) {
            conflicts.push(format!(
                "{} and {} are the same token and log in as {} and {}: a process can be logged in \
                 to a token in one way only, so only one of them is seeded. Use one login.",
                first.name, partition.name, first.login, partition.login
            ));
        }
    }
    conflicts
}
