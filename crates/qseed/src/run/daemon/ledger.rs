//! The ledger beside the loop.

use std::collections::BTreeMap;

use qseed_config::{Audit, Level};
use qseed_engine::Event;

use super::Daemon;
use crate::assemble::Plan;
use crate::exit::Failure;
use crate::ledger::{Ledger, News, Report};
use crate::log::Entry;
use crate::say;

/// Opens the ledger, if the configuration asks for one.
pub(super) fn start_ledger(plan: &Plan) -> Result<Option<Ledger>, Failure> {
    let audit = plan.config.audit.as_ref();
    let started = audit.map(|audit| Ledger::start(audit, &plan.config.state_dir, BTreeMap::new()));
    started.transpose()
}

/// Waits for the next report of the ledger, if there is one.
pub(super) async fn next_report(ledger: &mut Option<Ledger>) -> Option<Report> {
    match ledger {
        Some(ledger) => ledger.next().await,
        None => None,
    }
}

impl Daemon {
    pub(super) fn ledger_reports(&mut self, report: Report) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        match report {
            Report::Opened(opened) => {
                if let Some(entry) = say::ledger::opened(&opened, &ledger.file) {
                    self.reports.write(entry);
                }
            }
            Report::Failed(why) => ledger.fail(why),
            Report::Works => ledger.work(),
            Report::News(news) => {
                let entry = say::ledger::news(&news, &ledger.file, ledger.mode);
                self.reports.write(entry);
                let writable = match news {
                    News::Fails { .. } => false,
                    News::Works { .. } => true,
                    News::StillFails { .. } => return,
                };
                self.handle(Event::LedgerWritable(writable));
            }
            Report::Intents { intents, recorded } => {
                self.handle(Event::IntentsRecorded { intents, recorded });
            }
            Report::Recorded => {}
        }
    }

    /// After the configuration was read again: only the rotation changes while qseed runs. What
    /// needs a restart stays as it was.
    pub(super) fn configure_ledger(&mut self, old: Option<Audit>) {
        let new = self.plan.config.audit.clone();
        if let (Some(ledger), Some(new)) = (&self.ledger, &new) {
            ledger.configure(new.rotate);
        }
        let fixed = |audit: &Option<Audit>| {
            let audit = audit.as_ref()?;
            Some((audit.file.clone(), audit.signing_key.clone(), audit.mode))
        };
        if fixed(&old) != fixed(&new) {
            let message = "A new `file`, `signing_key` or `mode` of `audit` takes effect at the next \
                           start, as does `audit` itself.";
            self.reports
                .write(Entry::new(Level::Warn, "configuration", message));
            let rotate = new.map(|new| new.rotate);
            self.plan.config.audit = old.map(|old| Audit {
                rotate: rotate.unwrap_or(old.rotate),
                ..old
            });
        }
    }
}
