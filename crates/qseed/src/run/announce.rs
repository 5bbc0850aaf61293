//! What the daemon logs by itself, beside the engine's facts.

use std::sync::Arc;

use qseed_config::Level;
use qseed_engine::{PartitionId, SourceId};
use qseed_sources::Link;
use qseed_tokens::wire::PinFlags;

use super::daemon::Daemon;
use crate::log::{Entry, format_time};

impl Daemon {
    /// Says how a source is reached, once a connection; where seeds are summed up, when that
    /// changes.
    pub(super) fn say_link(&mut self, source: SourceId, link: Option<Arc<Link>>) {
        let Some(link) = link else { return };
        let known = self.known.set_link(source, Arc::clone(&link));
        if known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &link))
        {
            return;
        }
        let same =
            known.is_some_and(|known| known.version == link.version && known.group == link.group);
        let level = if same && self.plan.sums_up() {
            Level::Debug
        } else {
            Level::Info
        };
        let Some(planned) = self.plan.sources.get(&source) else {
            return;
        };
        let name = &planned.config.name;
        let expires = link.certificate_expires.map(format_time);
        let until = expires.as_ref().map_or(String::new(), |at| {
            format!(", certificate valid until {at}")
        });
        let message = format!(
            "{name}: connected with {}, {}{until}.",
            link.version, link.group
        );
        self.log.write(
            Entry::new(level, "connected", message)
                .with("source", name.as_str())
                .with("tls_version", link.version)
                .with("tls_group", link.group.as_str())
                .with("certificate_expires", expires),
        );
    }

    /// Says that the PIN guard's file cannot be written, or can be again.
    pub(super) fn say_guard_file(&mut self, state: Result<(), String>) {
        let folder = self.plan.config.state_dir.display().to_string();
        self.log.write(match state {
            Ok(()) => Entry::info("guard-file", "The PIN guard can write again."),
            Err(why) => {
                let message = format!(
                    "The PIN guard cannot write: {why}. Until it can, no PIN is presented that is \
                     not known to be right. Make {folder} writable for qseed, or set `state_dir`."
                );
                Entry::new(Level::Error, "guard-file", message)
            }
        });
    }

    /// Says that the budgets' file cannot be used, or can be again.
    pub(super) fn say_budget_file(&mut self, state: Result<(), String>) {
        self.log.write(match state {
            Ok(()) => Entry::info("budget-file", "Budgets are counted across restarts again."),
            Err(why) => {
                let message = format!("Budgets are not counted across restarts: {why}.");
                Entry::new(Level::Error, "budget-file", message)
            }
        });
    }

    pub(super) fn say_count_low(&mut self, id: PartitionId, flags: PinFlags) {
        let Some(planned) = self.plan.partitions.get(&id).filter(|_| flags.count_low) else {
            return;
        };
        let name = &planned.config.name;
        let message = format!(
            "{name}: the token says that a wrong PIN was entered since the last login. If it was \
             not you, find out who tries PINs on it."
        );
        let entry = Entry::new(Level::Warn, "pin-count-low", message);
        self.log.write(entry.with("partition", name.as_str()));
    }
}
