//! A record as the commands that print records see it: any event, of later versions too.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cli::FilterArgs;
use crate::log::printable;

/// A record.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) seq: u64,
    fields: Map<String, Value>,
}

/// The outcome of one partition's seed.
pub(crate) struct Outcome<'a> {
    pub(crate) partition: &'a str,
    fields: &'a Map<String, Value>,
}

impl View {
    /// Reads a line; none: it is no record.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let seq = fields.get("seq")?.as_u64()?;
        Some(Self { seq, fields })
    }

    /// A text of the record, fit for one line of a terminal; empty: it has none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.fields.get(name).map_or_else(String::new, plain)
    }

    /// A text of the record's token.
    pub(crate) fn token(&self, name: &str) -> String {
        let token = self.fields.get("token").and_then(|token| token.get(name));
        token.map_or_else(String::new, plain)
    }

    /// A text of each of the record's sources.
    pub(crate) fn sources(&self, name: &str) -> Vec<String> {
        let sources = self.fields.get("sources").and_then(Value::as_array);
        let texts = sources.into_iter().flatten();
        texts
            .map(|source| source.get(name).map_or_else(String::new, plain))
            .collect()
    }

    /// The texts of a list.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let list = self.fields.get(name).and_then(Value::as_array);
        list.into_iter().flatten().map(plain).collect()
    }

    /// What the record says of each partition that it is about.
    pub(crate) fn outcomes(&self) -> Vec<Outcome<'_>> {
        let many = self.fields.get("seeds").and_then(Value::as_array);
        let many = many.into_iter().flatten().filter_map(Value::as_object);
        many.chain([&self.fields])
            .filter_map(|fields| {
                let partition = fields.get("partition")?.as_str()?;
                Some(Outcome { partition, fields })
            })
            .collect()
    }

    /// What this type has no word for, in JSON: the fields other than `known`.
    pub(crate) fn others(&self, known: &[&str]) -> String {
        let others = self
            .fields
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        let others: Vec<_> = others
            .map(|(name, value)| format!("{}: {}", printable(name), plain(value)))
            .collect();
        others.join(", ")
    }

    fn time(&self) -> Option<Timestamp> {
        self.fields.get("time")?.as_str()?.parse().ok()
    }
}

impl Outcome<'_> {
    /// A text of the outcome, or of the record where it is about this partition alone.
    pub(crate) fn text(&self, name: &str) -> String {
        self.fields.get(name).map_or_else(String::new, plain)
    }
}

/// A value on one line; nothing for `null`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}

impl FilterArgs {
    /// Whether a record is meant.
    pub(crate) fn takes(&self, record: &View) -> bool {
        let of_partition = self.partition.is_empty()
            || record.outcomes().iter().any(|it| self.names(it.partition));
        let of_event = self.event.is_empty() || {
            let event = record.fields.get("event").and_then(Value::as_str);
            event.is_some_and(|event| self.event.iter().any(|it| it == event))
        };
        let at = || record.time();
        of_partition
            && of_event
            && self
                .since
                .is_none_or(|since| at().is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| at().is_some_and(|time| time < until))
    }

    /// Whether a partition is meant.
    pub(crate) fn names(&self, partition: &str) -> bool {
        self.partition.is_empty() || self.partition.iter().any(|name| name == partition)
    }
}
