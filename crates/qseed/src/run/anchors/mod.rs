//! The desk for anchors: what carries the ledger's checkpoints out of the host, so that a thief of
//! host and key cannot rewrite the past. Nothing waits for it.
//!
//! A task for each witness, one for the anchor command, and one that keeps the cosignatures. Each
//! takes the newest strong checkpoint when it is free.

mod command;
mod lines;
mod standing;
mod strong;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use qseed_config::{Anchor, Audit};
use qseed_http::{Helper, SystemRoots};
use qseed_ledger::note::{Note, Signature};
use qseed_ledger::record::{Anchored, Body, Witnessed};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Incoming;
use crate::assemble::witness_service;
use crate::ledger;
use crate::log::Entry;
use command::{RUNS_AT_MOST, Run, Running};
use standing::Standing;
use strong::Strong;
use witness::{Cosigned, Trouble, Witness};

/// The newest strong checkpoint.
type Newest = watch::Receiver<Option<Arc<Strong>>>;

/// The desk.
#[derive(Debug)]
pub(super) struct Anchors {
    strong: watch::Sender<Option<Arc<Strong>>>,
    events: UnboundedSender<Incoming>,
    roots: SystemRoots,
    /// What the tasks were started with.
    audit: Audit,
    file: PathBuf,
    running: Running,
    tasks: JoinSet<()>,
}

impl Anchors {
    pub(super) fn start(
        audit: &Audit,
        state_dir: &Path,
        roots: SystemRoots,
        events: UnboundedSender<Incoming>,
    ) -> Self {
        let mut anchors = Self {
            strong: watch::Sender::new(None),
            events,
            roots,
            audit: audit.clone(),
            file: ledger::file(audit, state_dir),
            running: Running::default(),
            tasks: JoinSet::new(),
        };
        anchors.start_tasks();
        anchors
    }

    fn start_tasks(&mut self) {
        let (to_keep, cosigned) = unbounded_channel();
        for witness in &self.audit.witnesses {
            let http = witness_service(witness);
            let desk = Desk {
                witness: Witness::new(witness.key.clone(), http, &self.roots, self.file.clone()),
                standing: Standing::default(),
                to_keep: to_keep.clone(),
                events: self.events.clone(),
            };
            self.tasks.spawn(desk.run(self.strong.subscribe()));
        }
        self.tasks
            .spawn(keep(cosigned, self.file.clone(), self.events.clone()));
        if let Some(anchor) = &self.audit.anchor {
            self.running = Running::default();
            let (anchor, running) = (anchor.clone(), self.running.clone());
            let (newest, events) = (self.strong.subscribe(), self.events.clone());
            self.tasks.spawn(carry(anchor, running, newest, events));
        }
    }

    /// Takes in a strong checkpoint.
    pub(super) fn signed(&self, note: &str) {
        // The ledger's thread made it.
        if let Ok(strong) = note.parse() {
            self.strong.send_replace(Some(Arc::new(strong)));
        }
    }

    /// Takes on other witnesses or another command. They get the newest checkpoint at once.
    pub(super) fn configure(&mut self, audit: &Audit) {
        let is_same = self.audit.witnesses == audit.witnesses && self.audit.anchor == audit.anchor;
        if !is_same {
            self.stop();
            self.audit.witnesses.clone_from(&audit.witnesses);
            self.audit.anchor.clone_from(&audit.anchor);
            self.start_tasks();
        }
    }

    /// Ends all tasks, and the command if it runs.
    pub(super) fn stop(&mut self) {
        self.tasks.abort_all();
        self.running.stop();
    }
}

/// Reports to the daemon's loop, which outlives the tasks.
fn report(events: &UnboundedSender<Incoming>, what: Incoming) {
    let _ = events.send(what);
}

/// A witness, what the log says of it, and where its cosignatures go.
struct Desk {
    witness: Witness,
    standing: Standing,
    to_keep: UnboundedSender<(Arc<Strong>, Signature)>,
    events: UnboundedSender<Incoming>,
}

