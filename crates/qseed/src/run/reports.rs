//! The desk for reports: it hands what happened to those who keep track of it, and writes the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use qseed_config::{Level, Output};
use qseed_engine::announcer::{Announcer, Summary};
use qseed_engine::{Fact, Moment, PartitionFact, PartitionId, SourceId};
use qseed_http::Link;
use qseed_tokens::directory::TokenInfo;

use crate::assemble::Plan;
use crate::log::{Entry, Log};
use crate::say::{self, Tokens, shell};

#[derive(Debug)]
pub(super) struct Reports {
    log: Log,
    announcer: Announcer,
    tokens: Tokens,
    /// The last connection of each source.
    links: BTreeMap<SourceId, Arc<Link>>,
    /// The lines that modules wrote and the log does not have, by the module's name.
    lines_written: BTreeMap<String, u64>,
    /// What the kernel did not grant to workers, by the module's name: each has one line.
    less_confined: BTreeSet<(String, String)>,
}

impl Reports {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut announcer = Announcer::default();
        announcer.sum_up(plan.sums_up());
        Self {
            log: Log::new(plan.config.log),
            announcer,
            tokens: Tokens::new(),
            links: BTreeMap::new(),
            lines_written: BTreeMap::new(),
            less_confined: BTreeSet::new(),
        }
    }

    /// Takes on a new configuration.
    pub(super) fn configure(&mut self, plan: &Plan) {
        self.log.configure(plan.config.log);
        self.announcer.sum_up(plan.sums_up());
    }

    pub(super) fn write(&mut self, entry: Entry) {
        self.log.write(entry);
    }

    /// Takes in what happened. Other consumers of facts (counters, history) will take them here.
    pub(super) fn take(&mut self, now: Moment, fact: &Fact, plan: &Plan) {
        let announcement = self.announcer.take(now, fact);
        self.due(now, plan);
        if (announcement.is_news || self.log.takes(Level::Debug))
            && let Some(entry) = say::fact(fact, announcement, plan, &self.tokens)
        {
            self.write(entry);
        }
        if let Fact::Partition(partition, PartitionFact::Removed) = fact {
            self.forget_token(partition.id);
        }
    }

    /// When there is something to announce, if nothing happens before.
    pub(super) fn wake(&self) -> Option<Moment> {
        self.announcer.wake()
    }

    /// Announces what is due by now.
    pub(super) fn due(&mut self, now: Moment, plan: &Plan) {
        let summaries = self.announcer.due(now);
        self.announce(&summaries, plan);
    }

    /// Announces what was gathered and not announced yet.
    pub(super) fn finish(&mut self, now: Moment, plan: &Plan) {
        let summaries = self.announcer.finish(now);
        self.announce(&summaries, plan);
    }

    fn announce(&mut self, summaries: &[Summary], plan: &Plan) {
        let entries = summaries.iter().filter_map(|it| say::summary(it, plan));
        entries.for_each(|entry| self.log.write(entry));
    }

    /// Takes in how a source is reached. Each connection has a line; where seeds are summed up,
    /// only a connection of another kind has one.
    pub(super) fn link(&mut self, source: SourceId, link: Option<Arc<Link>>, plan: &Plan) {
        let Some(link) = link else { return };
        let before = self.links.insert(source, Arc::clone(&link));
        if before.as_ref().is_some_and(|old| Arc::ptr_eq(old, &link)) {
            return;
        }
        let same = before.is_some_and(|old| old.version == link.version && old.group == link.group);
        let level = if same && plan.sums_up() {
            Level::Debug
        } else {
            Level::Info
        };
        if let Some(planned) = plan.sources.get(&source) {
            self.write(shell::connected(level, &planned.config.name, &link));
        }
    }

    /// Forgets how a source was reached, since it is configured otherwise.
    pub(super) fn forget_link(&mut self, source: SourceId) {
        self.links.remove(&source);
    }

    /// Takes in which token a partition was opened on.
    pub(super) fn set_token(&mut self, partition: PartitionId, token: TokenInfo) {
        if self.tokens.get(&partition) != Some(&token) {
            self.announcer.token_changed(partition);
            self.tokens.insert(partition, token);
        }
    }

    /// The token that each partition was opened on.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The token that a partition was opened on.
    pub(super) fn token(&self, partition: PartitionId) -> Option<&TokenInfo> {
        self.tokens.get(&partition)
    }

    /// Forgets which token a partition was opened on.
    pub(super) fn forget_token(&mut self, partition: PartitionId) {
        self.tokens.remove(&partition);
    }

    /// A worker could not be confined as it should.
    pub(super) fn less_confined(&mut self, name: &str, missing: &[String]) {
        for why in missing {
            if self.less_confined.insert((name.to_owned(), why.clone())) {
                self.write(shell::less_confined(name, why));
            }
        }
    }

    /// A module wrote lines which are not passed on. Where none is, they have a line of the log
    /// each time that there are ten times as many.
    pub(super) fn module_wrote_more(&mut self, name: &str, output: Output, lines: u64) {
        let entry = match output {
            Output::Log => shell::module_wrote_too_much(name, lines),
            Output::Count => {
                let count = self.lines_written.entry(name.to_owned()).or_default();
                let before = count.checked_ilog10();
                *count = count.saturating_add(lines);
                if count.checked_ilog10() == before {
                    return;
                }
                shell::module_wrote_in_all(name, *count)
            }
        };
        self.write(entry);
    }
}
