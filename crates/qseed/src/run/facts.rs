//! What happened, handed to those who keep track of it.

use qseed_config::Level;
use qseed_engine::Fact;
use qseed_engine::announcer::Line;

use super::daemon::Daemon;
use crate::say::{self, Context};

impl Daemon {
    /// Hands out everything that happened. Whatever else keeps track of facts (counters, history,
    /// ledger) takes them here.
    pub(super) fn hand_out_facts(&mut self) {
        let now = self.now();
        let due = self.announcer.due(now);
        self.announce(due);
        while let Some(fact) = self.engine.next_fact() {
            if let Fact::PartitionRemoved(id) = &fact {
                self.known.forget_partition(*id);
            }
            let lines = self.announcer.take(now, &fact);
            if lines.is_empty()
                && self.log.takes(Level::Debug)
                && let Some(entry) = say::details::entry(&fact)
            {
                self.log.write(entry);
            }
            self.announce(lines);
        }
    }

    /// Writes lines to the log; at the end of the daemon, nothing more.
    pub(super) fn announce(&mut self, lines: Vec<Line>) {
        if self.stopping {
            return;
        }
        for line in lines {
            let context = Context {
                plan: &self.plan,
                known: &self.known,
            };
            if let Some(entry) = say::entry(&line, &context) {
                self.log.write(entry);
            }
        }
    }
}
