//! The list of modules' settings.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use qseed_model::Output;

use crate::keys;
use crate::partition::{Module, Partition};
use crate::report::{Findings, Place, Reading};
use crate::section::{Field, Section};
use crate::yaml::{Entry, Kind, Node, Style};

use super::unique::Unique;

pub(super) fn read(field: Field<'_>) -> Reading<Vec<(Place, Module)>> {
    let mut paths = Unique::default();
    field.list(|item| Ok((item.place, module(item, &mut paths, field.findings)?)))
}

fn module(item: &Node, paths: &mut Unique<PathBuf>, findings: &Findings) -> Reading<Module> {
    let section = Section::open(item, "a module", keys::MODULE, findings)?;
    let default = Module::new(PathBuf::new());
    let help = "write the library's path as the partitions do";
    let path = section.require("path", help, |field| {
        let why = "already has its settings";
        paths.check(field.module()?, field, why, "keep one of the two")
    });
    let environment = section.or("environment", Vec::new(), |field| {
        // Their values are not shown: vendors' libraries take passwords in them.
        field.entries(|entry| variable(entry, findings))
    });
    let init_args = section.optional("init_args", |field| {
        let text = field.text()?;
        if text.contains('\0') {
            return field.refuse_unshown("a NUL character cannot be in it", None);
        }
        Ok(text.to_owned())
    });
    let deadline = section.or("deadline", default.deadline, |field| {
        field.duration(1..=3_600, "1s to 1h")
    });
    let concurrency = section.or("concurrency", default.concurrency, |field| {
        field.number(1..=256, "write a number of calls from 1 to 256")
    });
    let output = section.or("output", default.output, |field| {
        field.choice(&[("count", Output::Count), ("log", Output::Log)])
    });
    let network = section.or("network", default.network, Field::boolean);
    Ok(Module {
        path: path?,
        environment: environment?,
        init_args: init_args?,
        deadline: deadline?,
        concurrency: concurrency?,
        output: output?,
        network: network?,
    })
}

fn variable(entry: &Entry, findings: &Findings) -> Reading<(String, String)> {
    let Entry { key, place, value } = entry;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !key.bytes().all(letter) || key.starts_with(|c: char| c.is_ascii_digit()) {
        let named = entry.named();
        let message = format!("the {named} is not the name of an environment variable");
        let help = "a name has letters, digits and `_`";
        return Err(findings.fault_with_help(*place, message, help));
    }
    let fault = match &value.kind {
        Kind::Scalar { text, .. } if text.contains('\0') => "cannot hold a NUL character",
        Kind::Scalar { text, style } if text.is_empty() && *style == Style::Plain => {
            "has no value; write '' for an empty one"
        }
        Kind::Scalar { text, .. } => return Ok((key.to_string(), text.to_string())),
        Kind::List(_) | Kind::Map(_) => "must be one value",
        Kind::Refused(noted) => return Err(*noted),
    };
    let message = format!("the environment variable's {} {fault}", entry.named());
    Err(findings.fault(*place, message))
}

/// The settings of each module that a partition uses: as configured, else the defaults.
pub(super) fn complete(
    configured: Vec<(Place, Module)>,
    partitions: &[Partition],
    findings: &Findings,
) -> Vec<Module> {
    let mut without_settings: HashSet<&Path> = partitions
        .iter()
        .map(|partition| partition.module.as_path())
        .collect();
    let mut modules = Vec::new();
    for (place, module) in configured {
        if without_settings.remove(module.path.as_path()) {
            modules.push(module);
        } else {
            let message = format!("no partition uses the module {}", module.path.display());
            findings.warn(place, message);
        }
    }
    for partition in partitions {
        if without_settings.remove(partition.module.as_path()) {
            modules.push(Module::new(partition.module.clone()));
        }
    }
    modules
}
