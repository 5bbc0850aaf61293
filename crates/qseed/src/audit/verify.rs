//! `qseed audit verify`: checks a ledger, an export or a proof.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use qseed_ledger::key::VerifierKey;
use qseed_ledger::verify::{Fault, Finding, Given, Place, Report, Verdict, Verifier};

use super::ledger_file;
use super::report::{conclusion, document, text};
use super::set::Set;
use super::text::{LONGEST_NOTE, read_text};
use super::walk::{Place as Here, unreadable_part};
use crate::cli::VerifyArgs;
use crate::exit::{Code, Failure};
use crate::log::printable;
use crate::print::{print, print_json};

/// The longest file of keys, in bytes.
const LONGEST_KEYS: u64 = 1 << 20;

/// Checks everything and prints what was found.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let file = ledger_file(args.file.as_deref(), &args.config)?;
    let mut given = Given {
        keys: keys(&args.key)?,
        witnesses: keys(&args.witness)?,
        checkpoints: Vec::new(),
    };
    for path in &args.checkpoint {
        given.checkpoints.push(checkpoint(path)?);
    }
    let report = check(&Set::of(&file)?, given)?;
    if args.json {
        print_json(&document(&report))?;
    } else {
        print(&text(&report))?;
    }
    let conclusion = conclusion(&report);
    match report.verdict() {
        Verdict::Holds if args.json => Ok(()),
        Verdict::Holds => print(&format!("{conclusion}\n")),
        Verdict::NotAuthenticated => Err(Failure::new(Code::TryLater, conclusion)),
        Verdict::Changed => Err(Failure::new(Code::Changed, conclusion)),
    }
}

/// Checks the files of a set.
fn check(set: &Set, mut given: Given) -> Result<Report, Failure> {
    let signed = set.signed.iter();
    let signed = signed.map(|(path, note)| (path.display().to_string(), note.clone()));
    given.checkpoints.extend(signed);
    let mut verifier = Verifier::new(given);
    let mut damaged = Vec::new();
    for file in &set.files {
        let name = file.path.display().to_string();
        verifier.file(&name);
        let mut read = || {
            let mut bytes = file.open()?;
            loop {
                let part = bytes.fill_buf()?;
                if part.is_empty() {
                    return Ok(());
                }
                verifier.feed(part);
                let length = part.len();
                bytes.consume(length);
            }
        };
        if let Err(why) = read() {
            let here = Here {
                file: &file.path,
                line: 0,
            };
            let failure = unreadable_part(here, &why);
            if failure.code != Code::Changed {
                return Err(failure);
            }
            damaged.push((name, why));
        }
    }
    let mut report = verifier.finish();
    for (name, why) in damaged {
        let (file, line, seq) = (Arc::from(name), None, None);
        // In front, since others follow from it.
        let fault = Fault::Short(why.to_string());
        let place = Place { file, line, seq };
        report.findings.insert(0, Finding { place, fault });
    }
    Ok(report)
}

/// A checkpoint with its file's name.
fn checkpoint(path: &Path) -> Result<(String, String), Failure> {
    Ok((path.display().to_string(), read_text(path, LONGEST_NOTE)?))
}

/// Verifier keys, and those in files.
fn keys(named: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for named in named {
        if named.contains('+') {
            keys.push(key(named)?);
            continue;
        }
        let text = read_text(Path::new(named), LONGEST_KEYS)?;
        let before = keys.len();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        for line in lines {
            keys.push(key(line)?);
        }
        if keys.len() == before {
            let text = format!("{named} has no keys; qseed audit key prints the ledger's");
            return Err(Failure::new(Code::Usage, text));
        }
    }
    Ok(keys)
}

fn key(text: &str) -> Result<VerifierKey, Failure> {
    text.parse().map_err(|why| {
        let shown: String = text.chars().take(80).collect();
        let text = format!(
            "{}: {why}; qseed audit key prints the ledger's",
            printable(&shown)
        );
        Failure::new(Code::Usage, text)
    })
}
