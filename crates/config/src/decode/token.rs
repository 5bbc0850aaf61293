//! Which token a partition is, and what the token's URI tells of the PIN and the module.

use std::path::PathBuf;

use qseed_model::TokenChoice;
use qseed_model::uri::{TokenUri, UriError, UriFault, UriPin, UriReading};
use qseed_secrets::{Secret, SecretRef};

use crate::report::{Noted, Reading, shown};
use crate::section::{Field, Section};
use crate::suggest::closest;

/// The partition's token and what its URI tells.
pub(super) struct Token {
    pub(super) choice: Reading<TokenChoice>,
    pub(super) told: Reading<Told>,
}

/// What a token's URI tells besides the token.
#[derive(Default)]
pub(super) struct Told {
    pub(super) pin: Option<SecretRef>,
    pub(super) module_path: Option<PathBuf>,
    pub(super) module_name: Option<String>,
}

pub(super) fn read(section: &Section<'_>) -> Token {
    let slot = section.get("slot");
    let choice_by_slot = slot.map(|field| slot_id(field).map(TokenChoice::Slot));
    let Some(field) = section.get("token") else {
        let choice = choice_by_slot.unwrap_or_else(|| {
            let help = "write the `pkcs11:` URI that `qseed slots` shows, or `slot: NUMBER`";
            let misspelt = section.misspelt("slot");
            Err(misspelt.unwrap_or_else(|| section.missing("token", help)))
        });
        let told = Ok(Told::default());
        return Token { choice, told };
    };
    let mut token = by_uri(field);
    if slot.is_some() {
        token.choice = Err(section.contradiction(
            "slot",
            "`slot` contradicts `token`",
            "keep one; a token's URI stays true when slots are renumbered",
        ));
    }
    token
}

/// A slot's number, decimal as the original has it.
pub(super) fn slot_id(field: Field<'_>) -> Reading<u64> {
    let help = "write the slot's id as a decimal number";
    field.number(0..=u64::MAX, help)
}

fn by_uri(field: Field<'_>) -> Token {
    let text = match field.text() {
        Ok(text) => text,
        Err(noted) => {
            let (choice, told) = (Err(noted), Err(noted));
            return Token { choice, told };
        }
    };
    let UriReading {
        uri,
        pin,
        faults,
        tells_pin_and_module,
    } = TokenUri::read(text);
    let mut noted = None;
    for error in faults {
        noted = Some(note_fault(field, text, &error));
    }
    let pin = pin.map(|pin| read_pin(field, text, pin));
    let told = match noted {
        Some(noted) if !tells_pin_and_module => Err(noted),
        _ => pin.transpose().map(|pin| Told {
            pin,
            module_path: uri.module_path.clone(),
            module_name: uri.module_name.clone(),
        }),
    };
    let choice = noted.map_or_else(|| Ok(TokenChoice::Uri(Box::new(uri))), Err);
    Token { choice, told }
}

/// Notes what is wrong in a URI. No more of it is shown than a name that is nearly right: behind a
/// `&` may stand the rest of a PIN.
fn note_fault(field: Field<'_>, uri: &str, error: &UriError) -> Noted {
    let at = place_in(uri, error.offset);
    let UriFault::Unknown = error.fault else {
        return field
            .findings
            .fault(field.node.place, format!("`token`: {}{at}", error.fault));
    };
    let name = uri.get(error.offset..).unwrap_or_default();
    let name = name.split('=').next().unwrap_or_default();
    let (name, help) = match closest(name, &TokenUri::attributes()) {
        Some(meant) => (
            format!(" `{}`", shown(name)),
            format!("did you mean `{meant}`?"),
        ),
        None => (
            String::new(),
            "a token is named by token, serial, model or manufacturer".to_owned(),
        ),
    };
    let message = format!("`token`: {}{name}{at}", error.fault);
    field
        .findings
        .fault_with_help(field.node.place, message, help)
}

fn place_in(uri: &str, offset: usize) -> String {
    match uri.get(..offset) {
        None | Some("") => String::new(),
        Some(before) => {
            let character = before.chars().count() + 1;
            format!(" (at character {character} of the URI)")
        }
    }
}

fn read_pin(field: Field<'_>, uri: &str, mut pin: UriPin) -> Reading<SecretRef> {
    let read = if pin.value.is_empty() {
        Err("pin-value and pin-source cannot be empty")
    } else if pin.is_value {
        return Ok(SecretRef::Literal(Secret::new(std::mem::take(
            &mut *pin.value,
        ))));
    } else {
        let source = std::str::from_utf8(&pin.value).map_err(|_| "pin-source is not UTF-8");
        source.and_then(|source| match SecretRef::parse(source) {
            Ok(SecretRef::Literal(_)) => Err("pin-source begins with file:, env: or credential:"),
            other => other,
        })
    };
    match read {
        Ok(reference) => Ok(reference.relative_to(&field.findings.folder)),
        Err(why) => {
            let at = place_in(uri, pin.offset);
            Err(field
                .findings
                .fault(field.node.place, format!("`token`: {why}{at}")))
        }
    }
}
