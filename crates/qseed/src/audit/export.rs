//! `qseed audit export`: records with their proofs, as a table, or all of them as tiles.

use std::fs;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::Path;

use qseed_ledger::export::{END, Entry, Head};
use qseed_ledger::tiles::{TileFile, Tiles};

use super::proving::Provable;
use super::records::Records;
use super::set::Set;
use super::walk::walk;
use super::{csv, ledger_file};
use crate::cli::{ExportArgs, FilterArgs};
use crate::exit::{Code, Failure, remark};
use crate::print::{Printer, count};

/// Prints the records that are meant, or writes all of them as tiles.
pub(crate) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let file = ledger_file(args.file.as_deref(), &args.config)?;
    match &args.tiles {
        Some(folder) => tiles(&file, folder),
        None if args.csv => table(&file, &args.filter),
        None => proofs(&file, &args.filter),
    }
}

/// Records with their proofs.
fn proofs(file: &Path, filter: &FilterArgs) -> Result<(), Failure> {
    let mut ledger = Provable::read(file)?;
    let mut out = Printer::new();
    let mut records = Records::new(filter);
    let head = Head::new(ledger.keys.clone(), ledger.note.to_string());
    let mut between = "\n";
    let _ = out.print(&head.line())?;
    let choose = |seq, line: &[u8]| {
        records.take(&format_args!("record {seq}"), line)?;
        // A record is JSON, and so UTF-8.
        String::from_utf8(line.to_vec()).ok()
    };
    ledger.prove(choose, |index, line, proof| {
        let entry = Entry { index, line, proof };
        let step = out.print(&format!("{between}{}", entry.line()))?;
        between = ",\n";
        Ok(step)
    })?;
    let _ = out.print(&format!("\n{END}\n"))?;
    out.finish()?;
    records.finish()
}

/// A table, also of the records that no checkpoint signs yet.
fn table(file: &Path, filter: &FilterArgs) -> Result<(), Failure> {
    let mut out = Printer::new();
    let mut records = Records::new(filter);
    let _ = out.print(&csv::head())?;
    walk(&Set::of(file)?, |place, item| {
        match records.read(place, &item)? {
            Some(record) => out.print(&csv::rows(&record, filter)),
            None => Ok(ControlFlow::Continue(())),
        }
    })?;
    out.finish()?;
    records.finish()
}

/// The whole ledger as other people's log clients read it.
fn tiles(file: &Path, folder: &Path) -> Result<(), Failure> {
    let ledger = Provable::read(file)?;
    if ledger.first > 0 {
        let text = format!(
            "the records before {} were pruned, or not copied; tiles need a ledger from its first \
             record on",
            ledger.first
        );
        return Err(Failure::new(Code::Usage, text));
    }
    fs::create_dir(folder).map_err(|why| cannot_write(folder, &why))?;
    let mut tiles = Tiles::new();
    ledger.each(|_, line| {
        let files = tiles
            .append(line)
            .map_err(|why| Failure::internal("no tile", why))?;
        files.iter().try_for_each(|it| write(folder, it))?;
        Ok(ControlFlow::Continue(()))
    })?;
    tiles
        .partial()
        .iter()
        .try_for_each(|it| write(folder, it))?;
    let checkpoint = TileFile {
        path: "checkpoint".to_owned(),
        content: ledger.note.to_string().into_bytes(),
    };
    write(folder, &checkpoint)?;
    let records = count(ledger.checkpoint.size, "record");
    remark(&format!(
        "wrote {records} and the checkpoint to {}",
        folder.display()
    ));
    Ok(())
}

fn write(folder: &Path, file: &TileFile) -> Result<(), Failure> {
    let path = folder.join(&file.path);
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, &file.content)
    };
    written().map_err(|why| cannot_write(&path, &why))
}

fn cannot_write(path: &Path, why: &io::Error) -> Failure {
    let (code, advice) = match why.kind() {
        ErrorKind::AlreadyExists => (Code::Usage, "; name a folder that does not exist yet"),
        ErrorKind::NotFound => (Code::Usage, "; make the folder around it first"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (Code::Permission, ""),
        _ => (Code::Internal, ""),
    };
    Failure::new(
        code,
        format!("cannot write {}: {why}{advice}", path.display()),
    )
}
