//! Worker processes and the tokens behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use qseed_engine::{Event, JobId, ModuleId, Moment, PartitionId, WorkerId, WorkerRole};
use qseed_model::pins::PinTag;

use crate::Checked;
use crate::faults::ModuleTrouble;
use crate::scenario::{HOUR, SECOND};
use crate::world::{Happening, World};

/// What a worker is doing for a partition.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Tells it from what was done before.
    pub(crate) serial: u64,
    /// The injection; none: it opens a session.
    pub(crate) job: Option<JobId>,
    /// The PIN that it wishes to present, or presents.
    pub(crate) tag: Option<PinTag>,
    /// It never comes back.
    pub(crate) hangs: bool,
}

/// How far a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Loads,
    TakesCalls,
    /// It was asked to end, and answers the calls in flight.
    Ends,
    /// It was killed: nothing that it does is seen any more.
    Killed,
    Gone,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) module: ModuleId,
    pub(crate) role: WorkerRole,
    pub(crate) stage: Stage,
    pub(crate) operations: BTreeMap<PartitionId, Operation>,
    /// Open sessions, with the generation of the token at that time.
    pub(crate) sessions: BTreeMap<PartitionId, u32>,
    pub(crate) logged_in: BTreeSet<usize>,
    /// What it says arrives in order, a moment later.
    last_said: Moment,
}

impl Process {
    pub(crate) fn new(module: ModuleId, role: WorkerRole, now: Moment) -> Self {
        Self {
            module,
            role,
            stage: Stage::Loads,
            operations: BTreeMap::new(),
            sessions: BTreeMap::new(),
            logged_in: BTreeSet::new(),
            last_said: now,
        }
    }

    /// Whether what it does is seen.
    pub(crate) fn acts(&self) -> bool {
        self.stage <= Stage::Ends
    }
}

impl World {
    /// What a process says reaches the engine a moment later, and in order.
    pub(crate) fn says(&mut self, worker: WorkerId, event: Event) {
        let delay = self
            .dice
            .duration(Duration::ZERO, Duration::from_micros(300));
        let Some(process) = self.processes.get_mut(&worker) else {
            return;
        };
        let at = (self.now + delay).max(process.last_said);
        process.last_said = at;
        self.after(at.since(self.now), Happening::Tells(event));
    }

    pub(crate) fn starts(&mut self, worker: WorkerId, module: ModuleId) -> Checked {
        self.summary.workers += 1;
        let role = self
            .engine
            .workers()
            .find(|view| view.worker == worker)
            .ok_or("a worker starts that the engine does not know")?
            .role;
        let runs_already = self
            .processes
            .values()
            .any(|p| p.stage != Stage::Gone && p.module == module && p.role == role);
        if runs_already {
            return Err(format!(
                "a second worker beside one that has not ended: {role:?}"
            ));
        }
        let process = Process::new(module, role, self.now);
        self.processes.insert(worker, process);
        let takes = match self.module_troubles.get(&module) {
            Some(ModuleTrouble::LoadHangs) => return Ok(()),
            Some(ModuleTrouble::StartsSlowly) => Duration::from_secs(4),
            _ => self.dice.duration(Duration::from_millis(20), SECOND),
        };
        self.after(takes, Happening::Loads(worker));
        Ok(())
    }

    pub(crate) fn loads(&mut self, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker).filter(|p| p.acts()) else {
            return;
        };
        match self.module_troubles.get(&process.module) {
            Some(ModuleTrouble::LoadFails) => {
                let text = "it cannot be loaded".to_owned();
                self.says(worker, Event::WorkerFailed { worker, text });
                self.dies(worker);
            }
            trouble => {
                process.stage = process.stage.max(Stage::TakesCalls);
                if trouble == Some(&ModuleTrouble::Crashes) {
                    let lives = self.dice.magnitude(Duration::from_millis(10), 20 * SECOND);
                    self.after(lives, Happening::Dies(worker));
                }
                self.says(worker, Event::WorkerReady(worker));
            }
        }
    }

    /// The process is gone; the engine hears of it.
    pub(crate) fn dies(&mut self, worker: WorkerId) {
        let Some(process) = self
            .processes
            .get_mut(&worker)
            .filter(|process| process.stage != Stage::Gone)
        else {
            return;
        };
        process.stage = Stage::Gone;
        process.operations.clear();
        let text = "it is gone".to_owned();
        self.says(worker, Event::WorkerExited { worker, text });
    }

    /// Begins an operation; one a partition at a time, and no more than the module's concurrency.
    pub(crate) fn operate(
        &mut self,
        worker: WorkerId,
        id: PartitionId,
        job: Option<JobId>,
    ) -> Result<Option<u64>, String> {
        if self.gone.contains(&worker) {
            return Err(format!("{worker:?} is gone, and the engine knows"));
        }
        let serial = self.dice.next();
        let Some(process) = self.processes.get_mut(&worker) else {
            return Err(format!("{worker:?} was never started"));
        };
        if !process.acts() {
            return Ok(None);
        }
        if process.stage != Stage::TakesCalls {
            return Err(format!("{worker:?} is not up: {process:?}"));
        }
        let operation = Operation {
            serial,
            job,
            tag: None,
            hangs: false,
        };
        if let Some(other) = process.operations.insert(id, operation) {
            return Err(format!("two operations on {id:?} at a time: {other:?}"));
        }
        let module = self
            .settings
            .modules
            .iter()
            .find(|m| m.id == process.module);
        let concurrency = module.map_or(u16::MAX, |module| module.concurrency);
        if process.operations.len() > usize::from(concurrency) {
            return Err(format!(
                "more than {concurrency} calls in flight at {worker:?}"
            ));
        }
        Ok(Some(serial))
    }

    /// A token takes a worker down: one that does so again and again must be in quarantine.
    pub(crate) fn took_down(&mut self, worker: WorkerId, token: usize) -> Checked {
        let Some(process) = self.processes.get(&worker) else {
            return Ok(());
        };
        if process.role == WorkerRole::Quarantine {
            return Ok(());
        }
        let members = self.members(process.module, process.role);
        let reaches = self.reaches.values();
        let partitions = reaches.filter(|reach| reach.token == token).count();
        let well = members
            .iter()
            .map(|id| self.reaches[id].token)
            .filter(|other| *other != token)
            .filter(|other| self.cadence.tokens[*other].is_some_and(|since| since <= self.now))
            .count();
        // Where it harms nobody, it goes on.
        if well == 0 {
            return Ok(());
        }
        let now = self.now;
        let took_down = &mut self.tokens[token].took_down;
        took_down.push_back(now);
        while took_down.front().is_some_and(|at| now.since(*at) > HOUR) {
            took_down.pop_front();
        }
        if took_down.len() > 6 * partitions {
            return Err(format!(
                "P5: token {token} took a worker down {} times within an hour",
                took_down.len()
            ));
        }
        Ok(())
    }
}
