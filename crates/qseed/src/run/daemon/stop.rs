//! The end: what is in flight is finished or abandoned, sessions are closed, everything is written.

use std::time::Duration;

use qseed_engine::{Event, WorkerId};
use qseed_tokens::supervisor::WorkerEvent;
use qseed_tokens::wire::FromWorker;
use tokio::time::Instant;

use super::Daemon;
use crate::log::Entry;
use crate::run::Incoming;
use crate::run::manager::notify;

/// How long workers have to finish, log out, close and finalise. With the killing after it this
/// stays below the 5 s that the daemon has in all.
const WORKERS_FINISH_WITHIN: Duration = Duration::from_secs(3);
const KILLED_WITHIN: Duration = Duration::from_millis(500);

impl Daemon {
    pub(super) async fn stop(mut self) {
        self.handle(Event::Stopping);
        self.hand_out_facts();
        self.stopping = true;
        notify(&[sd_notify::NotifyState::Stopping]);
        self.sources.stop();
        if let Some(anchors) = &mut self.anchors {
            anchors.stop();
        }
        self.workers.shut_down_all();
        self.wait_for_workers(Instant::now() + WORKERS_FINISH_WITHIN)
            .await;
        self.workers.kill_all();
        self.wait_for_workers(Instant::now() + KILLED_WITHIN).await;
        self.state_files.finish();
        self.handle(Event::Stopped);
        self.carry_out();
        let now = self.now();
        if let Some(desk) = &mut self.ledger {
            let because = if self.once {
                "every partition was tried once"
            } else {
                "it was asked to"
            };
            let (recorded, unrecorded) = desk.finish(now, because);
            self.announce(&recorded);
            if let Some(entry) = unrecorded {
                self.reports.write(entry);
            }
        }
        self.reports.finish(now, &self.plan);
        self.reports.write(Entry::info("stopped", "qseed stops."));
    }

    /// Listens until every worker has ended: how a PIN or a seed fared must be written down even now.
    async fn wait_for_workers(&mut self, until: Instant) {
        while !self.workers.all_ended() {
            let event = tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                event = self.workers.next() => event,
                event = self.to_handle.recv() => {
                    if let Some(Incoming::Engine(event @ Event::PinJudged { .. })) = event {
                        self.handle(event);
                        self.carry_out();
                    }
                    continue;
                }
            };
            match event {
                Some((life, WorkerEvent::Exited(_))) => {
                    self.workers.ended(WorkerId(life.into()));
                }
                Some((life, WorkerEvent::Message(message)))
                    if matches!(
                        message,
                        FromWorker::PinOutcome { .. }
                            | FromWorker::Seeded { .. }
                            | FromWorker::SeedFailed { .. }
                    ) =>
                {
                    self.worker_event((life, WorkerEvent::Message(message)));
                    self.carry_out();
                }
                // A module's last words.
                Some((
                    life,
                    words @ (WorkerEvent::Output { .. } | WorkerEvent::OutputWithheld { .. }),
                )) => self.worker_event((life, words)),
                Some(_) => {}
                None => return,
            }
        }
    }
}
