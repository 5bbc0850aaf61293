//! A thread that writes and syncs the files of the state directory: a slow disk delays only the PIN
//! or the request that needs the record.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Duration;

use qseed_engine::Event;
use qseed_model::pins::{HeldBack, PinAnswer, PinTag, PinTags};
use tokio::sync::mpsc::UnboundedSender;

use super::usage::UsageFile;
use super::{Flag, Incoming};
use crate::guard_file::{Entry, GuardFile};
use crate::say::shell;
use crate::state_dir::{StateDir, StateDirError};

/// How long the last records may take to be written.
const LAST_RECORDS_WITHIN: Duration = Duration::from_millis(500);

/// Answers that could not be recorded, and a guard's file that could not be opened, are tried again
/// after this time.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Order {
    Guard(Entry),
    /// Reads what the operator, or another process, recorded.
    Refresh,
    /// Writes what sources were asked for by then.
    Usage,
}

/// The handle of the thread. Dropping it ends the thread once everything is written.
#[derive(Debug)]
pub(super) struct StateFiles {
    orders: Option<Sender<Order>>,
    /// Disconnected when the thread has written everything.
    finished: Receiver<()>,
    /// Whether the guard's key may be made: it has no record that was made with another one.
    pub(super) key_may_be_made: Flag,
}

impl StateFiles {
    /// Starts the thread with the guard's file, if the daemon needs one, and with the file of what
    /// sources were asked for. Reports what is wrong with them.
    pub(super) fn start(
        state_dir: PathBuf,
        guard: Result<Option<GuardFile>, String>,
        (usage, read): (UsageFile, Result<(), String>),
        events: UnboundedSender<Incoming>,
    ) -> std::io::Result<Self> {
        let (guard, guard_fault) = match guard {
            Ok(file) => (file, None),
            Err(why) => (None, Some(GuardFault::CannotWrite(why))),
        };
        let mut writer = Writer {
            state_dir,
            guard,
            events,
            guard_fault: None,
            usage,
            usage_fault: None,
            unwritten: Vec::new(),
            key_may_be_made: Arc::new(AtomicBool::new(false)),
        };
        writer.report_guard(guard_fault.or(writer.lost()));
        writer.report_usage(read.err());
        writer.set_flag();
        let key_may_be_made = Arc::clone(&writer.key_may_be_made);
        let (orders, to_do) = channel();
        let (until_written, finished) = channel();
        std::thread::Builder::new()
            .name("state-files".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                writer.run(&to_do);
                // It leaves the guard's file first.
                drop(writer);
                drop(until_written);
            })?;
        Ok(Self {
            orders: Some(orders),
            finished,
            key_may_be_made,
        })
    }

    /// Writes what sources were asked for.
    pub(super) fn write_usage(&self) {
        self.order(Order::Usage);
    }

    /// Asks the guard's file whether a PIN may be presented, and records that it is. Answered by
    /// `PinJudged`.
    pub(super) fn present(&self, tags: PinTags, partition: String) {
        self.order(Order::Guard(Entry::Present(tags, partition)));
    }

    /// Records what a token answered, and what it said for people.
    pub(super) fn record(&self, tag: PinTag, answer: PinAnswer, said: Option<String>) {
        self.order(Order::Guard(Entry::Answer(tag, answer, said)));
    }

    /// Reads what others recorded. Answered by a `GuardChanged` for each device.
    pub(super) fn refresh(&self) {
        self.order(Order::Refresh);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    /// Waits until everything is written, but not for a disk that hangs.
    pub(super) fn finish(&mut self) {
        self.orders.take();
        let _ = self.finished.recv_timeout(LAST_RECORDS_WITHIN);
    }
}

/// Why nobody can log in.
#[derive(Debug, thiserror::Error)]
enum GuardFault {
    #[error(
        "{0}. Until qseed can write it, it presents no PIN. Free disk space, or let qseed write to \
         `state_dir`."
    )]
    CannotWrite(String),
    #[error(
        "{0}. Records of refused PINs may be missing, so qseed presents no PIN until you run: qseed \
         guard --reset"
    )]
    Lost(String),
}

/// What the thread works with.
struct Writer {
    state_dir: PathBuf,
    guard: Option<GuardFile>,
    events: UnboundedSender<Incoming>,
    /// The faults that were reported last.
    guard_fault: Option<GuardFault>,
    usage_fault: Option<String>,
    usage: UsageFile,
    /// Answers that could not be recorded yet.
    unwritten: Vec<Entry>,
    key_may_be_made: Flag,
}

