//! What sources say, turned into events for the engine, and what they are asked for, counted.

use std::time::Duration;

use jiff::Timestamp;
use qseed_config::{NamedSecret, Partition};
use qseed_engine::{Event, FetchFault, SourceId};
use qseed_http::Traffic;
use tokio::sync::oneshot;

use super::Daemon;
use crate::assemble::{Plan, PlannedSource};
use crate::run::secret_files::Owner;
use crate::run::sources::{Adapter, SourceEvent, SourceReport};
use crate::run::usage::{Question, Time, Usage};
use crate::say::shell;

impl Daemon {
    pub(super) fn source_event(&mut self, event: SourceEvent) {
        let SourceEvent {
            source,
            revision,
            what,
        } = event;
        if !self.sources.runs(source, revision) {
            return;
        }
        match what {
            SourceReport::Fetched {
                request,
                fetched,
                traffic: Traffic { sent, link },
            } => {
                self.secret_was_read(Owner::Source(source));
                if let Some(desk) = &mut self.ledger {
                    desk.answered(source, link.as_deref());
                }
                self.reports.link(source, link, &self.plan);
                let downloaded = match &fetched {
                    Ok(entropy) => Some(entropy.len() as u64),
                    // What was no entropy was downloaded all the same.
                    Err(failure) => match failure.kind {
                        FetchFault::Invalid(_) => None,
                        _ => Some(0),
                    },
                };
                self.count_answer(source, downloaded, sent);
                self.handle(match fetched {
                    Ok(entropy) => Event::Fetched {
                        source,
                        request,
                        entropy,
                        sent,
                    },
                    Err(failure) => Event::FetchFailed {
                        source,
                        request,
                        failure,
                    },
                });
            }
            SourceReport::OlderApi => {
                if let Some(planned) = self.plan.sources.get(&source) {
                    self.reports.write(shell::older_api(&planned.config.name));
                }
            }
            SourceReport::Limits(limits) => {
                self.handle(Event::LimitsLearnt { source, limits });
            }
        }
    }

    /// Counts a request before it leaves. If its source has a budget, the request waits for the
    /// receiver, which says whether the budget allows it.
    pub(super) fn count_request(
        &mut self,
        id: SourceId,
        bytes: usize,
        spare_attempt: bool,
    ) -> Option<oneshot::Receiver<bool>> {
        let source = &self.plan.sources.get(&id)?.config;
        if source.budget.is_none() && source.rate_limit.is_none() {
            return None;
        }
        let allowed = self.usage.ask(&Question {
            source: &source.name,
            budget: source.budget,
            rate_limit: source.rate_limit,
            now: Time::now(),
            bytes: bytes as u64,
            requests: 1 + u32::from(spare_attempt),
        });
        self.state_files.write_usage();
        allowed
    }

    /// Counts what became of a request, before anything else does; `None`: it brought what it was
    /// to bring.
    fn count_answer(&mut self, id: SourceId, bytes: Option<u64>, sent: u32) {
        let Some(planned) = self.plan.sources.get(&id) else {
            return;
        };
        let now = Time::now();
        self.usage.answered(&planned.config.name, now, bytes, sent);
        self.tell_budget(id);
    }

    /// Starts the tasks of new sources and ends those of sources that are gone.
    pub(super) fn start_sources(&mut self, adapters: Vec<Adapter>) {
        for adapter in &adapters {
            self.reports.forget_link(adapter.id);
            if let Some(planned) = self.plan.sources.get(&adapter.id) {
                self.usage.give_up(&planned.config.name);
            }
        }
        self.sources.start(&self.plan, adapters);
    }

    /// Tells the engine what each source has delivered in its present month.
    pub(super) fn tell_budgets(&mut self) {
        let sources: Vec<_> = self.plan.sources.keys().copied().collect();
        for source in sources {
            self.tell_budget(source);
        }
    }

    pub(super) fn tell_budget(&mut self, source: SourceId) {
        let Some(planned) = self.plan.sources.get(&source) else {
            return;
        };
        let budget = planned.config.budget;
        let spent = budget.map_or(0, |budget| {
            let name = &planned.config.name;
            self.usage.spent(name, budget.resets_on, Timestamp::now())
        });
        self.handle(Event::Budget {
            source,
            spent,
            limit: budget.map(|budget| budget.bytes),
        });
    }

    /// Has a secret that was just read examined: can other users use it?
    pub(super) fn secret_was_read(&self, owner: Owner) {
        let plan = &self.plan;
        let secrets: Vec<NamedSecret<'_>> = match owner {
            Owner::Source(id) => {
                let source = plan.sources.get(&id);
                source.map_or_else(Vec::new, |it| it.config.secrets().collect())
            }
            Owner::Partition(id) => {
                let partition = plan.partitions.get(&id);
                partition.and_then(Partition::secret).into_iter().collect()
            }
        };
        for secret in secrets {
            self.secret_files.was_read(secret);
        }
    }
}

/// The time since each request that earlier processes sent.
pub(super) fn requests_before(plan: &Plan, usage: &Usage) -> Vec<(SourceId, Vec<Duration>)> {
    let now = Time::now();
    let of =
        |(id, source): (&SourceId, &PlannedSource)| (*id, usage.requests(&source.config.name, now));
    plan.sources.iter().map(of).collect()
}
