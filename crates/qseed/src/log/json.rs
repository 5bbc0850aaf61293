//! One object a line: `time`, `level`, `event`, `message`, then the event's particulars.

use jiff::Timestamp;
use qseed_config::Level;
use serde_json::{Map, Value};

use super::{Entry, format_time};

pub(super) fn line(time: Timestamp, entry: &Entry) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: &str| object.insert(name.to_owned(), Value::from(value));
    put("time", &format_time(time));
    put("level", level(entry.level));
    put("event", entry.event);
    put("message", &entry.message);
    object.extend(
        entry
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    format!("{}\n", Value::Object(object))
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}
