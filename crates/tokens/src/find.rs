//! Which of a module's tokens a partition means.

use std::fmt;

use qseed_model::TokenChoice;
use qseed_model::uri::TokenUri;

use crate::directory::{LibraryInfo, SlotReport, TokenFlag, TokenInfo, unreadable};
use crate::failure::{FailureClass, TokenFailure};

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

/// The failure that names the slots there are.
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
        let slots = slots.iter().filter(|slot| matches(uri, library, slot));
        slots.filter_map(SlotReport::token)
    };
    let mut first_two = matching();
    match (first_two.next(), first_two.next()) {
        (Some(token), None) => initialised(token),
        (None, _) => {
            let near_miss = |slot| near_miss(uri, library, slot);
            let near: Vec<_> = slots.iter().filter_map(near_miss).collect();
            let instead = if near.is_empty() {
                let there = slots.iter().filter_map(SlotReport::token).map(describe);
                format!("the tokens are {}", enumerate(there))
            } else {
                enumerate(near.into_iter())
            };
            let unreadable = unreadable(slots).unwrap_or_default();
            let text = format!("no token matches {uri}; {instead}{unreadable}");
            Err(TokenFailure::new(class_of_missing(slots), text))
        }
        (Some(_), Some(_)) => {
            let all = enumerate(matching().map(describe));
            let text = format!("several tokens match {uri}: {all}");
            Err(TokenFailure::new(FailureClass::AmbiguousUri, text))
        }
    }
}

/// Whether a token in a slot of a module is one that the URI names (RFC 7512 section 2.5).
#[must_use]
pub fn matches(uri: &TokenUri, library: &LibraryInfo, slot: &SlotReport) -> bool {
    let token = slot.token();
    token.is_some_and(|token| mismatches(uri, library, slot, token).next().is_none())
}

/// The attributes that the URI gives otherwise than they are, and what they are.
fn mismatches<'a>(
    uri: &TokenUri,
    library: &'a LibraryInfo,
    slot: &'a SlotReport,
    token: &'a TokenInfo,
) -> impl Iterator<Item = (&'static str, &'a dyn fmt::Display)> {
    let text = |name, wanted: &Option<String>, is: &'a String| {
        let wanted = wanted.as_ref();
        // Padding is not part of a field.
        let differs = wanted.is_some_and(|wanted| wanted.trim_matches(' ') != is);
        differs.then_some((name, is as &dyn fmt::Display))
    };
    let version = uri.library_version.filter(|it| *it != library.version);
    let slot_id = uri.slot_id.filter(|id| *id != slot.id);
    let attributes = [
        text("token", &uri.token, &token.label),
        text("manufacturer", &uri.manufacturer, &token.manufacturer),
        text("serial", &uri.serial, &token.serial),
        text("model", &uri.model, &token.model),
        text(
            "library-manufacturer",
            &uri.library_manufacturer,
            &library.manufacturer,
        ),
        text(
            "library-description",
            &uri.library_description,
            &library.description,
        ),
        version.map(|_| ("library-version", &library.version as &dyn fmt::Display)),
        text(
            "slot-manufacturer",
            &uri.slot_manufacturer,
            &slot.manufacturer,
        ),
        text("slot-description", &uri.slot_description, &slot.description),
        slot_id.map(|_| ("slot-id", &slot.id as &dyn fmt::Display)),
    ];
    attributes.into_iter().flatten()
}

/// The token in a slot, if it is the one that the URI names in another version of the library.
fn near_miss(uri: &TokenUri, library: &LibraryInfo, slot: &SlotReport) -> Option<String> {
    let token = slot.token()?;
    let mut differences = Vec::new();
    for (name, is) in mismatches(uri, library, slot, token) {
        if !name.starts_with("library-") {
            return None;
        }
        differences.push(format!("{name}, which is {is}"));
    }
    let differences = differences.join(", and ");
    Some(format!("{} matches but for {differences}", describe(token)))
}

