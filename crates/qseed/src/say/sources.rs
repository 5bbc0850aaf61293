//! Lines about sources.

use qseed_config::{Combine, Level};
use qseed_engine::announcer::Repeats;
use qseed_engine::{Named, SourceFact, SourceId};

use super::{failed_before, next_step, sentence};
use crate::assemble::Plan;
use crate::log::{Entry, format_duration};

/// The line for what happened to a source.
pub(super) fn entry(
    source: &Named<SourceId>,
    fact: &SourceFact,
    repeats: Option<Repeats>,
    plan: &Plan,
) -> Option<Entry> {
    let entry = match fact {
        SourceFact::Delivered {
            request,
            bytes,
            duration,
            ..
        } => {
            if let Some(before) = repeats {
                let before = failed_before(before, "failed request");
                let message = format!("delivers again after {before}.");
                Entry::info("source-recovered", message).repeats(repeats)
            } else {
                let (number, time) = (request.0, format_duration(*duration));
                let message = format!("request {number} brought {bytes} bytes in {time}.");
                Entry::new(Level::Debug, "delivered", message)
            }
        }
        SourceFact::DeliveryRejected {
            check,
            bytes,
            in_a_row,
            next,
            ..
        } => {
            let row = match in_a_row {
                1 => String::new(),
                n => format!(" It was delivery {n} in a row that failed a check."),
            };
            let (name, meaning) = (check.name(), check.meaning());
            let message = format!(
                "dropped a delivery of {bytes} bytes, which failed the check {name}: \
                 {meaning}.{row} {}{}",
                next_step(*next),
                without_it(plan)
            );
            Entry::new(Level::Error, "check-failed", message)
                .with("check", name)
                .with("bytes", *bytes)
                .with("in_a_row", *in_a_row)
                .next(*next)
        }
        SourceFact::FetchFailed { failure, next, .. } => {
            let level = if stops_all(plan) {
                Level::Error
            } else {
                Level::Warn
            };
            let sentence = sentence(&failure.text, repeats, "failed request");
            let (next_step, without) = (next_step(*next), without_it(plan));
            let message = format!("{sentence} {next_step}{without}");
            Entry::new(level, "source-failed", message)
                .with("error", failure.text.as_str())
                .with("code", failure.code)
                .repeats(repeats)
                .next(*next)
        }
        SourceFact::Expired { bytes } => {
            let message = format!("wiped {bytes} bytes that became too old.");
            Entry::new(Level::Debug, "expired", message)
        }
        SourceFact::BudgetLow { spent, limit } => {
            let percent = u128::from(*spent) * 100 / u128::from((*limit).max(1));
            let message = format!(
                "{percent} % of its budget is spent: {spent} of {limit} bytes this month. At 100 % \
                 qseed stops using it until the budget resets."
            );
            Entry::new(Level::Warn, "budget-low", message)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        SourceFact::BudgetSpent { spent, limit } => {
            let rest = match limit.saturating_sub(*spent) {
                0 => "",
                _ => ", and the rest is too little for a request",
            };
            let message = format!(
                "its budget is spent: {spent} of {limit} bytes this month{rest}. qseed does not use \
                 it until the budget resets or you raise `budget`.{}",
                without_it(plan)
            );
            Entry::new(Level::Error, "budget-spent", message)
                .with("spent", *spent)
                .with("limit", *limit)
        }
        SourceFact::Removed => return None,
    };
    Some(entry.about("source", &source.name))
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
