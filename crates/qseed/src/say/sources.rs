//! Lines about sources.

use qseed_config::{Combine, Level};
use qseed_engine::SourceId;
use qseed_engine::announcer::Line;

use super::{failed_before, next_step, sentence};
use crate::assemble::Plan;
use crate::log::Entry;

/// The entry for a line about a source.
pub(super) fn entry(line: &Line, plan: &Plan) -> Option<Entry> {
    Some(match line {
        Line::SourceFailed {
            source,
            text,
            code,
            repeats,
            next,
        } => {
            let message = format!(
                "{}: {} {}{}",
                source.name,
                sentence(text, *repeats, "request"),
                next_step(*next),
                without_it(plan)
            );
            let level = if stops_all(plan) {
                Level::Error
            } else {
                Level::Warn
            };
            Entry::new(level, "source-failed", message)
                .with("source", &*source.name)
                .with("error", text.as_str())
                .with("code", *code)
                .repeats(*repeats)
                .next(*next)
        }
        Line::CheckFailed {
            source,
            check,
            bytes,
            in_a_row,
            next,
        } => {
            let row = match in_a_row {
                1 => String::new(),
                n => format!(" It was delivery {n} in a row that failed a check."),
            };
            let message = format!(
                "{}: dropped a delivery of {bytes} bytes, which failed the check {}: {}.{row} {}{}",
                source.name,
                check.name(),
                check.meaning(),
                next_step(*next),
                without_it(plan)
            );
            Entry::new(Level::Error, "check-failed", message)
                .with("source", &*source.name)
                .with("check", check.name())
                .with("bytes", *bytes)
                .with("in_a_row", *in_a_row)
                .next(*next)
        }
        Line::BudgetLow {
            source,
            spent,
            limit,
        } => {
            let percent = u128::from(*spent) * 100 / u128::from((*limit).max(1));
            let message = format!(
                "{}: {percent} % of its budget is spent: {spent} of {limit} bytes this month. At \
                 100 % qseed stops using it until the budget resets.",
                source.name
            );
            Entry::new(Level::Warn, "budget-low", message)
                .with("source", &*source.name)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        Line::BudgetSpent {
            source,
            spent,
            limit,
        } => {
            let message = format!(
                "{}: its budget is spent: {spent} of {limit} bytes this month. qseed does not use \
                 it until the budget resets or you raise `budget`.{}",
                source.name,
                without_it(plan)
            );
            Entry::new(Level::Error, "budget-spent", message)
                .with("source", &*source.name)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        Line::SourceRecovered { source, repeats } => {
            let before = failed_before(*repeats, "request");
            let message = format!("{}: delivers again after {before}.", source.name);
            Entry::info("source-recovered", message)
                .with("source", &*source.name)
                .repeats(*repeats)
        }
        _ => return None,
    })
}

/// What seeds are made of, where that is more than one source's bytes.
pub(super) fn composition(made_of: &[SourceId], mix_local: bool, plan: &Plan) -> Option<Entry> {
    if plan.sources.len() < 2 && !mix_local {
        return None;
    }
    let names: Vec<_> = made_of
        .iter()
        .filter_map(|id| plan.sources.get(id))
        .map(|source| source.config.name.as_str())
        .collect();
    let with = match plan.config.combine {
        Combine::Xor => " xor ",
        Combine::Failover => " and ",
    };
    let local = if mix_local {
        " xor the local kernel"
    } else {
        ""
    };
    let message = format!("Seeds are made of {}{local}.", names.join(with));
    Some(Entry::info("composition", message).with("sources", names))
}

/// Whether one source that is out stops all seeds.
fn stops_all(plan: &Plan) -> bool {
    plan.config.combine == Combine::Xor && plan.sources.len() > 1
}

/// What stops while a source is out, where no other one steps in.
fn without_it(plan: &Plan) -> &'static str {
    match (stops_all(plan), plan.config.reserve) {
        (false, _) => "",
        (true, None) => {
            " Until then nothing is injected: `combine: xor` makes each seed of all sources."
        }
        (true, Some(_)) => {
            " Until then qseed injects only what the reserve holds: `combine: xor` makes each seed \
             of all sources."
        }
    }
}
