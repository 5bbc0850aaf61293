//! From the tree to a [`Config`]: which keys there are, what they default to, what contradicts.

mod flat;
mod full;
mod general;
mod http;
mod modules;
mod names;
mod partitions;
mod sources;
mod token;

use crate::config::{Config, Form};
use crate::report::{Findings, Noted, Reading};
use crate::section::{Field, Section};
use crate::yaml::Node;

/// The keys of the original's file, and `qrypt_url`.
const FLAT_KEYS: [&str; 7] = [
    "qrypt_token",
    "size",
    "period",
    "cryptoki_lib",
    "cryptoki_slot_id",
    "cryptoki_user_pin",
    "qrypt_url",
];

/// The keys that only the full form has.
const FULL_KEYS: [&str; 4] = ["sources", "partitions", "defaults", "combine"];

/// The keys that both forms have.
const GENERAL_KEYS: [&str; 8] = [
    "reserve",
    "mix_local",
    "modules",
    "state_dir",
    "audit",
    "listen",
    "control_socket",
    "log",
];

/// Reads a whole configuration.
pub(crate) fn config(root: &Node, findings: &mut Findings) -> Reading<Config> {
    let known = [&FLAT_KEYS[..], &FULL_KEYS[..], &GENERAL_KEYS[..]].concat();
    let suggested = suggested(root);
    let mut file =
        Section::open_suggesting(root, "the configuration", &known, &suggested, findings)?;
    let form = tell_form(&file, findings);
    let general = general::read(&file, findings);
    let main = match form {
        Ok(Form::Flat) => flat::read(&file, findings),
        Ok(Form::Full) => full::read(&file, findings),
        Err(noted) => {
            // The values are judged all the same. What a form lacks, the other one has.
            file.excuse(&FLAT_KEYS, noted);
            file.excuse(&FULL_KEYS, noted);
            flat::read(&file, findings).and(full::read(&file, findings))
        }
    };
    let (form, general, main) = (form?, general?, main?);
    let modules = modules::complete(general.modules, &main.partitions, findings);
    full::warn_of_lone_xor(&file, main.combine, main.sources.len(), findings);
    Ok(Config {
        form,
        sources: main.sources,
        combine: main.combine,
        reserve: general.reserve,
        mix_local: general.mix_local,
        partitions: main.partitions,
        modules,
        state_dir: general.state_dir,
        audit: general.audit,
        listen: general.listen,
        control_socket: general.control_socket,
        log: general.log,
    })
}

/// What the two forms say differently.
struct Main {
    sources: Vec<crate::source::Source>,
    combine: qseed_model::Combine,
    partitions: Vec<crate::partition::Partition>,
}

/// The keys that a misspelt one can mean, where the form shows already.
fn suggested(root: &Node) -> Vec<&'static str> {
    let has = |keys: &[&str]| keys.iter().any(|key| root.holds(key));
    match (has(&FLAT_KEYS), has(&FULL_KEYS)) {
        (true, false) => [&FLAT_KEYS[..], &GENERAL_KEYS[..]].concat(),
        (false, true) => [&FULL_KEYS[..], &GENERAL_KEYS[..]].concat(),
        _ => [&FLAT_KEYS[..], &FULL_KEYS[..], &GENERAL_KEYS[..]].concat(),
    }
}

/// Tells the form by the keys that only one of them has.
fn tell_form(file: &Section<'_>, findings: &mut Findings) -> Reading<Form> {
    let first = |keys: &[&'static str]| file.present(keys).min_by_key(|field| field.place);
    let means_flat = || FLAT_KEYS.iter().any(|key| file.misspelt(key).is_some());
    match (first(&FLAT_KEYS), first(&FULL_KEYS)) {
        (Some(flat), Some(full)) => Err(refuse_mixture(file, flat, full, findings)),
        (Some(_), None) => Ok(Form::Flat),
        (None, None) if means_flat() => Ok(Form::Flat),
        (None, _) => Ok(Form::Full),
    }
}

/// Keys of both forms: those of the form that begins later are wrong.
fn refuse_mixture(
    file: &Section<'_>,
    flat: Field<'_>,
    full: Field<'_>,
    findings: &mut Findings,
) -> Noted {
    let (first, later) = if flat.place < full.place {
        (flat, full)
    } else {
        (full, flat)
    };
    let keys = if later.key == flat.key {
        &FLAT_KEYS[..]
    } else {
        &FULL_KEYS[..]
    };
    let mut refuse = |field: Field<'_>| {
        let message = format!(
            "`{}` does not go with `{}` in line {}: a configuration is flat or full",
            field.key, first.key, first.place.line
        );
        findings.fault_with_help(field.place, message, other_form(field.key))
    };
    let noted = refuse(later);
    for field in file.present(keys).filter(|field| field.key != later.key) {
        refuse(field);
    }
    noted
}

/// What a key of one form is in the other.
fn other_form(key: &str) -> &'static str {
    match key {
        "qrypt_token" => "in the full form it is `access_token` of a source",
        "qrypt_url" => "in the full form it is `url` of a source",
        "cryptoki_lib" => "in the full form it is `module` of a partition or of `defaults`",
        "cryptoki_slot_id" => "in the full form it is `slot` of a partition",
        "cryptoki_user_pin" => "in the full form it is `pin` of a partition",
        "size" | "period" => "in the full form it belongs into a partition or into `defaults`",
        _ => "the flat form has one source and one partition",
    }
}