impl Writer {
    fn run(&mut self, to_do: &Receiver<Order>) {
        loop {
            let first = if self.unwritten.is_empty() && !self.is_closed() {
                to_do.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                to_do.recv_timeout(RETRY)
            };
            let ends = matches!(first, Err(RecvTimeoutError::Disconnected));
            // What has queued up meanwhile shares one sync.
            let mut entries = std::mem::take(&mut self.unwritten);
            let (mut refresh, mut usage) = (self.is_closed() && !ends, ends);
            for order in first.into_iter().chain(to_do.try_iter()) {
                match order {
                    Order::Guard(entry) => entries.push(entry),
                    Order::Refresh => refresh = true,
                    Order::Usage => usage = true,
                }
            }
            if !entries.is_empty() {
                self.record(entries);
                refresh = true;
            }
            if refresh {
                self.refresh();
                self.set_flag();
            }
            if usage {
                let fault = self.usage.write().err();
                self.report_usage(fault);
            }
            if ends {
                return;
            }
        }
    }

    fn report(&self, event: Incoming) {
        let _ = self.events.send(event);
    }

    fn set_flag(&self) {
        let may_be = self.guard.as_ref().is_some_and(GuardFile::key_may_be_made);
        self.key_may_be_made.store(may_be, Ordering::Relaxed);
    }

    /// Reports a fault of the guard's file, or its end, when that changes.
    fn report_guard(&mut self, fault: Option<GuardFault>) {
        let kind = |fault: &Option<GuardFault>| fault.as_ref().map(std::mem::discriminant);
        if kind(&fault) != kind(&self.guard_fault) {
            self.report(Incoming::Log(shell::guard_file(fault.as_ref())));
        }
        self.guard_fault = fault;
    }

    /// The same for the file of what sources were asked for.
    fn report_usage(&mut self, fault: Option<String>) {
        if fault != self.usage_fault {
            self.report(Incoming::Log(shell::usage_file(fault.as_deref())));
            self.usage_fault = fault;
        }
    }

    /// Hands entries to the guard's file. Answers of tokens are kept until they are recorded.
    fn record(&mut self, entries: Vec<Entry>) {
        let (held, fault) = match self.append(&entries) {
            Ok(held) => (held, self.lost()),
            Err(why) => {
                let held = vec![Some(HeldBack::NotRecorded); entries.len()];
                let answers = entries
                    .iter()
                    .filter(|it| !matches!(it, Entry::Present(..)));
                self.unwritten = answers.cloned().collect();
                (held, Some(GuardFault::CannotWrite(why.to_string())))
            }
        };
        self.report_guard(fault);
        for (entry, held_back) in entries.into_iter().zip(held) {
            if let Entry::Present(tags, _) = entry {
                let tag = tags.tag;
                self.report(Incoming::Engine(Event::PinJudged { tag, held_back }));
            }
        }
    }

    fn append(&mut self, entries: &[Entry]) -> Result<Vec<Option<HeldBack>>, StateDirError> {
        let guard = match self.guard.take() {
            Some(guard) => guard,
            None => self.open()?,
        };
        self.guard.insert(guard).append(entries)
    }

    /// Whether the guard's file, which is needed, could not be opened.
    fn is_closed(&self) -> bool {
        self.guard.is_none() && self.guard_fault.is_some()
    }

    fn open(&self) -> Result<GuardFile, StateDirError> {
        GuardFile::open(StateDir::create(&self.state_dir)?)
    }

    fn lost(&self) -> Option<GuardFault> {
        let why = self.guard.as_ref()?.lost()?;
        Some(GuardFault::Lost(why.to_owned()))
    }

    /// Tells the engine what other processes recorded.
    fn refresh(&mut self) {
        if self.is_closed()
            && let Ok(guard) = self.open()
        {
            self.guard = Some(guard);
            self.report_guard(self.lost());
        }
        let Some(guard) = &mut self.guard else { return };
        let was_lost = guard.lost().is_some();
        match guard.refresh() {
            Ok(changed) => {
                let is_lost = guard.lost().is_some();
                if was_lost != is_lost {
                    self.report_guard(self.lost());
                }
                if was_lost && !is_lost {
                    self.report(Incoming::Engine(Event::GuardChanged { device: None }));
                }
                for device in changed {
                    let device = Some(device);
                    self.report(Incoming::Engine(Event::GuardChanged { device }));
                }
            }
            Err(why) => self.report_guard(Some(GuardFault::CannotWrite(why.to_string()))),
        }
    }
}
