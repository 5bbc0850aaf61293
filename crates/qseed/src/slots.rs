//! `qseed slots`: the slots and tokens of a module, and what to paste into the configuration.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use qseed_config::Module;
use qseed_tokens::directory::{GeneratorNote, SlotReport, TokenFlag, TokenInfo};
use qseed_tokens::find;
use serde_json::{Value, json};

use crate::cli::SlotsArgs;
use crate::exit::{Failure, remark};
use crate::log::printable;
use crate::module_worker::{Listing, ModuleFailure, block_on, list, worker_spec};
use crate::print::{print, print_json};

/// The longest that one call of the module may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Prints the slots of a module. Presents no PIN and opens no session.
pub(crate) fn slots(args: &SlotsArgs) -> Result<(), Failure> {
    let path = &args.module;
    let module = Module {
        init_args: args.init_args.clone(),
        ..Module::new(path.clone())
    };
    // No PIN is presented, so the PIN guard's files do not matter.
    let spec = worker_spec(&module);
    let listing = block_on(list(spec, DEADLINE))?;
    for line in &listing.output {
        remark(&format!("the module wrote: {line}"));
    }
    if args.json {
        print_json(&document(path, &listing))?;
    }
    match &listing.failure {
        Some(ModuleFailure { text, advice, code }) => {
            let text = format!("{}: {text}; {advice}", path.display());
            Err(Failure::new(*code, text))
        }
        None if args.json => Ok(()),
        None => print(&text(path, &listing)),
    }
}

/// How many tokens of the module a token's own URI matches.
fn matches(token: &TokenInfo, listing: &Listing) -> usize {
    let uri = token.uri();
    let matching = listing
        .slots
        .iter()
        .filter(|slot| find::matches(&uri, &listing.library, slot));
    matching.count()
}

fn is_initialised(token: &TokenInfo) -> bool {
    token.has(TokenFlag::TokenInitialized)
}

fn text(module: &Path, listing: &Listing) -> String {
    let mut text = format!("{}: {}\n", module.display(), listing.library_name());
    if listing.slots.is_empty() {
        text.push_str("\nThe module has no slots.\n");
    }
    for slot in &listing.slots {
        let _ = write!(text, "\nslot {} ({:#x})", slot.id, slot.id);
        if !slot.description.is_empty() {
            let _ = write!(text, ": {}", printable(&slot.description));
        }
        text.push('\n');
        match &slot.token {
            Ok(None) => line(&mut text, "token", "none"),
            Err(failure) => {
                line(&mut text, "token", &format!("cannot be read: {failure}"));
            }
            Ok(Some(token)) => token_lines(&mut text, token, listing),
        }
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<9} {value}");
}

fn token_lines(text: &mut String, token: &TokenInfo, listing: &Listing) {
    let given = |value: &str| match value {
        "" => "none".to_owned(),
        value => printable(value),
    };
    let (model, maker) = (given(&token.model), given(&token.manufacturer));
    let model = format!("{model}, {maker}, firmware {}", token.firmware);
    if !is_initialised(token) {
        let what = "not initialised: the vendor's tool initialises it";
        line(text, "token", what);
        line(text, "model", &model);
        return;
    }
    line(text, "token", &given(&token.label));
    line(text, "serial", &given(&token.serial));
    line(text, "model", &model);
    let flags: Vec<_> = flags_in_words(token).collect();
    line(text, "flags", &flags.join(", "));
    if let Some(note) = GeneratorNote::of(&listing.library, token) {
        line(text, "note", note.text());
    }
    line(text, "paste", &format!("token: {}", token.uri()));
    let matches = matches(token, listing);
    if matches > 1 {
        let advice = format!(
            "this URI matches {matches} tokens, which say the same of themselves; configure \
             slot: {} instead, or give the tokens other labels",
            token.slot_id
        );
        line(text, "warning", &advice);
    }
}

