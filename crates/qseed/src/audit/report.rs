//! What verification found out, for people and for programs.

use std::fmt::Write;

use jiff::Timestamp;
use qseed_ledger::key::{Algorithm, VerifierKey};
use qseed_ledger::verify::{Report, Signer, Trust, Verdict};
use serde_json::{Value, json};

use crate::log::printable;
use crate::print::count;

/// So many findings are printed one by one.
const PRINTED: usize = 20;

/// The lines in front of the verdict.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    let origin = report.origin.as_deref().unwrap_or("unknown");
    line(&mut text, "ledger", &printable(origin));
    line(&mut text, "records", &records(report));
    for signer in &report.signers {
        line(&mut text, role(signer.trust), &signed(signer));
    }
    for confirmed in &report.confirmed {
        let (file, size) = (printable(&confirmed.file), confirmed.size);
        line(
            &mut text,
            "contains",
            &format!("the {size} records of {file}"),
        );
    }
    for note in notes(report) {
        line(&mut text, "note", &note);
    }
    for doubt in &report.doubts {
        line(&mut text, "doubt", &printable(&doubt.to_string()));
    }
    if report.verdict() == Verdict::NotAuthenticated {
        for key in &report.announced {
            line(&mut text, "key", &printable(&key.to_string()));
        }
    }
    for finding in report.findings.iter().take(PRINTED) {
        line(&mut text, "CHANGED", &printable(&finding.to_string()));
    }
    let more = unprinted(report);
    if more > 0 {
        line(&mut text, "CHANGED", &format!("and {more} more places"));
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<9} {value}");
}

/// The findings that [`text`] does not print one by one.
fn unprinted(report: &Report) -> u64 {
    let here = report.findings.len().saturating_sub(PRINTED);
    report.more_findings + u64::try_from(here).unwrap_or(u64::MAX)
}

fn records(report: &Report) -> String {
    let Some(last) = report.size.checked_sub(1) else {
        return "none".to_owned();
    };
    let files = count(report.files, "file");
    format!(
        "{} ({} to {last}) in {files}: {}, {} refused",
        report.records,
        report.first,
        count(report.seeds, "seed"),
        report.refusals
    )
}

fn role(trust: Trust) -> &'static str {
    match trust {
        Trust::Given => "signed",
        Trust::Witness => "witness",
        Trust::Announced => "claims",
    }
}

fn signed(signer: &Signer) -> String {
    let key = name(&signer.key);
    if signer.notes == 0 {
        return format!("nothing by {key}");
    }
    let at = signer.time.and_then(time);
    let at = at.map_or_else(String::new, |at| format!(", the last at {at}"));
    let notes = count(signer.notes, "time");
    format!("up to {} records by {key}, {notes}{at}", signer.size)
}

/// A time in seconds since 1970.
fn time(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    Some(Timestamp::from_second(seconds).ok()?.to_string())
}

/// A key's algorithm, name and number.
fn name(key: &VerifierKey) -> String {
    let id = u32::from_be_bytes(key.id());
    format!("{} {}+{id:08x}", algorithm(key), printable(key.name()))
}

fn algorithm(key: &VerifierKey) -> &'static str {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => "Ed25519",
        Algorithm::MlDsa44Cosignature => "ML-DSA-44",
    }
}

