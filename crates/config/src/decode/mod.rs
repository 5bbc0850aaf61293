//! From the tree to a [`Config`]: which keys there are, what they default to, what contradicts.

mod audit;
mod flat;
mod full;
mod general;
mod http;
mod modules;
mod partitions;
mod sources;
mod token;
mod unique;

use qseed_model::Combine;

use crate::config::{Config, Form};
use crate::keys;
use crate::partition::Partition;
use crate::report::{Findings, Noted, Reading};
use crate::section::{Field, Section};
use crate::source::Source;
use crate::yaml::Node;

/// Reads a whole configuration.
pub(crate) fn config(root: &Node, findings: &Findings) -> Reading<Config> {
    let known = [keys::FLAT, keys::FULL, keys::GENERAL].concat();
    let mut file = Section::open_suggesting(
        root,
        "the configuration",
        &known,
        &suggested(root),
        findings,
    )?;
    let form = tell_form(&file);
    let reserve = file.optional("reserve", general::reserve);
    let mix_local = file.or("mix_local", false, Field::boolean);
    let modules = file.optional("modules", modules::read);
    let state_dir = file.optional("state_dir", Field::path);
    let audit = file.optional("audit", audit::read);
    let listen = file.optional("listen", general::listen);
    let control_socket = file.optional("control_socket", general::socket);
    let log = file.optional("log", general::log);
    let main = match form {
        Ok(Form::Flat) => flat::read(&file),
        Ok(Form::Full) => full::read(&file),
        Err(noted) => {
            // The values are judged all the same. What a form lacks, the other one has.
            file.excuse(keys::FLAT, noted);
            file.excuse(keys::FULL, noted);
            flat::read(&file).and(full::read(&file))
        }
    };
    let (modules, main) = (modules?, main?);
    let modules = modules::complete(modules.unwrap_or_default(), &main.partitions, findings);
    Ok(Config {
        form: form?,
        sources: main.sources,
        combine: main.combine,
        reserve: reserve?,
        mix_local: mix_local?,
        partitions: main.partitions,
        modules,
        state_dir: state_dir?.unwrap_or_else(general::default_state_dir),
        audit: audit?,
        listen: listen?,
        control_socket: control_socket?.unwrap_or_else(general::default_socket),
        log: log?.unwrap_or_default(),
    })
}

/// What the two forms say differently.
struct Main {
    sources: Vec<Source>,
    combine: Combine,
    partitions: Vec<Partition>,
}

/// The keys that a misspelt one can mean, where the form shows already.
fn suggested(root: &Node) -> Vec<&'static str> {
    let has = |keys: &[&str]| keys.iter().any(|key| root.holds(key));
    match (has(keys::FLAT), has(keys::FULL)) {
        (true, false) => [keys::FLAT, keys::GENERAL].concat(),
        (false, true) => [keys::FULL, keys::GENERAL].concat(),
        _ => [keys::FLAT, keys::FULL, keys::GENERAL].concat(),
    }
}

/// Tells the form by the keys that only one of them has.
fn tell_form(file: &Section<'_>) -> Reading<Form> {
    let first = |keys: &[&'static str]| file.present(keys).min_by_key(|field| field.place);
    let means_flat = || keys::FLAT.iter().any(|key| file.misspelt(key).is_some());
    match (first(keys::FLAT), first(keys::FULL)) {
        (Some(flat), Some(full)) if flat.place < full.place => {
            Err(refuse_mixture(file, flat, full, keys::FULL))
        }
        (Some(flat), Some(full)) => Err(refuse_mixture(file, full, flat, keys::FLAT)),
        (Some(_), None) => Ok(Form::Flat),
        (None, None) if means_flat() => Ok(Form::Flat),
        (None, _) => Ok(Form::Full),
    }
}

/// Notes each of the `keys` of the form that begins later.
fn refuse_mixture(
    file: &Section<'_>,
    first: Field<'_>,
    later: Field<'_>,
    keys: &[&'static str],
) -> Noted {
    let refuse = |field: Field<'_>| {
        let message = format!(
            "`{}` does not go with `{}` in line {}: a configuration is flat or full",
            field.key, first.key, first.place.line
        );
        let help = other_form(field.key);
        file.findings.fault_with_help(field.place, message, help)
    };
    for field in file.present(keys).filter(|field| field.key != later.key) {
        refuse(field);
    }
    refuse(later)
}

/// What a key of one form is in the other.
fn other_form(key: &str) -> &'static str {
    match key {
        "qrypt_token" => "in the full form it is `access_token` of a source",
        "qrypt_url" => "in the full form it is `url` of a source",
        "cryptoki_lib" => "in the full form it is `module` of a partition or of `defaults`",
        "cryptoki_slot_id" => "in the full form it is `slot` of a partition",
        "cryptoki_user_pin" => "in the full form it is `pin` of a partition",
        "size" | "period" => "in the full form it belongs in a partition or in `defaults`",
        _ => "the flat form has one source and one partition",
    }
}
