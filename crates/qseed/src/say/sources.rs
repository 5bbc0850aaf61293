//! What is said of sources.

use qseed_config::{Combine, Level};
use qseed_engine::Note;

use super::{next_step, sentence, trouble_was};
use crate::assemble::Plan;
use crate::log::Entry;

/// The entry for a note on a source.
pub(super) fn entry(note: &Note, plan: &Plan) -> Option<Entry> {
    Some(match note {
        Note::SourceFailed {
            name,
            text,
            code,
            repeats,
            next,
            ..
        } => {
            let message = format!(
                "{name}: {} {}{}",
                sentence(text, *repeats),
                next_step(*next),
                without_it(plan)
            );
            let level = if stops_all(plan) {
                Level::Error
            } else {
                Level::Warn
            };
            Entry::new(level, "source-failed", message)
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
                 {} {}{}",
                check.name(),
                check.meaning(),
                match in_a_row {
                    1 => "Nothing of it was injected.".to_owned(),
                    n => format!("That was delivery {n} in a row; nothing of it was injected."),
                },
                next_step(*next),
                without_it(plan)
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
                 more until its next month begins or `budget` is raised.{}",
                without_it(plan)
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

/// Whether nothing is injected while any one source is out.
fn stops_all(plan: &Plan) -> bool {
    plan.config.combine == Combine::Xor && plan.sources.len() > 1
}

/// What it means that a source is out, where that is more than that another one serves.
fn without_it(plan: &Plan) -> &'static str {
    match (stops_all(plan), plan.config.reserve) {
        (false, _) => "",
        (true, None) => {
            " Until then nothing is injected: `combine: xor` makes each seed of all sources."
        }
        (true, Some(_)) => {
            " Until then nothing is injected beyond what the reserve holds: `combine: xor` makes \
             each seed of all sources."
        }
    }
}
