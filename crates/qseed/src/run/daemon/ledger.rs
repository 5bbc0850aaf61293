//! The ledger beside the loop.

use qseed_config::{Audit, Level};
use qseed_engine::{Event, Fact};
use qseed_ledger::record::Body;

use super::Daemon;
use crate::assemble::Plan;
use crate::exit::Failure;
use crate::harden::Hardening;
use crate::ledger::{Ledger, News, Report};
use crate::log::Entry;
use crate::run::ledger_desk::LedgerDesk;
use crate::say;

/// Opens the ledger, if the configuration asks for one.
pub(super) fn start_ledger(
    plan: &Plan,
    hardening: &Hardening,
) -> Result<Option<LedgerDesk>, Failure> {
    let Some(audit) = &plan.config.audit else {
        return Ok(None);
    };
    let ledger = Ledger::start(audit, &plan.config.state_dir, hardening.by_name())?;
    Ok(Some(LedgerDesk::new(ledger, plan)))
}

/// Waits for the next report of the ledger, if there is one.
pub(super) async fn next_report(desk: &mut Option<LedgerDesk>) -> Option<Report> {
    match desk {
        Some(desk) => desk.ledger.next().await,
        None => None,
    }
}

impl Daemon {
    pub(super) fn ledger_reports(&mut self, report: Report) {
        let Some(desk) = &mut self.ledger else {
            return;
        };
        let ledger = &mut desk.ledger;
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
            Report::Signed(note) => {
                if let Some(anchors) = &self.anchors {
                    anchors.signed(&note);
                }
            }
            Report::Recorded => {
                let recorded = desk.recorded();
                self.announce(&recorded);
            }
        }
    }

    /// Hands the log what is recorded by now.
    pub(super) fn announce(&mut self, recorded: &[Fact]) {
        let now = self.now();
        for fact in recorded {
            self.reports.take(now, fact, &self.plan);
        }
    }

    /// Has something recorded, if there is a ledger.
    pub(super) fn record(&self, body: Body) {
        if let Some(desk) = &self.ledger {
            desk.ledger.record(body);
        }
    }

    /// After the configuration was read again: rotation, witnesses and anchor command change while
    /// qseed runs. What needs a restart stays as it was.
    pub(super) fn configure_ledger(&mut self, old: Option<Audit>) {
        let new = self.plan.config.audit.clone();
        if let (Some(desk), Some(new)) = (&self.ledger, &new) {
            desk.ledger.configure(new.rotate);
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
            self.plan.config.audit = match (old, new) {
                (Some(old), Some(new)) => Some(Audit {
                    file: old.file,
                    signing_key: old.signing_key,
                    mode: old.mode,
                    ..new
                }),
                (old, _) => old,
            };
        }
        if let (Some(anchors), Some(audit)) = (&mut self.anchors, &self.plan.config.audit) {
            anchors.configure(audit);
        }
        if let Some(desk) = &mut self.ledger {
            desk.configure(&self.plan);
        }
    }
}
