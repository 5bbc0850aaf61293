//! The records that a command is to print, and what is wrong with those that it met.

use std::collections::BTreeSet;
use std::fmt::Display;

use qseed_config::near;

use super::lines::Line;
use super::view::View;
use super::walk::{Item, Place, unreadable_part};
use crate::cli::FilterArgs;
use crate::exit::{Code, Failure, remark};
use crate::log::printable;
use crate::print::count;

/// So many damaged lines are named one by one.
const NAMED: u64 = 20;
/// So many names of partitions are remembered, to suggest one of them.
const REMEMBERED: usize = 10_000;

/// Reads records.
pub(crate) struct Records<'a> {
    filter: &'a FilterArgs,
    damaged: u64,
    /// The partitions that were meant and not met yet.
    missing: BTreeSet<&'a str>,
    /// The partitions that were met, as long as one is missing.
    met: BTreeSet<String>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(filter: &'a FilterArgs) -> Self {
        Self {
            filter,
            damaged: 0,
            missing: filter.partition.iter().map(String::as_str).collect(),
            met: BTreeSet::new(),
        }
    }

    /// The record that stands there, if it is meant.
    ///
    /// # Errors
    /// Where a file cannot be read on.
    pub(crate) fn read(
        &mut self,
        place: Place<'_>,
        item: &Item<'_>,
    ) -> Result<Option<View>, Failure> {
        match item {
            Item::Line(Line::Whole(line)) => Ok(self.take(&place, line)),
            // It is being written, or its writer was killed.
            Item::Line(Line::Torn(_)) => Ok(None),
            Item::Line(Line::TooLong) => {
                self.damaged(&place);
                Ok(None)
            }
            Item::Unreadable(why) => Err(unreadable_part(place, why)),
        }
    }

    /// The record of this line, if it is meant.
    pub(crate) fn take(&mut self, place: &dyn Display, line: &[u8]) -> Option<View> {
        let Some(record) = View::parse(line) else {
            self.damaged(place);
            return None;
        };
        self.meant(record)
    }

    fn damaged(&mut self, place: &dyn Display) {
        self.damaged += 1;
        if self.damaged <= NAMED {
            remark(&format!("{place}: this is no record"));
        }
    }

    fn meant(&mut self, record: View) -> Option<View> {
        if !self.missing.is_empty() {
            for outcome in record.outcomes() {
                self.missing.remove(outcome.partition);
                if self.met.len() < REMEMBERED && !self.met.contains(outcome.partition) {
                    self.met.insert(outcome.partition.to_owned());
                }
            }
        }
        self.filter.takes(&record).then_some(record)
    }

    /// Fails if lines were damaged, or if no record knows a partition that was named.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.damaged > 0 {
            let lines = count(self.damaged, "damaged line");
            let text = format!("{lines} left out; see what was changed: qseed audit verify");
            return Err(Failure::new(Code::Changed, text));
        }
        let Some(missing) = self.missing.first() else {
            return Ok(());
        };
        let known: Vec<&str> = self.met.iter().map(String::as_str).collect();
        let mut similar = near(missing, known.iter().copied());
        similar.truncate(3);
        let list = |names: &[&str], between| {
            let names: Vec<_> = names.iter().map(|name| printable(name)).collect();
            names.join(between)
        };
        let advice = match (similar.is_empty(), known.len()) {
            (false, _) => format!("; did you mean {}?", list(&similar, " or ")),
            (true, 1..=20) => format!("; it has {}", list(&known, ", ")),
            (true, _) => String::new(),
        };
        let text = format!("the ledger has no partition {}{advice}", printable(missing));
        Err(Failure::new(Code::Usage, text))
    }
}
