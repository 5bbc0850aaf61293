//! Finding tokens: one fresh listing serves all who ask within a second.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::slot::Slot;
use qseed_model::TokenChoice;

use super::module::Module;
use super::pulse::Pulse;
use crate::directory::{SlotReport, TokenInfo};
use crate::failure::{FailureClass, TokenFailure};
use crate::find;

/// How old a listing may be: opening a thousand partitions at once must not read each token a
/// thousand times.
const FRESH: Duration = Duration::from_secs(1);

/// Lists slots, one thread at a time.
#[derive(Default)]
pub(super) struct Finder {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    listing: Option<(Instant, Arc<[SlotReport]>)>,
    being_made: bool,
}

impl Finder {
    /// The slot of the one token that is meant.
    pub(super) fn find(
        &self,
        module: &Module,
        choice: &TokenChoice,
        pulse: &Pulse<'_>,
    ) -> Result<(Slot, TokenInfo), TokenFailure> {
        let token = match choice {
            TokenChoice::Slot(id) => in_slot(module, *id, pulse)?,
            TokenChoice::Uri(_) => {
                let listing = self.listing(module, pulse)?;
                find::find(choice, module.library(), &listing)?.clone()
            }
        };
        Ok((slot(token.slot_id)?, token))
    }

    /// All slots, at most a second old.
    fn listing(
        &self,
        module: &Module,
        pulse: &Pulse<'_>,
    ) -> Result<Arc<[SlotReport]>, TokenFailure> {
        let mut state = self.lock();
        loop {
            match &state.listing {
                Some((made, listing)) if made.elapsed() < FRESH => return Ok(Arc::clone(listing)),
                _ if !state.being_made => break,
                _ => {}
            }
            // Another thread's calls are what this operation waits for.
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            pulse.beat();
        }
        state.being_made = true;
        drop(state);
        let listing: Result<Arc<[SlotReport]>, _> = list(module, || {
            pulse.beat();
            self.moved.notify_all();
        })
        .collect();
        let mut state = self.lock();
        state.being_made = false;
        state.listing = listing
            .as_ref()
            .ok()
            .map(|listing| (Instant::now(), Arc::clone(listing)));
        self.moved.notify_all();
        listing
    }

    /// Drops the listing: slots turned out to have changed since.
    pub(super) fn forget(&self) {
        self.lock().listing = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

fn slot(id: u64) -> Result<Slot, TokenFailure> {
    let too_large = || format!("slot id {id} is too large for this machine");
    Slot::try_from(id).map_err(|_| TokenFailure::new(FailureClass::TokenMissing, too_large()))
}

fn in_slot(module: &Module, id: u64, pulse: &Pulse<'_>) -> Result<TokenInfo, TokenFailure> {
    let slots = module.slots()?;
    if !slots.iter().any(|slot| slot.id() == id) {
        return Err(find::no_slot(id, slots.iter().map(Slot::id)));
    }
    pulse.beat();
    let report = module.slot_report(slot(id)?, || pulse.beat())?;
    find::in_slot(&report).cloned()
}
