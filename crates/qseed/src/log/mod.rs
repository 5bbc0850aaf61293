//! The log: one line an event, on standard output, flushed line by line.

mod json;
mod outlet;
mod text;

use std::time::Duration;

use jiff::Timestamp;
use qseed_config::{Level, Log as Settings, LogFormat};
use serde_json::{Map, Value};

use crate::print::count;
use outlet::Outlet;

/// One event for the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) level: Level,
    /// The stable word for what happened.
    pub(crate) event: &'static str,
    /// What happened, in words.
    pub(crate) message: String,
    /// The particulars, by their stable names.
    pub(crate) fields: Map<String, Value>,
}

impl Entry {
    pub(crate) fn new(level: Level, event: &'static str, message: impl Into<String>) -> Self {
        Self {
            level,
            event,
            message: message.into(),
            fields: Map::new(),
        }
    }

    pub(crate) fn info(event: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Info, event, message)
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

/// Writes entries.
#[derive(Debug)]
pub(crate) struct Log {
    settings: Settings,
    outlet: Outlet,
    /// Whether standard output is systemd's journal.
    journal: bool,
    lost: u64,
}

impl Log {
    /// A log to standard output.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            outlet: Outlet::default(),
            journal: outlet::is_journal(),
            lost: 0,
        }
    }

    /// Whether entries of a level are written.
    pub(crate) fn takes(&self, level: Level) -> bool {
        level <= self.settings.level
    }

    /// Takes on new settings, after the configuration was read again.
    pub(crate) fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Writes an entry, if its level is asked for.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an entry is made to be written once"
    )]
    pub(crate) fn write(&mut self, entry: Entry) {
        if !self.takes(entry.level) {
            return;
        }
        if self.lost > 0 {
            let lost = self.lost;
            let entry = Entry::new(Level::Warn, "log-lines-lost", dropped(lost));
            let entry = entry.with("count", lost);
            if self.send(&entry) {
                self.lost = 0;
            }
        }
        if !self.send(&entry) {
            self.lost += 1;
        }
    }

    /// Whether the line was written or waits to be.
    fn send(&mut self, entry: &Entry) -> bool {
        let now = Timestamp::now();
        self.outlet.take(match self.settings.format {
            LogFormat::Text if self.journal => text::journal_line(entry),
            LogFormat::Text => text::line(now, entry),
            LogFormat::Json => json::line(now, entry),
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.lost + self.outlet.finish();
        if lost > 0 {
            outlet::complain(&format!("qseed: {}\n", dropped(lost)));
        }
    }
}

fn dropped(lines: u64) -> String {
    let lines = count(lines, "log line");
    format!("Dropped {lines} because standard output was blocked.")
}

/// A time as every output of qseed writes it: RFC 3339 in UTC, to the millisecond.
pub(crate) fn format_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A duration for people: `850 ms`, `4 s`, `5 min`, `1.5 h`, `2 days`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    let rounded = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    match secs {
        s if s < 1.0 => format!("{} ms", duration.as_millis()),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{} min", rounded(s / 60.0)),
        s if s < 172_800.0 => format!("{} h", rounded(s / 3600.0)),
        s => format!("{} days", rounded(s / 86_400.0)),
    }
}

/// Makes text from outside fit for one line: characters are escaped that control a terminal, that
/// nobody sees, or that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let hides = |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control() || hides(c);
            let plain = (!escape).then_some(c);
            plain
                .into_iter()
                .chain(c.escape_default().filter(move |_| escape))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{format_duration, format_time, printable};
    use std::time::Duration;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        let time = jiff::Timestamp::from_millisecond(1_709_221_751_050).expect("in range");
        assert_eq!(format_time(time), "2024-02-29T15:49:11.050Z");
        let whole = jiff::Timestamp::from_second(1_709_221_751).expect("in range");
        assert_eq!(format_time(whole), "2024-02-29T15:49:11.000Z");
    }

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (850, "850 ms"),
            (4_000, "4 s"),
            (119_000, "119 s"),
            (300_000, "5 min"),
            (5_400_000, "90 min"),
            (9_000_000, "2.5 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{e4}"), "a\\u{1b}[2Jb\\nc\u{e4}");
        assert_eq!(printable("ca\u{202e}tset"), "ca\\u{202e}tset");
    }
}