fn initialised(token: &TokenInfo) -> Result<&TokenInfo, TokenFailure> {
    if token.has(TokenFlag::TokenInitialized) {
        return Ok(token);
    }
    let text = format!("the token in slot {} is not initialised", token.slot_id);
    Err(TokenFailure::new(FailureClass::NotInitialised, text))
}

/// `SoftHSM` keeps a deleted token in its list and never sees the token that replaced it. So if a
/// token cannot be read in this process, the worker has to be restarted.
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

#[cfg(test)]
mod tests {
    use qseed_model::uri::TokenUri;
    use qseed_model::{TokenChoice, Version};

    use super::{find, matches};
    use crate::directory::{LibraryInfo, SlotReport, TokenInfo};
    use crate::failure::FailureClass;

    fn parse(text: &str) -> TokenUri {
        let reading = TokenUri::read(text);
        assert_eq!(reading.faults, [], "{text}");
        reading.uri
    }

    fn slot() -> SlotReport {
        SlotReport {
            id: 327,
            description: "Reader 1".into(),
            manufacturer: "Snake Oil, Inc.".into(),
            token: Ok(Some(TokenInfo {
                label: "The Software PKCS#11 Softtoken".into(),
                serial: "0a/b;1?".into(),
                model: "1.0".into(),
                manufacturer: "Snake Oil, Inc.".into(),
                ..TokenInfo::default()
            })),
        }
    }

    fn library() -> LibraryInfo {
        LibraryInfo {
            cryptoki_version: Version {
                major: 2,
                minor: 40,
            },
            manufacturer: "Snake Oil, Inc.".into(),
            description: "Soft Token Library".into(),
            version: Version {
                major: 1,
                minor: 23,
            },
        }
    }

    #[test]
    fn every_given_attribute_must_match() {
        for uri in [
            "pkcs11:",
            "PKCS11:token=The%20Software%20PKCS%2311%20Softtoken",
            "pkcs11:serial=0a%2fb%3B1%3f;model=1.0",
            "pkcs11:slot-id=327;slot-description=Reader%201;slot-manufacturer=Snake%20Oil,%20Inc.",
            "pkcs11:library-version=1.23;library-description=Soft%20Token%20Library",
            "pkcs11:model=1.0;x-colour=blue",
        ] {
            assert!(matches(&parse(uri), &library(), &slot()), "{uri}");
        }
        for uri in [
            "pkcs11:token=the%20Software%20PKCS%2311%20Softtoken",
            "pkcs11:token=",
            "pkcs11:model=1.0;serial=0",
            "pkcs11:slot-id=326",
            "pkcs11:library-version=1.24",
        ] {
            assert!(!matches(&parse(uri), &library(), &slot()), "{uri}");
        }
        let empty = SlotReport {
            token: Ok(None),
            ..slot()
        };
        assert!(!matches(&parse("pkcs11:"), &library(), &empty));
    }

    #[test]
    fn a_uri_that_differs_in_the_library_alone_names_the_token_and_the_difference() {
        let missing = |uri: &str| {
            let choice = TokenChoice::Uri(Box::new(parse(uri)));
            let failure = find(&choice, &library(), &[slot()]).expect_err("no token");
            assert_eq!(failure.class, FailureClass::TokenMissing);
            failure.text
        };
        let text = missing("pkcs11:model=1.0;library-version=1.24");
        let there = "one in slot 0 that is not initialised";
        assert!(
            text.ends_with(&format!(
                "{there} matches but for library-version, which is 1.23"
            )),
            "{text}"
        );
        let text = missing("pkcs11:library-description=Other;library-version=1.24");
        assert!(
            text.ends_with(
                "but for library-description, which is Soft Token Library, and \
                 library-version, which is 1.23"
            ),
            "{text}"
        );
        let text = missing("pkcs11:model=2.0;library-version=1.24");
        assert!(text.ends_with(&format!("the tokens are {there}")), "{text}");
    }

    #[test]
    fn a_tokens_own_uri_matches_it() {
        let slot = slot();
        let uri = slot.token().expect("a token").uri();
        assert!(matches(&uri, &library(), &slot));
        assert_eq!(parse(&uri.to_string()), uri);
    }
}
