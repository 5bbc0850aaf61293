use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use qseed_config::{AuditMode, Rotate};
use qseed_engine::{Intent, JobId, PartitionId};
use qseed_ledger::record::{Body, Record, State};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{CHECKPOINT, Report, Writer};
use crate::ledger::files::{Opened, Place};
use crate::ledger::key::KeyPlace;
use crate::ledger::queue::{Queue, Ticket};

/// The thread's work, without the thread.
struct Scene {
    folder: tempfile::TempDir,
    queue: Arc<Queue>,
    writer: Writer,
    reports: UnboundedReceiver<Report>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = Arc::new(Queue::default());
        queue.set_rotate(Rotate::default());
        let (to_reports, reports) = unbounded_channel();
        let place = Place {
            file: folder.path().join("ledger/audit.jsonl"),
            key: KeyPlace::new(None, folder.path()),
            host: "host".to_owned(),
            hardening: std::collections::BTreeMap::new(),
        };
        let writer = Writer::new(place, AuditMode::Required, Arc::clone(&queue), to_reports);
        Self {
            folder,
            queue,
            writer,
            reports,
        }
    }

    /// The same, opened and signed once.
    fn opened() -> Self {
        let mut scene = Self::new();
        scene.writer.work(false).expect("opened");
        let reports = scene.reports();
        assert!(matches!(reports[0], Report::Opened(Opened::First)));
        scene
    }

    fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    fn bodies(&self) -> Vec<Body> {
        let path = self.folder.path().join("ledger/audit.jsonl");
        let text = fs::read_to_string(path).expect("a ledger");
        let records = text.lines().map(|line| Record::parse(line.as_bytes()));
        records.map(|it| it.expect("a record").body).collect()
    }

    fn events(&self) -> Vec<&'static str> {
        self.bodies().iter().map(Body::event).collect()
    }

    fn add(&self, intents: Vec<Intent>) -> Ticket {
        let body = Body::State(State {
            partition: "p".to_owned(),
            state: "seeded".to_owned(),
            before: None,
        });
        self.queue.add(Timestamp::now(), body, intents, true)
    }

    /// Takes the disk away, or brings it back.
    fn set_disk(&self, is_there: bool) {
        let [disk, away] = ["ledger", "away"].map(|name| self.folder.path().join(name));
        if is_there {
            fs::remove_file(&disk).expect("removed");
            fs::rename(&away, &disk).expect("back");
        } else {
            fs::rename(&disk, &away).expect("away");
            fs::write(&disk, "in the way").expect("written");
        }
    }
}

fn intents(reports: &[Report]) -> Vec<(u64, bool)> {
    let answers = reports.iter().filter_map(|report| match report {
        Report::Intents { intents, recorded } => Some((intents[0].job.0, *recorded)),
        _ => None,
    });
    answers.collect()
}

fn intent(number: u32) -> Vec<Intent> {
    vec![Intent {
        partition: PartitionId(number),
        job: JobId(number.into()),
    }]
}

fn is_strong(body: &Body) -> bool {
    matches!(body, Body::Checkpoint(checkpoint) if checkpoint.note.len() > 3000)
}

#[test]
fn the_tree_is_signed_on_time_also_when_nothing_happens() {
    let mut scene = Scene::opened();
    assert_eq!(scene.events(), ["began", "started", "checkpoint"]);
    assert!(is_strong(&scene.bodies()[2]), "the first one is");
    let due = scene.writer.checkpoint_due;
    assert!(due + Duration::from_secs(10) > Instant::now() + CHECKPOINT);
    scene.writer.work(false).expect("nothing to do");
    assert_eq!(scene.events().len(), 3, "nothing is due");
    // A minute later, an hour later, and at the end.
    for (hour, is_last) in [(false, false), (true, false), (false, true)] {
        scene.writer.checkpoint_due = Instant::now();
        if hour {
            scene.writer.strong_due = Instant::now();
        }
        if is_last {
            scene.queue.close();
        }
        assert_eq!(scene.writer.round(), is_last);
        let last = scene.bodies().pop().expect("records");
        assert_eq!(
            (last.event(), is_strong(&last)),
            ("checkpoint", hour || is_last)
        );
    }
    assert_eq!(scene.events().len(), 6);
}

