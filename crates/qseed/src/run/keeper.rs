//! The keeper of the state directory's files: a thread that writes and syncs, so that a slow disk
//! makes nobody wait but the PIN or the request that it is about.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Duration;

use jiff::Timestamp;
use qseed_engine::PinTag;
use qseed_engine::guard::{Recording, Standing};
use tokio::sync::mpsc::UnboundedSender;

use super::usage::Usage;
use super::{Flag, Incoming};
use crate::guard_file::{Device, Entry, GuardFile, Record, Taken};

/// How long the last records may take to be written.
const LAST_RECORDS_WITHIN: Duration = Duration::from_millis(500);

/// One thing to write down.
#[derive(Debug)]
pub(super) struct ToRecord {
    pub(super) tag: PinTag,
    pub(super) partition: String,
    pub(super) standing: Option<Standing>,
    /// Whether a presentation waits for it.
    pub(super) answer: bool,
    /// What the token answered, for people.
    pub(super) token_said: Option<String>,
    pub(super) device: Option<Device>,
}

#[derive(Debug)]
enum Order {
    Record(ToRecord),
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
            Err(why) => (None, Some(why)),
        };
        let mut book = Book {
            state_dir,
            file,
            events,
            guard_trouble: None,
            usage,
            usage_trouble: None,
            key_may_be_made: Arc::new(AtomicBool::new(false)),
        };
        book.tell_guard_trouble(guard_trouble);
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

    /// Writes something down. Answered by `PinRecorded` where a presentation waits for it.
    pub(super) fn record(&self, record: ToRecord) {
        self.order(Order::Record(record));
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

struct Book {
    state_dir: PathBuf,
    file: Option<GuardFile>,
    events: UnboundedSender<Incoming>,
    /// The trouble that was told last.
    guard_trouble: Option<String>,
    usage: Usage,
    usage_trouble: Option<String>,
    key_may_be_made: Flag,
}

impl Book {
    fn keep(&mut self, to_do: &Receiver<Order>) {
        while let Ok(first) = to_do.recv() {
            // What has queued up meanwhile shares one sync.
            let mut records = Vec::new();
            let mut look = false;
            let mut usage = false;
            for order in std::iter::once(first).chain(to_do.try_iter()) {
                match order {
                    Order::Record(record) => records.push(record),
                    Order::Look => look = true,
                    Order::Usage => usage = true,
                }
            }
            if !records.is_empty() {
                self.write(records);
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
    }

    fn say(&self, event: Incoming) {
        let _ = self.events.send(event);
    }

    fn set_flag(&self) {
        let may_be = self.file.as_ref().is_some_and(GuardFile::key_may_be_made);
        self.key_may_be_made.store(may_be, Ordering::Relaxed);
    }

    /// Says that the guard's file is in trouble or out of it, when that changes.
    fn tell_guard_trouble(&mut self, trouble: Option<String>) {
        if trouble != self.guard_trouble {
            self.guard_trouble.clone_from(&trouble);
            self.say(Incoming::GuardFile(trouble.map_or(Ok(()), Err)));
        }
    }

    /// The same of the file of what sources were asked for.
    fn tell_usage_trouble(&mut self, trouble: Option<String>) {
        if trouble != self.usage_trouble {
            self.usage_trouble.clone_from(&trouble);
            self.say(Incoming::UsageFile(trouble.map_or(Ok(()), Err)));
        }
    }

    fn write(&mut self, orders: Vec<ToRecord>) {
        // Of two records of one tag, the second is judged by the first.
        let mut written = Vec::new();
        let mut trouble = None;
        let mut rest = orders;
        while !rest.is_empty() {
            let mut batch = Vec::new();
            let mut later = Vec::new();
            for order in rest {
                if batch.iter().any(|other: &ToRecord| other.tag == order.tag) {
                    later.push(order);
                } else {
                    batch.push(order);
                }
            }
            rest = later;
            match self.append(&batch) {
                Ok(taken) => written.extend(batch.into_iter().zip(taken.into_iter().map(Some))),
                Err(why) => {
                    trouble = Some(why);
                    written.extend(batch.into_iter().map(|order| (order, None)));
                }
            }
        }
        self.tell_guard_trouble(trouble);
        for (order, taken) in written {
            if order.answer {
                self.say(Incoming::PinRecorded {
                    tag: order.tag,
                    recording: match taken {
                        Some(Taken::Written) => Recording::Written,
                        Some(Taken::DeviceInDoubt) => Recording::DeviceInDoubt,
                        Some(Taken::HeldBack) | None => Recording::Failed,
                    },
                });
            }
            let unknown = matches!(taken, Some(Taken::HeldBack) | None);
            if unknown && let Some(file) = &self.file {
                let standing = file.standing(order.tag);
                self.say(Incoming::GuardChanged {
                    tag: order.tag,
                    standing,
                });
            }
        }
    }

    fn append(&mut self, batch: &[ToRecord]) -> Result<Vec<Taken>, String> {
        if self.file.is_none() {
            self.file = Some(GuardFile::open(&self.state_dir).map_err(|why| why.to_string())?);
        }
        let file = self.file.as_mut().expect("it was just opened");
        let records = batch
            .iter()
            .map(|order| {
                let record = Record {
                    tag: order.tag.0,
                    standing: order.standing.map(Into::into),
                    partition: order.partition.clone(),
                    since: Timestamp::now(),
                    answer: order.token_said.clone(),
                    device: order.device,
                };
                Entry {
                    record,
                    presents: order.answer,
                }
            })
            .collect();
        file.append(records).map_err(|why| why.to_string())
    }

    fn look(&mut self) {
        let Some(file) = &mut self.file else { return };
        match file.refresh() {
            Ok(changed) => {
                let standings: Vec<_> = changed
                    .into_iter()
                    .map(|tag| (tag, file.standing(tag)))
                    .collect();
                for (tag, standing) in standings {
                    self.say(Incoming::GuardChanged { tag, standing });
                }
            }
            Err(why) => self.tell_guard_trouble(Some(why.to_string())),
        }
    }
}
