//! The list of modules' settings.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::partition::{Module, Output, Partition};
use crate::report::{Findings, Place, Reading};
use crate::section::{Field, Section};
use crate::yaml::{Entry, Kind, Node};

const KNOWN_KEYS: [&str; 6] = [
    "path",
    "environment",
    "init_args",
    "deadline",
    "concurrency",
    "output",
];

pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Reading<Vec<(Place, Module)>> {
    let items = field.list(findings)?;
    let mut places = HashMap::new();
    let modules: Vec<Reading<(Place, Module)>> = items
        .iter()
        .map(|item| Ok((item.place, module(item, &mut places, findings)?)))
        .collect();
    modules.into_iter().collect()
}

fn module(
    item: &Node,
    places: &mut HashMap<PathBuf, Place>,
    findings: &mut Findings,
) -> Reading<Module> {
    let section = Section::open(item, "a module", &KNOWN_KEYS, findings)?;
    let path = section
        .require(
            "path",
            "write the library's path as the partitions do",
            findings,
        )
        .and_then(|field| unique_path(field, places, findings));
    let environment = section
        .get("environment")
        .map_or_else(|| Ok(Vec::new()), |field| environment(field, findings));
    let init_args = section
        .get("init_args")
        .map(|field| {
            let text = field.text(findings)?;
            if text.contains('\0') {
                return field.refuse_unshown("a NUL character cannot be in it", None, findings);
            }
            Ok(text.to_owned())
        })
        .transpose();
    let default = Module::new(PathBuf::new());
    let deadline = section
        .get("deadline")
        .map_or(Ok(default.deadline), |field| {
            field.duration(1..=3_600, "1s to 1h", findings)
        });
    let concurrency = section
        .get("concurrency")
        .map_or(Ok(default.concurrency), |field| {
            field.number(1..=256, "write a number of calls from 1 to 256", findings)
        });
    let output = section.get("output").map_or(Ok(default.output), |field| {
        let words = [("count", Output::Count), ("log", Output::Log)];
        field.choice(&words, findings)
    });
    Ok(Module {
        path: path?,
        environment: environment?,
        init_args: init_args?,
        deadline: deadline?,
        concurrency: concurrency?,
        output: output?,
    })
}

fn unique_path(
    field: Field<'_>,
    places: &mut HashMap<PathBuf, Place>,
    findings: &mut Findings,
) -> Reading<PathBuf> {
    let path = field.module(findings)?;
    if let Some(first) = places.get(&path) {
        let why = format!("has its settings in line {} already", first.line);
        return field.refuse(
            &path.to_string_lossy(),
            &why,
            "keep one of the two",
            findings,
        );
    }
    places.insert(path.clone(), field.place);
    Ok(path)
}

/// Environment variables. Their values are not shown: vendors' libraries take passwords in them.
fn environment(field: Field<'_>, findings: &mut Findings) -> Reading<Vec<(String, String)>> {
    let entries = field.entries(findings)?;
    let variables: Vec<Reading<(String, String)>> = entries
        .iter()
        .map(|entry| variable(entry, findings))
        .collect();
    variables.into_iter().collect()
}

fn variable(entry: &Entry, findings: &mut Findings) -> Reading<(String, String)> {
    let Entry { key, place, value } = entry;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !key.bytes().all(letter) || key.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!(
            "the {} is not the name of an environment variable",
            entry.named()
        );
        let help = "a name has letters, digits and `_`";
        return Err(findings.fault_with_help(*place, message, help));
    }
    let fault = match &value.kind {
        Kind::Scalar { text, .. } if text.contains('\0') => "cannot hold a NUL character",
        Kind::Scalar { text, style } if text.is_empty() && *style == crate::yaml::Style::Plain => {
            "has no value; write '' for an empty one"
        }
        Kind::Scalar { text, .. } => return Ok((key.to_string(), text.to_string())),
        Kind::List(_) | Kind::Map(_) => "must be one value",
        Kind::Refused(noted) => return Err(*noted),
    };
    Err(findings.fault(
        *place,
        format!("the environment variable's {} {fault}", entry.named()),
    ))
}

/// The settings of each module that a partition uses: as configured, else the defaults.
pub(super) fn complete(
    configured: Vec<(Place, Module)>,
    partitions: &[Partition],
    findings: &mut Findings,
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
