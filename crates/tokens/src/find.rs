//! Which of a module's tokens a partition means.

use crate::directory::{LibraryInfo, SlotReport, TokenFlag, TokenInfo, unreadable};
use crate::failure::{FailureClass, TokenFailure};
use crate::uri::TokenUri;
use crate::wire::TokenChoice;

/// How many slots or tokens an error names.
const NAMED_IN_ERRORS: usize = 20;

/// The one token that is meant, among all slots of a module.
///
/// # Errors
/// What is there instead.
pub fn find<'slots>(
    choice: &TokenChoice,
    library: &LibraryInfo,
    slots: &'slots [SlotReport],
) -> Result<&'slots TokenInfo, TokenFailure> {
    match choice {
        TokenChoice::Slot(id) => match slots.iter().find(|slot| slot.id == *id) {
            Some(slot) => in_slot(slot),
            None => Err(no_slot(*id, slots.iter().map(|slot| slot.id))),
        },
        TokenChoice::Uri(uri) => named(uri, library, slots),
    }
}

/// The token in a slot.
pub(crate) fn in_slot(slot: &SlotReport) -> Result<&TokenInfo, TokenFailure> {
    match &slot.token {
        Ok(Some(token)) => initialised(token),
        Ok(None) => {
            let text = format!("there is no token in slot {}", slot.id);
            Err(TokenFailure::new(FailureClass::TokenMissing, text))
        }
        Err(failure) => Err(TokenFailure {
            text: format!("the token in slot {} cannot be read", slot.id),
            ..failure.clone()
        }),
    }
}

/// There is no such slot, but these.
pub(crate) fn no_slot(id: u64, slots: impl Iterator<Item = u64>) -> TokenFailure {
    let there = enumerate(slots.map(|id| id.to_string()));
    let text = format!("there is no slot {id}; the slots are {there}");
    TokenFailure::new(FailureClass::TokenMissing, text)
}

fn named<'slots>(
    uri: &TokenUri,
    library: &LibraryInfo,
    slots: &'slots [SlotReport],
) -> Result<&'slots TokenInfo, TokenFailure> {
    let matching = || {
        let slots = slots.iter().filter(|slot| uri.matches(library, slot));
        slots.filter_map(SlotReport::token)
    };
    let mut first_two = matching();
    match (first_two.next(), first_two.next()) {
        (Some(token), None) => initialised(token),
        (None, _) => {
            let there = enumerate(slots.iter().filter_map(SlotReport::token).map(describe));
            let unreadable = unreadable(slots).unwrap_or_default();
            let text = format!("no token matches {uri}; the tokens are {there}{unreadable}");
            Err(TokenFailure::new(class_of_missing(slots), text))
        }
        (Some(_), Some(_)) => {
            let all = enumerate(matching().map(describe));
            let text = format!("several tokens match {uri}: {all}");
            Err(TokenFailure::new(FailureClass::AmbiguousUri, text))
        }
    }
}

fn initialised(token: &TokenInfo) -> Result<&TokenInfo, TokenFailure> {
    if token.has(TokenFlag::TokenInitialized) {
        return Ok(token);
    }
    let text = format!("the token in slot {} is not initialised", token.slot_id);
    Err(TokenFailure::new(FailureClass::NotInitialised, text))
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

fn describe(token: &TokenInfo) -> String {
    if !token.has(TokenFlag::TokenInitialized) {
        return format!("one in slot {} that is not initialised", token.slot_id);
    }
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