/// The flags in words, with what matters to an operator in capitals. Leaves out the usual ones.
fn flags_in_words(token: &TokenInfo) -> impl Iterator<Item = &'static str> {
    let has_generator = token.has(TokenFlag::Rng);
    let no_generator = (!has_generator).then_some("NO RNG (the token has no generator to seed)");
    let no_pin = !token.has(TokenFlag::UserPinInitialized);
    let no_pin = no_pin.then_some("no user PIN yet");
    let said = token.flags.iter().filter_map(|flag| match flag {
        TokenFlag::Rng => Some("RNG"),
        TokenFlag::WriteProtected => Some("write protected"),
        TokenFlag::LoginRequired => Some("login required"),
        TokenFlag::UserPinInitialized | TokenFlag::TokenInitialized => None,
        TokenFlag::ProtectedAuthenticationPath => Some("PIN pad"),
        TokenFlag::UserPinCountLow => Some("USER PIN COUNT LOW (a wrong one was entered)"),
        TokenFlag::UserPinFinalTry => Some("USER PIN FINAL TRY (the next wrong one locks it)"),
        TokenFlag::UserPinLocked => Some("USER PIN LOCKED"),
        TokenFlag::UserPinToBeChanged => Some("user PIN to be changed"),
        TokenFlag::SoPinCountLow => Some("SO PIN COUNT LOW (a wrong one was entered)"),
        TokenFlag::SoPinFinalTry => Some("SO PIN FINAL TRY (the next wrong one locks it)"),
        TokenFlag::SoPinLocked => Some("SO PIN LOCKED"),
        TokenFlag::SoPinToBeChanged => Some("SO PIN to be changed"),
        TokenFlag::ErrorState => Some("ERROR STATE (a self-test failed)"),
    });
    no_generator.into_iter().chain(no_pin).chain(said)
}

fn document(module: &Path, listing: &Listing) -> Value {
    let slots = listing.slots.iter();
    let slots: Vec<_> = slots.map(|slot| slot_document(slot, listing)).collect();
    let library = &listing.library;
    let library = listing.is_loaded.then(|| {
        json!({
            "manufacturer": library.manufacturer,
            "description": library.description,
            "version": library.version.to_string(),
            "cryptoki_version": library.cryptoki_version.to_string(),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "module": module.to_string_lossy(),
        "library": library,
        "slots": slots,
        "error": listing.failure.as_ref().map(|failure| &failure.text),
        "module_output": listing.output,
    })
}

fn slot_document(slot: &SlotReport, listing: &Listing) -> Value {
    let (state, error) = match &slot.token {
        Ok(None) => ("empty", None),
        Err(failure) => ("unreadable", Some(failure.to_string())),
        Ok(Some(token)) if is_initialised(token) => ("token", None),
        Ok(Some(_)) => ("uninitialised", None),
    };
    let token = slot.token();
    let named = token.filter(|token| is_initialised(token));
    json!({
        "id": slot.id,
        "description": slot.description,
        "manufacturer": slot.manufacturer,
        "state": state,
        "error": error,
        "token": token.map(|token| token_document(token, listing)),
        "uri": named.map(|token| token.uri().to_string()),
        "uri_matches": named.map(|token| matches(token, listing)),
    })
}

fn token_document(token: &TokenInfo, listing: &Listing) -> Value {
    let note = GeneratorNote::of(&listing.library, token);
    json!({
        "label": token.label,
        "serial": token.serial,
        "model": token.model,
        "manufacturer": token.manufacturer,
        "hardware": token.hardware.to_string(),
        "firmware": token.firmware.to_string(),
        "flags": token.flags,
        "generator": note.map(|note| match note {
            GeneratorNote::InCallingProcess => "calling-process",
            GeneratorNote::VirtualSlot => "virtual-slot",
            GeneratorNote::RefusesSeeding => "refuses-seeding",
        }),
    })
}
