//! What is said of sources.

use qseed_config::Level;
use qseed_engine::Note;

use super::{again, next_step, trouble_was};
use crate::log::Entry;

/// The entry for a note on a source.
pub(super) fn entry(note: &Note) -> Option<Entry> {
    Some(match note {
        Note::SourceFailed {
            name,
            text,
            code,
            repeats,
            next,
            ..
        } => {
            let message = format!("{name}: {text}{}. {}", again(*repeats), next_step(*next));
            Entry::new(Level::Warn, "source-failed", message)
                .with("source", &**name)
                .with("error", text.as_str())
                .with("code", *code)
                .repeats(*repeats)
                .next(*next)
        }
        Note::CheckFailed {
            name,
            check,
            bytes,
            in_a_row,
            next,
            ..
        } => {
            let message = format!(
                "{name}: {bytes} bytes were dropped because they failed the delivery check {}: {}. \
                 {} {}",
                check.name(),
                check.meaning(),
                match in_a_row {
                    1 => "Nothing of it was injected.".to_owned(),
                    n => format!("That was delivery {n} in a row; nothing of it was injected."),
                },
                next_step(*next)
            );
            Entry::new(Level::Error, "check-failed", message)
                .with("source", &**name)
                .with("check", check.name())
                .with("bytes", *bytes)
                .with("in_a_row", *in_a_row)
                .next(*next)
        }
        Note::BudgetLow {
            name, spent, limit, ..
        } => {
            let percent = u128::from(*spent) * 100 / u128::from((*limit).max(1));
            let message = format!(
                "{name}: {percent} % of its budget is spent: {spent} of {limit} bytes this month. \
                 At 100 % it is asked no more."
            );
            Entry::new(Level::Warn, "budget-low", message)
                .with("source", &**name)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        Note::BudgetSpent {
            name, spent, limit, ..
        } => {
            let message = format!(
                "{name}: its budget is spent: {spent} of {limit} bytes this month. It is asked no \
                 more until its next month begins or `budget` is raised."
            );
            Entry::new(Level::Error, "budget-spent", message)
                .with("source", &**name)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        Note::SourceRecovered { name, repeats, .. } => {
            let message = format!("{name}: delivers again after {}.", trouble_was(*repeats));
            Entry::info("source-recovered", message)
                .with("source", &**name)
                .repeats(*repeats)
        }
        _ => return None,
    })
}