#[test]
fn a_batch_is_one_write_and_then_counts_as_recorded() {
    let mut scene = Scene::opened();
    let tickets: Vec<_> = (1..=5).map(|number| scene.add(intent(number))).collect();
    assert!(scene.queue.recorded() < tickets[0]);
    scene.writer.round();
    assert_eq!(scene.queue.recorded(), tickets[4]);
    let reports = scene.reports();
    let all: Vec<_> = (1..=5).map(|number| (number, true)).collect();
    assert_eq!(intents(&reports), all);
    assert!(matches!(reports.last(), Some(Report::Recorded)));
    assert_eq!(scene.events().len(), 3 + 5);
}

#[test]
fn while_the_disk_is_away_intents_are_refused_and_records_wait() {
    let mut scene = Scene::opened();
    scene.set_disk(false);
    scene.add(intent(1));
    let waits = scene.add(Vec::new());
    scene.writer.round();
    let reports = scene.reports();
    assert_eq!(intents(&reports), [(1, false)]);
    assert!(reports.iter().any(|it| matches!(it, Report::Failed(_))));
    assert!(scene.queue.recorded() < waits);
    // It tries again, and leaves what comes meanwhile in the queue.
    let later = scene.add(Vec::new());
    assert!(!scene.writer.round());
    scene.set_disk(true);
    assert!(!scene.writer.round());
    let reports = scene.reports();
    assert!(
        reports.iter().any(|it| matches!(it, Report::Works)),
        "{reports:?}"
    );
    assert_eq!(scene.queue.recorded(), waits);
    scene.writer.round();
    assert_eq!(scene.queue.recorded(), later);
    let states = scene.events().iter().filter(|it| **it == "state").count();
    assert_eq!(states, 2, "and not the refused one");
}

#[test]
fn a_disk_that_was_away_is_probed_with_a_signature() {
    let mut scene = Scene::opened();
    scene.set_disk(false);
    scene.add(intent(1));
    scene.writer.round();
    scene.set_disk(true);
    scene.writer.round();
    let works = scene.reports();
    assert!(works.iter().any(|it| matches!(it, Report::Works)));
    assert_eq!(
        scene.events(),
        ["began", "started", "checkpoint", "checkpoint"]
    );
}

#[test]
fn what_was_lost_is_recorded_when_the_disk_is_back() {
    let mut scene = Scene::opened();
    let long = Body::State(State {
        partition: "p".repeat(70_000),
        state: String::new(),
        before: None,
    });
    for _ in 0..3 {
        scene
            .queue
            .add(Timestamp::now(), long.clone(), Vec::new(), false);
    }
    scene.writer.round();
    let Some(Body::Lost(lost)) = scene.bodies().pop() else {
        panic!("{:?}", scene.events())
    };
    assert_eq!((lost.records, lost.seeds), (3, 0));
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_is_away() {
    let mut scene = Scene::opened();
    scene.set_disk(false);
    scene.add(Vec::new());
    scene.queue.close();
    let mut rounds = 0;
    while !scene.writer.round() {
        rounds += 1;
        assert!(rounds < 3);
    }
}

#[test]
fn the_last_record_is_the_signature_also_in_a_full_file() {
    let mut scene = Scene::opened();
    scene.queue.set_rotate(Rotate { size: 1, keep: 1 });
    scene.queue.close();
    assert!(scene.writer.round());
    assert_eq!(scene.events().last(), Some(&"checkpoint"));
    assert_eq!(scene.events().len(), 4, "the next start rotates it");
}
