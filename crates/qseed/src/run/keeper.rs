//! The keeper of the state directory's files: a thread that writes and syncs, so that a slow disk
//! makes nobody wait but the PIN or the request that it is about.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Duration;

use qseed_model::pins::{HeldBack, PinAnswer, PinTag, PinTags};
use tokio::sync::mpsc::UnboundedSender;

use super::usage::Usage;
use super::{Flag, Incoming};
use crate::guard_file::{Entry, GuardFile};

/// How long the last records may take to be written.
const LAST_RECORDS_WITHIN: Duration = Duration::from_millis(500);

/// Answers that could not be recorded are tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Order {
    Guard(Entry),
    /// Look whether the operator, or another process, changed something.
    Look,
    /// Write what sources were asked for by then.
    Usage,
}

/// The handle of the keeper. Dropping it ends the thread once everything is written.
#[derive(Debug)]
pub(super) struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Disconnected when the thread has written everything.
    finished: Receiver<()>,
    /// Whether the guard holds no PIN back: only then may its key be made anew.
    pub(super) key_may_be_made: Flag,
}

impl Keeper {
    /// Starts the keeper with the guard's file, where one is needed, and with what sources were
    /// asked for. What is in trouble is said.
    pub(super) fn start(
        state_dir: PathBuf,
        guard: Result<Option<GuardFile>, String>,
        (usage, read): (Usage, Result<(), String>),
        events: UnboundedSender<Incoming>,
    ) -> std::io::Result<Self> {
        let (file, guard_trouble) = match guard {
            Ok(file) => (file, None),
            Err(why) => (None, Some(Trouble::CannotWrite(why))),
        };
        let mut book = Book {
            state_dir,
            file,
            events,
            guard_trouble: None,
            usage,
            usage_trouble: None,
            unwritten: Vec::new(),
            key_may_be_made: Arc::new(AtomicBool::new(false)),
        };
        book.tell_guard_trouble(guard_trouble.or(book.lost()));
        book.tell_usage_trouble(read.err());
        book.set_flag();
        let key_may_be_made = Arc::clone(&book.key_may_be_made);
        let (orders, to_do) = channel();
        let (until_written, finished) = channel();
        let thread = std::thread::Builder::new()
            .name("state-files".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                let _until_written = until_written;
                book.keep(&to_do);
            })?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            finished,
            key_may_be_made,
        })
    }

    /// Writes what sources were asked for.
    pub(super) fn write_usage(&self) {
        self.order(Order::Usage);
    }

    /// Has the guard's file judge a presentation, and record it. Answered by `PinJudged`.
    pub(super) fn present(&self, tags: PinTags, partition: String) {
        self.order(Order::Guard(Entry::Present(tags, partition)));
    }

    /// Records what a token answered, and what it said for people.
    pub(super) fn record(&self, tag: PinTag, answer: PinAnswer, said: Option<String>) {
        self.order(Order::Guard(Entry::Answer(tag, answer, said)));
    }

    /// Looks for changes that others made. Answered by `GuardChanged` for each.
    pub(super) fn look(&self) {
        self.order(Order::Look);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    /// Waits until everything is written, for as long as a disk may take: a daemon that is told to
    /// end must not hang with it.
    pub(super) fn finish(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take()
            && self.finished.recv_timeout(LAST_RECORDS_WITHIN) != Err(RecvTimeoutError::Timeout)
        {
            let _ = thread.join();
        }
    }
}

/// Why nobody can log in.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(
        "{0}. Until it can be written, no PIN is presented. Let qseed write to `state_dir`, or name \
         another one"
    )]
    CannotWrite(String),
    #[error(
        "{0}. Records of refused PINs may be missing, so no PIN is presented until somebody has \
         run: qseed guard --reset"
    )]
    Lost(String),
}

struct Book {
    state_dir: PathBuf,
    file: Option<GuardFile>,
    events: UnboundedSender<Incoming>,
    /// The trouble that was told last.
    guard_trouble: Option<Trouble>,
    usage: Usage,
    usage_trouble: Option<String>,
    /// Answers that could not be recorded yet.
    unwritten: Vec<Entry>,
    key_may_be_made: Flag,
}

