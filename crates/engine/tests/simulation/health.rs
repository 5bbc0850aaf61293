//! What can be counted on: the judges hear of everything that they must judge by.

use qseed_engine::{
    CallEvent, Combine, Event, ModuleId, Moment, PartitionId, WorkerId, WorkerRole,
};
use qseed_model::pins::PinTag;

use crate::Checked;
use crate::scenario::{MINUTE, SECOND};
use crate::tokens::{tags_of, token_of};
use crate::world::World;

impl World {
    /// Since when entropy has been there without a gap.
    pub(crate) fn look_at_sources(&mut self) -> Checked {
        self.cadence.check_all(self.now)?;
        let (now, before) = (self.now, self.cadence.entropy);
        let healthy: Vec<Option<Moment>> = self
            .services
            .values()
            .map(|service| service.healthy_since)
            .collect();
        self.cadence.entropy = match self.settings.combine {
            Combine::Xor => healthy
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().max()),
            Combine::Failover => {
                let first = healthy.into_iter().flatten().min();
                // Another one takes over without a gap if it has been healthy for long enough.
                let covers = first.is_some_and(|first| first + MINUTE + SECOND <= now);
                let known = before.filter(|_| covers);
                first.map(|first| known.unwrap_or(first.max(now)))
            }
        };
        Ok(())
    }

    pub(crate) fn look_at_all_tokens(&mut self) -> Checked {
        (0..self.tokens.len()).try_for_each(|token| self.look_at_token(token))
    }

    /// Looks at the tokens of a PIN's device.
    pub(crate) fn look_at_device(&mut self, tag: PinTag) -> Checked {
        let token = token_of(tag);
        for mate in [token & !1, token | 1] {
            if mate < self.tokens.len() {
                self.look_at_token(mate)?;
            }
        }
        Ok(())
    }

    /// Whether a token can be counted on: no trouble, the right PIN, and no reason to hold it back.
    pub(crate) fn look_at_token(&mut self, token: usize) -> Checked {
        let state = &self.tokens[token];
        let login_works = self
            .reaches
            .iter()
            .filter(|(_, reach)| reach.token == token && reach.login)
            .all(|(id, reach)| {
                let tags = tags_of(token, reach.pin);
                let held = self.pins.may_be_held(&name_of(*id), &tags);
                self.disk_works && reach.pin == state.pin && !held
            });
        let healthy = state.trouble.is_none() && login_works;
        let known = self.cadence.tokens[token];
        if known.is_some() && !healthy {
            self.cadence.check_token(token, self.now)?;
        }
        self.cadence.tokens[token] = healthy.then(|| match known {
            Some(since) => since.max(state.healthy_from),
            None => state.healthy_from.max(self.now),
        });
        Ok(())
    }

    /// A worker goes down: its partitions have lost their sessions, and get others when it is gone,
    /// which is at `gone`.
    pub(crate) fn disturb_members(&mut self, worker: WorkerId, gone: Moment) -> Checked {
        let Some(process) = self.processes.get(&worker) else {
            return Ok(());
        };
        for id in self.members(process.module, process.role) {
            self.cadence.check(id, self.now)?;
            self.cadence.disturb(id, gone);
        }
        Ok(())
    }

    /// The partitions that a worker serves.
    pub(crate) fn members(&self, module: ModuleId, role: WorkerRole) -> Vec<PartitionId> {
        let of_module = self.settings.partitions.iter();
        let ids = of_module.filter(|p| p.module == module).map(|p| p.id);
        let common = WorkerRole::Common;
        ids.filter(|id| *self.roles.get(id).unwrap_or(&common) == role)
            .collect()
    }

    /// Another worker serves a partition, so that it has lost its session.
    pub(crate) fn moved(&mut self, id: PartitionId, to: WorkerRole) -> Checked {
        self.roles.insert(id, to);
        self.cadence.check(id, self.now)?;
        self.cadence.disturb(id, self.now);
        Ok(())
    }

    /// The engine hears how a PIN fared, or that a worker is gone: the judges hear it, too.
    pub(crate) fn judge_event(&mut self, event: &Event) -> Checked {
        match event {
            Event::Call {
                worker,
                partition,
                event: CallEvent::PinAnswered { answer, .. },
            } => {
                if let Some(tag) = self.pins.presented_by(*worker, *partition) {
                    self.pins.answered(tag, *answer);
                    self.look_at_device(tag)?;
                }
                Ok(())
            }
            Event::WorkerExited { worker, .. } => {
                self.disturb_members(*worker, self.now)?;
                self.gone.insert(*worker);
                self.pins.worker_died(*worker);
                self.processes.remove(worker);
                self.look_at_all_tokens()
            }
            Event::Call {
                partition,
                event: CallEvent::Seeded { result: Ok(()), .. },
                ..
            } => {
                self.summary.seeds += 1;
                self.cadence.seeded(*partition, self.now)
            }
            Event::Call {
                event: CallEvent::Seeded { result: Err(_), .. },
                ..
            } => {
                self.summary.failed_seeds += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The name by which the guard's file knows a partition.
pub(crate) fn name_of(id: PartitionId) -> String {
    format!("partition{}", id.0)
}
