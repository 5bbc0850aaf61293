//! `qseed audit show`: the records for people.

use std::ops::ControlFlow;

use super::describe::describe;
use super::ledger_file;
use super::records::Records;
use super::set::Set;
use super::view::View;
use super::walk::walk;
use crate::cli::{FilterArgs, ShowArgs};
use crate::exit::Failure;
use crate::print::Printer;

/// Prints the records that are meant, one a line. Verifies nothing.
pub(crate) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let file = ledger_file(args.file.as_deref(), &args.config)?;
    let mut out = Printer::new();
    let mut records = Records::new(&args.filter);
    let shown = walk(&Set::of(&file)?, |place, item| {
        match records.read(place, &item)? {
            Some(record) => out.print(&line(&record, &args.filter)),
            None => Ok(ControlFlow::Continue(())),
        }
    });
    out.finish()?;
    shown?;
    records.finish()
}

fn line(record: &View, filter: &FilterArgs) -> String {
    let (seq, time) = (record.seq, record.text("time"));
    let text = describe(record, filter);
    format!("{seq:>8}  {time}  {:<10}  {text}\n", record.text("event"))
}