impl Book {
    fn keep(&mut self, to_do: &Receiver<Order>) {
        loop {
            let first = if self.unwritten.is_empty() {
                to_do.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                to_do.recv_timeout(RETRY)
            };
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                break;
            }
            // What has queued up meanwhile shares one sync.
            let mut entries = std::mem::take(&mut self.unwritten);
            let mut look = false;
            let mut usage = false;
            for order in first.into_iter().chain(to_do.try_iter()) {
                match order {
                    Order::Guard(entry) => entries.push(entry),
                    Order::Look => look = true,
                    Order::Usage => usage = true,
                }
            }
            if !entries.is_empty() {
                self.write(entries);
            }
            if look {
                self.look();
            }
            self.set_flag();
            if usage {
                let trouble = self.usage.write(&self.state_dir).err();
                self.tell_usage_trouble(trouble);
            }
        }
        let last = std::mem::take(&mut self.unwritten);
        if !last.is_empty() {
            self.write(last);
        }
    }

    fn say(&self, event: Incoming) {
        let _ = self.events.send(event);
    }

    fn set_flag(&self) {
        let may_be = self.file.as_ref().is_some_and(GuardFile::key_may_be_made);
        self.key_may_be_made.store(may_be, Ordering::Relaxed);
    }

    /// Says that the guard's file is in trouble or out of it, when that changes.
    fn tell_guard_trouble(&mut self, trouble: Option<Trouble>) {
        let kind = |trouble: &Option<Trouble>| trouble.as_ref().map(std::mem::discriminant);
        if kind(&trouble) != kind(&self.guard_trouble) {
            let told = trouble
                .as_ref()
                .map_or(Ok(()), |trouble| Err(trouble.to_string()));
            self.say(Incoming::GuardFile(told));
        }
        self.guard_trouble = trouble;
    }

    /// The same of the file of what sources were asked for.
    fn tell_usage_trouble(&mut self, trouble: Option<String>) {
        if trouble != self.usage_trouble {
            self.usage_trouble.clone_from(&trouble);
            self.say(Incoming::UsageFile(trouble.map_or(Ok(()), Err)));
        }
    }

    /// Hands entries to the guard's file. What a token answered is kept until it is recorded.
    fn write(&mut self, entries: Vec<Entry>) {
        let (held, trouble) = match self.append(&entries) {
            Ok(held) => (held, self.lost()),
            Err(why) => {
                let held = vec![Some(HeldBack::NotRecorded); entries.len()];
                let answers = entries
                    .iter()
                    .filter(|it| !matches!(it, Entry::Present(..)));
                self.unwritten = answers.cloned().collect();
                (held, Some(Trouble::CannotWrite(why)))
            }
        };
        self.tell_guard_trouble(trouble);
        for (entry, held_back) in entries.into_iter().zip(held) {
            if let Entry::Present(tags, _) = entry {
                let tag = tags.tag;
                self.say(Incoming::PinJudged { tag, held_back });
            }
        }
        self.look();
    }

    fn append(&mut self, entries: &[Entry]) -> Result<Vec<Option<HeldBack>>, String> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let opened = GuardFile::open(&self.state_dir);
                none.insert(opened.map_err(|why| why.to_string())?)
            }
        };
        file.append(entries).map_err(|why| why.to_string())
    }

    fn lost(&self) -> Option<Trouble> {
        let why = self.file.as_ref()?.lost()?;
        Some(Trouble::Lost(why.to_owned()))
    }

    /// Tells the engine what other processes changed.
    fn look(&mut self) {
        let Some(file) = &mut self.file else { return };
        let was_lost = file.lost().is_some();
        match file.refresh() {
            Ok(changed) => {
                let found = was_lost && file.lost().is_none();
                if was_lost != file.lost().is_some() {
                    self.tell_guard_trouble(self.lost());
                }
                if found {
                    self.say(Incoming::GuardChanged { device: None });
                }
                for device in changed {
                    let device = Some(device);
                    self.say(Incoming::GuardChanged { device });
                }
            }
            Err(why) => self.tell_guard_trouble(Some(Trouble::CannotWrite(why.to_string()))),
        }
    }
}
