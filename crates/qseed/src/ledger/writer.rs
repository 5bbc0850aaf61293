//! The ledger's thread: it writes what waits in the queue, one sync for all that came together, and
//! signs the tree on time.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use qseed_config::AuditMode;
use qseed_ledger::record::{self, Body};
use tokio::sync::mpsc::UnboundedSender;

use super::Report;
use super::files::{Files, LedgerError, Opened, Place};
use super::queue::{Entry, Lost, Queue};
use super::standing::HANGS;
use crate::exit::Failure;
use crate::log::format_time;

/// A checkpoint is written at least so often.
const CHECKPOINT: Duration = Duration::from_secs(60);
/// One that is signed with ML-DSA-44 as well is written at least so often.
const STRONG: Duration = Duration::from_secs(3600);
/// A write that failed is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// The bytes that one write has, about.
const BATCH: usize = 1 << 20;

/// What the thread works with.
pub(super) struct Writer {
    pub(super) place: Place,
    pub(super) mode: AuditMode,
    pub(super) queue: Arc<Queue>,
    pub(super) reports: UnboundedSender<Report>,
    files: Option<Files>,
    /// Records that could not be written yet.
    unwritten: Vec<Entry>,
    lost: Option<Lost>,
    /// Why the last attempt failed.
    fault: Option<String>,
    checkpoint_due: Instant,
    strong_due: Instant,
    has_started: bool,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        mode: AuditMode,
        queue: Arc<Queue>,
        reports: UnboundedSender<Report>,
    ) -> Self {
        let now = Instant::now();
        Self {
            place,
            mode,
            queue,
            reports,
            files: None,
            unwritten: Vec::new(),
            lost: None,
            fault: None,
            checkpoint_due: now,
            strong_due: now,
            has_started: false,
        }
    }

    /// Opens the files, reports to `opened` whether the daemon may start, and works until the queue
    /// is closed.
    pub(super) fn run(mut self, opened: &SyncSender<Result<(), Failure>>) {
        let first = self.work(false);
        if let Err(why) = &first
            && let Some(code) = why.ends_start()
        {
            let _ = opened.send(Err(Failure::new(code, why.to_string())));
            return;
        }
        let _ = opened.send(Ok(()));
        while !self.round() {}
    }

    /// Waits for something to do and does it. Returns whether that was the end.
    fn round(&mut self) -> bool {
        if self.fault.is_some() {
            let is_closed = self.queue.wait(Instant::now() + RETRY);
            let failed = self.work(false).is_err();
            return is_closed && failed;
        }
        let taken = self.queue.take(self.checkpoint_due, BATCH);
        self.unwritten = taken.entries;
        self.lost = taken.lost;
        let _ = self.work(taken.is_last);
        taken.is_last
    }

    /// Does what there is to do, and reports how it went.
    fn work(&mut self, is_last: bool) -> Result<(), LedgerError> {
        let began = Instant::now();
        self.queue.begin_work();
        let mut result = self.step(began, is_last);
        if matches!(result, Err(LedgerError::Changed(_))) {
            // What is there now may be in order.
            result = self.step(Instant::now(), is_last);
        }
        if result.is_err() {
            self.answer(false);
        }
        self.queue.end_work();
        let fault = result.as_ref().err().map(ToString::to_string);
        match &fault {
            Some(why) => self.report(Report::Failed(why.clone())),
            None if self.fault.is_some() || began.elapsed() > HANGS / 2 => {
                self.report(Report::Works);
            }
            None => {}
        }
        self.fault = fault;
        result
    }

    /// Answers the seeds that wait. If they were not recorded, their records will not be written.
    fn answer(&mut self, recorded: bool) {
        for entry in &mut self.unwritten {
            let intents = std::mem::take(&mut entry.intents);
            if !intents.is_empty() {
                entry.is_refused = !recorded;
                let report = Report::Intents { intents, recorded };
                let _ = self.reports.send(report);
            }
        }
        self.unwritten.retain(|entry| !entry.is_refused);
    }

    fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }

    /// Writes what waits, and signs what is due.
    fn step(&mut self, now: Instant, is_last: bool) -> Result<(), LedgerError> {
        self.open(now)?;
        let mut probed = self.write()?;
        let Some(files) = &mut self.files else {
            return Ok(());
        };
        let strong = is_last || now >= self.strong_due;
        if strong || now >= self.checkpoint_due || (self.fault.is_some() && !probed) {
            let note = files.sign(Timestamp::now(), strong)?;
            self.checkpoint_due = now + CHECKPOINT;
            if strong {
                let _ = self.reports.send(Report::Signed(note));
                self.strong_due = now + STRONG;
            }
            probed = true;
        }
        let rotate = self.queue.rotate();
        if probed && !is_last && files.is_full(rotate) {
            let note = files.rotate(Timestamp::now(), rotate)?;
            let _ = self.reports.send(Report::Signed(note));
            self.checkpoint_due = now + CHECKPOINT;
            self.strong_due = now + STRONG;
        }
        Ok(())
    }

    /// Opens the files, if they are not open.
    fn open(&mut self, now: Instant) -> Result<(), LedgerError> {
        let files = match self.files.take() {
            Some(files) => files,
            None => Files::lock(self.place.clone())?,
        };
        let files = self.files.insert(files);
        if files.is_open() {
            return Ok(());
        }
        let opened = files.open(Timestamp::now())?;
        let mut first = Vec::new();
        if !self.has_started || matches!(opened, Opened::NewOrigin { .. }) {
            self.has_started = true;
            self.checkpoint_due = now;
            self.strong_due = now;
            first.push(self.started());
        }
        if let Opened::Recovered { cut_bytes, because } = opened.clone() {
            first.push(Body::Recovered(record::Recovered { cut_bytes, because }));
        }
        let first = first.into_iter().map(Entry::of_the_thread);
        self.unwritten.splice(..0, first);
        self.report(Report::Opened(opened));
        Ok(())
    }

    fn started(&self) -> Body {
        Body::Started(record::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: match self.mode {
                AuditMode::BestEffort => "best-effort".to_owned(),
                AuditMode::Required => "required".to_owned(),
            },
            hardening: self.place.hardening.clone(),
        })
    }

    /// Writes the records that wait. Returns whether there were some.
    fn write(&mut self) -> Result<bool, LedgerError> {
        let Some(files) = &mut self.files else {
            return Ok(false);
        };
        let lost = self.lost.map(|lost| {
            let because = self.fault.clone();
            let because = because.unwrap_or_else(|| "the disk was too slow".to_owned());
            Body::Lost(record::Lost {
                records: lost.records,
                seeds: lost.seeds,
                since: format_time(lost.since),
                until: format_time(lost.until),
                because,
            })
        });
        if self.unwritten.is_empty() && lost.is_none() {
            return Ok(false);
        }
        let records = self.unwritten.iter().map(|it| (it.time, &it.body));
        let lost = lost.iter().map(|body| (Timestamp::now(), body));
        files.append(records.chain(lost))?;
        self.answer(true);
        self.lost = None;
        if let Some(last) = self.unwritten.drain(..).map(|entry| entry.ticket).max() {
            self.queue.set_recorded(last);
            if self.mode == AuditMode::Required {
                self.report(Report::Recorded);
            }
        }
        Ok(true)
    }
}