/// What is no fault, but what an auditor has to know.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if report.first > 0 {
        notes.push(format!(
            "the first {} are not here: they were pruned, not copied, or are not part of this export",
            count(report.first, "record")
        ));
    }
    if let Some(previous) = &report.previous {
        notes.push(format!(
            "this ledger follows {}, which had {} records and could not be continued; verify its \
             files too",
            printable(&previous.origin),
            previous.size
        ));
    }
    let unsigned = report.size.saturating_sub(report.authenticated);
    if report.authenticated > 0 && unsigned > 0 {
        notes.push(format!(
            "no signature covers the last {} yet",
            count(unsigned, "record")
        ));
    }
    if report.torn > 0 {
        notes.push(format!(
            "the last {} are an incomplete record: it is being written, or its writer was killed",
            count(report.torn, "byte")
        ));
    }
    let open =
        report.more_open_intents + u64::try_from(report.open_intents.len()).unwrap_or(u64::MAX);
    if open > 0 {
        let shown = report.open_intents.iter().take(3);
        let shown: Vec<_> = shown
            .map(|it| format!("{} in record {}", printable(&it.partition), it.seq))
            .collect();
        let more = if open > 3 { ", …" } else { "" };
        notes.push(format!(
            "{} without an outcome, whose seeds may have been injected or are under way: {}{more}",
            count(open, "intent"),
            shown.join(", ")
        ));
    }
    if report.recoveries > 0 {
        let times = count(report.recoveries, "time");
        notes.push(format!(
            "a damaged end was cut off {times}, see `recovered`"
        ));
    }
    if report.lost > 0 {
        let records = count(report.lost, "record");
        notes.push(format!(
            "{records} could not be written and are LOST, see `lost`"
        ));
    }
    notes
}

/// What to conclude.
pub(crate) fn conclusion(report: &Report) -> String {
    match report.verdict() {
        Verdict::Holds => match report.size.saturating_sub(report.authenticated) {
            0 => "All holds: nothing was changed, and a key that you gave signed it.".to_owned(),
            unsigned => format!(
                "All holds: nothing was changed, and a key that you gave signed all but the last {}.",
                count(unsigned, "record")
            ),
        },
        Verdict::Changed => {
            let places = unprinted(report) + u64::try_from(report.findings.len().min(PRINTED)).unwrap_or(u64::MAX);
            format!("CHANGED: {} where the ledger is not what was written and signed", count(places, "place"))
        }
        Verdict::NotAuthenticated => "NOT authenticated: the records are consistent, but no key that \
             you gave proves who wrote them; compare the key above with one that you got elsewhere, \
             and give that one with --key"
            .to_owned(),
    }
}

/// The same for programs.
pub(crate) fn document(report: &Report) -> Value {
    let signers = report.signers.iter().map(|signer| {
        json!({
            "key": signer.key.to_string(),
            "algorithm": algorithm(&signer.key),
            "trust": match signer.trust {
                Trust::Given => "given",
                Trust::Witness => "witness",
                Trust::Announced => "announced",
            },
            "checkpoints": signer.notes,
            "size": signer.size,
            "time": signer.time.and_then(time),
        })
    });
    let findings = report.findings.iter().map(|finding| {
        json!({
            "file": &*finding.place.file,
            "line": finding.place.line,
            "seq": finding.place.seq,
            "text": finding.fault.to_string(),
        })
    });
    let intents = report
        .open_intents
        .iter()
        .map(|it| json!({ "seq": it.seq, "partition": it.partition, "job": it.job }));
    let confirmed = report.confirmed.iter();
    let confirmed = confirmed.map(|it| json!({ "file": &*it.file, "size": it.size }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "result": match report.verdict() {
            Verdict::Holds => "holds",
            Verdict::NotAuthenticated => "not-authenticated",
            Verdict::Changed => "changed",
        },
        "origin": report.origin,
        "previous": report.previous.as_ref().map(|it| json!({ "origin": it.origin, "size": it.size })),
        "keys": report.announced.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "files": report.files,
        "first": report.first,
        "records": report.records,
        "size": report.size,
        "authenticated": report.authenticated,
        "events": report.events,
        "seeds": report.seeds,
        "refusals": report.refusals,
        "signers": signers.collect::<Vec<_>>(),
        "checkpoints": confirmed.collect::<Vec<_>>(),
        "torn_bytes": report.torn,
        "open_intents": intents.collect::<Vec<_>>(),
        "more_open_intents": report.more_open_intents,
        "lost": report.lost,
        "recoveries": report.recoveries,
        "doubts": report.doubts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "more_findings": report.more_findings,
    })
}
