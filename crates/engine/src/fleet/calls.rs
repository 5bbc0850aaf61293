//! What a worker says is checked against what it was asked: the module in it may be hostile.

use super::Fleet;
use super::worker::{Call, Ending, Worker, WorkerState};
use crate::context::Context;
use crate::event::{CallEvent, Event};
use crate::ids::{PartitionId, WorkerId};

/// PINs that one call may ask about: a seed that lost its session and then its login asks twice.
const PINS_OF_A_CALL: u8 = 3;

/// What an event from a worker is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It answers a call, or is nothing that could do harm.
    Asked,
    /// Its worker is ending, so the answer may have been overtaken.
    Late,
    /// This worker was not asked for it.
    Unasked(WorkerId),
}

impl Fleet {
    pub(crate) fn heard(&self, event: &Event) -> Heard {
        let Event::Call {
            worker,
            partition,
            event,
        } = event
        else {
            return Heard::Asked;
        };
        let fits = |call: &Call| match event {
            CallEvent::Opened(_) => call.opens(),
            CallEvent::Seeded { job, .. } => call.job == Some(*job),
            CallEvent::PinAsked { .. } => call.pins_asked < PINS_OF_A_CALL,
            _ => true,
        };
        let harmless = matches!(
            event,
            CallEvent::Progress | CallEvent::Waits | CallEvent::PinAnswered { .. }
        );
        match self.process(*worker) {
            _ if harmless => Heard::Asked,
            Some(process) if process.calls.get(partition).is_some_and(fits) => Heard::Asked,
            Some(process) if process.is_up() => Heard::Unasked(*worker),
            _ => Heard::Late,
        }
    }

    fn process(&self, process: WorkerId) -> Option<&Worker> {
        self.workers
            .values()
            .find(|worker| worker.process == process)
    }

    /// Whether a call of a worker waits for a verdict about a PIN. A worker that was killed hears
    /// none.
    pub(crate) fn hears_verdicts(&self, process: WorkerId, id: PartitionId) -> bool {
        let asked = Ending::Asked;
        self.process(process).is_some_and(|worker| {
            let hears = match worker.state {
                WorkerState::Up { .. } => true,
                WorkerState::Ending { step, .. } => step == asked,
                WorkerState::Down | WorkerState::Starting { .. } => false,
            };
            hears && worker.calls.contains_key(&id)
        })
    }

    /// A call asks about a PIN: it waits for the verdict.
    pub(crate) fn pin_asked(&mut self, context: &mut Context, process: WorkerId, id: PartitionId) {
        if let Some(call) = self.call(process, id) {
            call.pins_asked += 1;
        }
        self.call_waits(context, process, id);
    }

    /// Restarts the deadline of a call.
    pub(crate) fn call_runs(&mut self, context: &mut Context, process: WorkerId, id: PartitionId) {
        if let Some(call) = self.call(process, id) {
            call.ran = call.ran(context.now);
            call.runs_since = Some(context.now);
        }
        self.reset_timer(context, process);
    }

    /// Suspends the deadline of a call that waits for something else than the module.
    pub(crate) fn call_waits(&mut self, context: &mut Context, process: WorkerId, id: PartitionId) {
        if let Some(call) = self.call(process, id) {
            call.ran = call.ran(context.now);
            call.runs_since = None;
        }
        self.reset_timer(context, process);
    }

    fn call(&mut self, process: WorkerId, id: PartitionId) -> Option<&mut Call> {
        let key = self.current(process)?;
        self.worker(key).calls.get_mut(&id)
    }

    fn reset_timer(&mut self, context: &mut Context, process: WorkerId) {
        if let Some(key) = self.current(process) {
            self.set_worker_timer(context, key);
        }
    }
}