impl Desk {
    /// Has each new checkpoint cosigned.
    async fn run(mut self, mut newest: Newest) {
        // One that was made before.
        newest.mark_changed();
        let mut retry = None;
        loop {
            let wait = async {
                match retry {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = wait => {}
            }
            let Some(strong) = newest.borrow_and_update().clone() else {
                continue;
            };
            let result = self.witness.submit(&strong).await;
            retry = self.take(&strong, result).map(|wait| Instant::now() + wait);
        }
    }

    /// Takes in what a witness said. Returns when to try again, if not at the next checkpoint.
    fn take(&mut self, strong: &Arc<Strong>, said: Result<Cosigned, Trouble>) -> Option<Duration> {
        let (name, size) = (self.witness.name(), strong.checkpoint.size);
        match said {
            Ok(Cosigned { signature, forgot }) => {
                if let Some(records) = forgot {
                    self.say(lines::forgot(name, records));
                }
                let worked = self.standing.works(Instant::now());
                self.say(lines::cosigned(name, size, worked));
                let _ = self.to_keep.send((Arc::clone(strong), signature));
                None
            }
            Err(trouble) => {
                let step = self.standing.fails(Instant::now(), &trouble);
                if step.is_news {
                    self.say(lines::not_cosigned(name, &trouble, step.retry));
                }
                step.retry
            }
        }
    }

    fn say(&self, entry: Entry) {
        report(&self.events, Incoming::Log(entry));
    }
}

/// Records cosignatures, and keeps those of the newest checkpoint that has one beside the ledger.
async fn keep(
    mut cosigned: UnboundedReceiver<(Arc<Strong>, Signature)>,
    file: PathBuf,
    events: UnboundedSender<Incoming>,
) {
    let mut writing = Helper::new("audit-witnessed");
    let mut newest: Option<(Arc<Strong>, Note)> = None;
    while let Some((strong, signature)) = cosigned.recv().await {
        let with = |mut note: Note| note.add(signature.clone()).map(|()| note);
        let Ok(note) = with(strong.note.clone()) else {
            continue;
        };
        let witnessed = Witnessed {
            witness: signature.name().to_owned(),
            size: strong.checkpoint.size,
            note: note.to_string(),
        };
        report(
            &events,
            Incoming::Record(Box::new(Body::Witnessed(witnessed))),
        );
        let note = match &newest {
            Some((of, _)) if of.is_newer_than(&strong) => continue,
            Some((of, before)) if of.checkpoint == strong.checkpoint => {
                with(before.clone()).unwrap_or(note)
            }
            _ => note,
        };
        let (file, text) = (file.clone(), note.to_string());
        newest = Some((strong, note));
        let write = move || ledger::write_witnessed(&file, &text).map_err(io::Error::other);
        if let Err(why) = writing.run(write).await.and_then(|written| written) {
            report(&events, Incoming::Log(lines::not_kept(&why)));
        }
    }
}

/// Runs the anchor command with each new checkpoint, one at a time.
async fn carry(
    anchor: Anchor,
    running: Running,
    mut newest: Newest,
    events: UnboundedSender<Incoming>,
) {
    let mut work = Helper::new("anchor");
    newest.mark_changed();
    while newest.changed().await.is_ok() {
        let Some(strong) = newest.borrow_and_update().clone() else {
            continue;
        };
        let (size, note) = (strong.checkpoint.size, strong.note.to_string());
        let (command, running) = (anchor.clone(), running.clone());
        let run = move || command::run(&command, &note, RUNS_AT_MOST, &running);
        let run = work.run(run).await.unwrap_or_else(Run::not_started);
        report(&events, Incoming::Log(lines::anchored(size, &run)));
        let anchored = Anchored {
            command: anchor.program.display().to_string(),
            size,
            code: run.code(),
            said: run.said,
        };
        report(
            &events,
            Incoming::Record(Box::new(Body::Anchored(anchored))),
        );
    }
}
