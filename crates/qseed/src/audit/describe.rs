//! What a record says, in a sentence.

use super::view::{Outcome, View};
use crate::cli::FilterArgs;
use crate::print::count;

/// A record for people, on one line.
pub(crate) fn describe(record: &View, filter: &FilterArgs) -> String {
    let text = |name| record.text(name);
    match &*text("event") {
        "began" => {
            let before = after(": ", &text("because"));
            format!("{} begins{before}", text("origin"))
        }
        "continued" => format!("{} goes on behind {} records", text("origin"), text("size")),
        "started" => format!("qseed {} started, mode {}", text("version"), text("mode")),
        "configured" => format!(
            "{} partitions, seeded from {}",
            text("partitions"),
            record.sources("name").join(", ")
        ),
        "stopped" => format!("qseed stopped{}", after(": ", &text("because"))),
        "opened" => format!(
            "{}: session opened to {} through {}",
            text("partition"),
            token(record),
            text("module")
        ),
        "intent" => format!(
            "{}: about to inject {}",
            partitions(record, filter),
            bytes(record)
        ),
        "seed" => injected(record, filter, ""),
        "refused" => injected(record, filter, "REFUSED "),
        "rejected" => format!(
            "{}, request {}: {} dropped, failed the check {}",
            text("source"),
            text("request"),
            unit(&text("bytes")),
            text("check")
        ),
        "state" => {
            let before = text("before");
            let before = if before.is_empty() {
                before
            } else {
                format!(" (was {before})")
            };
            format!("{}: {}{before}", text("partition"), text("state"))
        }
        "worker" => format!(
            "{} ({}): worker {}{}",
            text("module"),
            text("role"),
            text("state"),
            after(": ", &text("because"))
        ),
        "checkpoint" => format!("{} records signed, root {}", text("size"), text("root")),
        "witnessed" => format!("{} cosigned {} records", text("witness"), text("size")),
        "anchored" => format!(
            "{} took the checkpoint of {} records{}",
            text("command"),
            text("size"),
            ending(record)
        ),
        "recovered" => format!(
            "{} bytes of a damaged end were cut off{}",
            text("cut_bytes"),
            after(": ", &text("because"))
        ),
        "lost" => format!(
            "{} records (with {} seeds) LOST from {} to {}{}",
            text("records"),
            text("seeds"),
            text("since"),
            text("until"),
            after(": ", &text("because"))
        ),
        _ => record.others(&["seq", "time", "event", "prev"]),
    }
}

/// `between` and a text; nothing if there is no text.
fn after(between: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{between}{text}")
    }
}

fn unit(bytes: &str) -> String {
    format!("{bytes} bytes")
}

fn token(record: &View) -> String {
    let [label, serial] = ["label", "serial"].map(|name| record.token(name));
    match (&*label, &*serial) {
        ("", "") => "an unknown token".to_owned(),
        (label, serial) => format!("token {label}, serial {serial}"),
    }
}

/// An anchor command's exit code and last line.
fn ending(record: &View) -> String {
    let code = record.text("code");
    let code = if code.is_empty() {
        "; it was killed".to_owned()
    } else {
        format!("; exit code {code}")
    };
    format!("{code}{}", after(": ", &record.text("said")))
}

/// The partitions of a record that the filter names.
fn meant<'a>(record: &'a View, filter: &FilterArgs) -> Vec<Outcome<'a>> {
    let outcomes = record.outcomes().into_iter();
    outcomes.filter(|it| filter.names(it.partition)).collect()
}

fn partitions(record: &View, filter: &FilterArgs) -> String {
    let all = record.outcomes().len();
    match &meant(record, filter)[..] {
        [one] if all == 1 => one.text("partition"),
        [one] => format!("{} (one of {all})", one.text("partition")),
        many => count(many.len(), "partition"),
    }
}

/// The bytes of a seed and where they come from.
fn bytes(record: &View) -> String {
    let names = record.sources("name");
    let facts = ["request", "tls_version", "tls_group"].map(|name| record.sources(name));
    let sources = names.iter().enumerate().map(|(at, name)| {
        let [request, version, group] = facts
            .each_ref()
            .map(|it| it.get(at).map_or("", |text| text));
        let link = format!("{}{}", after(", ", version), after(" ", group));
        format!("{name} (request {request}{link})")
    });
    let sources: Vec<_> = sources.collect();
    let kernel = if record.text("mix_local") == "true" {
        ", mixed with the kernel's"
    } else {
        ""
    };
    format!(
        "{} from {}{kernel}",
        unit(&record.text("bytes")),
        sources.join(" and ")
    )
}

/// What became of seeds.
fn injected(record: &View, filter: &FilterArgs, how: &str) -> String {
    let outcomes = meant(record, filter);
    let mut answers: Vec<String> = Vec::new();
    for outcome in &outcomes {
        let answer = outcome.text("ckr");
        let answer = if answer.is_empty() {
            "no answer".to_owned()
        } else {
            answer
        };
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    let took = match &outcomes[..] {
        [one] => one.text("duration_us").parse().map_or_else(
            |_| String::new(),
            |micros: u64| format!(" in {}.{} ms", micros / 1000, micros % 1000 / 100),
        ),
        _ => String::new(),
    };
    let seed = if record.sources("name").is_empty() {
        String::new()
    } else {
        format!("{}, ", bytes(record))
    };
    let function = after("", &record.text("function"));
    let why = after(": ", &record.text("because"));
    format!(
        "{how}{}: {seed}{function} {}{took}{why}",
        partitions(record, filter),
        answers.join(", ")
    )
}
