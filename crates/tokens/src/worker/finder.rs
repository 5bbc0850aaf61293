//! Finding tokens: one fresh listing serves all who ask within a second.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::slot::Slot;

use super::module::Module;
use super::pulse::Pulse;
use crate::directory::{SlotReport, SlotToken, TokenFlag, TokenInfo, unreadable};
use crate::failure::{FailureClass, TokenFailure};
use crate::uri::TokenUri;
use crate::wire::TokenChoice;

/// How old a listing may be: opening a thousand partitions at once must not read each token a
/// thousand times.
const FRESH: Duration = Duration::from_secs(1);

/// How many slots or tokens an error names.
const NAMED_IN_ERRORS: usize = 20;

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
            TokenChoice::Uri(uri) => named(module, uri, &self.listing(module, pulse)?)?,
        };
        if !token.flags.contains(TokenFlag::TokenInitialized) {
            let text = format!("the token in slot {} is not initialised", token.slot_id);
            return Err(TokenFailure::new(FailureClass::TokenMissing, text));
        }
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
    let missing = |text: String| TokenFailure::new(FailureClass::TokenMissing, text);
    if !slots.iter().any(|slot| slot.id() == id) {
        let there = enumerate(slots.iter().map(|slot| slot.id().to_string()));
        return Err(missing(format!(
            "there is no slot {id}; the slots are {there}"
        )));
    }
    pulse.beat();
    match module.slot_report(slot(id)?, || pulse.beat())?.token {
        SlotToken::Present(token) => Ok(token),
        SlotToken::Absent => Err(missing(format!("there is no token in slot {id}"))),
        SlotToken::Unreadable(failure) => Err(failure),
    }
}

fn named(module: &Module, uri: &TokenUri, slots: &[SlotReport]) -> Result<TokenInfo, TokenFailure> {
    let mut matching = slots
        .iter()
        .filter(|slot| uri.matches(module.library(), slot));
    let tokens = || slots.iter().filter_map(SlotReport::token);
    match (matching.next().and_then(SlotReport::token), matching.next()) {
        (Some(token), None) => Ok(token.clone()),
        (None, _) => {
            let there = enumerate(tokens().map(describe));
            let unreadable = unreadable(slots).unwrap_or_default();
            let text = format!("no token matches {uri}; the tokens are {there}{unreadable}");
            Err(TokenFailure::new(class_of_missing(slots), text))
        }
        (Some(_), Some(_)) => {
            let all = slots
                .iter()
                .filter(|slot| uri.matches(module.library(), slot));
            let all = enumerate(all.filter_map(SlotReport::token).map(describe));
            let text = format!("several tokens match {uri}: {all}; add serial= to the URI");
            Err(TokenFailure::new(FailureClass::AmbiguousUri, text))
        }
    }
}

/// `SoftHSM`'s list holds on to a token that was deleted, and never gets the one that was made in
/// its place: where a token cannot be read in this process, another one is to look.
fn class_of_missing(slots: &[SlotReport]) -> FailureClass {
    let mut unreadable = slots.iter().filter_map(SlotReport::unreadable);
    if unreadable.any(|failure| failure.class == FailureClass::General) {
        FailureClass::General
    } else {
        FailureClass::TokenMissing
    }
}

/// A token as an error names it.
fn describe(token: &TokenInfo) -> String {
    format!(
        "{:?} (serial {}, slot {})",
        token.label, token.serial, token.slot_id
    )
}

fn enumerate(mut all: impl Iterator<Item = String>) -> String {
    let named: Vec<_> = all.by_ref().take(NAMED_IN_ERRORS).collect();
    match (named.is_empty(), all.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}
