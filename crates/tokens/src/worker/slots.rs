//! Reading the module's slots. One listing serves all partitions that ask within a second.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::slot::Slot;
use qseed_model::TokenChoice;

use super::locked;
use super::module::Module;
use super::operation::Operation;
use crate::directory::{SlotReport, TokenInfo};
use crate::failure::TokenFailure;
use crate::find;

/// How old a listing may be: opening a thousand partitions at once must not read each token a
/// thousand times.
const FRESH: Duration = Duration::from_secs(1);

/// The last listing; one thread at a time makes a new one.
#[derive(Default)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    listing: Option<(Instant, Arc<[SlotReport]>)>,
    being_made: bool,
}

impl Slots {
    /// The slot of the one token that is meant.
    pub(super) fn find(
        &self,
        op: &Operation<'_>,
        choice: &TokenChoice,
    ) -> Result<(Slot, TokenInfo), TokenFailure> {
        match choice {
            TokenChoice::Slot(id) => in_slot(op, *id),
            TokenChoice::Uri(_) => {
                let listing = self.listing(op)?;
                let token = find::find(choice, op.worker.module.library(), &listing)?;
                let slot = Slot::try_from(token.slot_id).expect("the module listed this slot");
                Ok((slot, token.clone()))
            }
        }
    }

    /// All slots, at most a second old.
    fn listing(&self, op: &Operation<'_>) -> Result<Arc<[SlotReport]>, TokenFailure> {
        let mut state = locked(&self.state);
        loop {
            match &state.listing {
                Some((made, listing)) if made.elapsed() < FRESH => return Ok(Arc::clone(listing)),
                _ if !state.being_made => break,
                _ => {}
            }
            // Another thread's calls are what this operation waits for.
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            op.call_begins();
        }
        state.being_made = true;
        drop(state);
        let listing: Result<Arc<[SlotReport]>, _> = list(op.module(), || {
            op.call_begins();
            self.changed.notify_all();
        })
        .collect();
        let mut state = locked(&self.state);
        state.being_made = false;
        let made = listing.as_ref().ok();
        state.listing = made.map(|listing| (Instant::now(), Arc::clone(listing)));
        self.changed.notify_all();
        listing
    }

    /// Drops the listing: slots have changed since.
    pub(super) fn forget(&self) {
        locked(&self.state).listing = None;
    }
}

/// Reads slot after slot. `before_call` runs before each further call of the module.
pub(super) fn list(
    module: &Module,
    before_call: impl Fn(),
) -> impl Iterator<Item = Result<SlotReport, TokenFailure>> {
    let (slots, failure) = match module.slots() {
        Ok(slots) => (slots, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let reports = slots.into_iter().map(move |slot| {
        before_call();
        module.slot_report(slot, &before_call)
    });
    failure.map(Err).into_iter().chain(reports)
}

fn in_slot(op: &Operation<'_>, id: u64) -> Result<(Slot, TokenInfo), TokenFailure> {
    let slots = op.module().slots()?;
    let Some(slot) = slots.iter().find(|slot| slot.id() == id) else {
        return Err(find::no_slot(id, slots.iter().map(Slot::id)));
    };
    let report = op.module().slot_report(*slot, || op.call_begins())?;
    Ok((*slot, find::in_slot(&report)?.clone()))
}
