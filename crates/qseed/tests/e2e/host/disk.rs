//! A state directory that cannot be written to stops nothing but what would be unsafe.

use qseed_entropy_service::EntropyService;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pins::{RIGHT, wait_failed};
use crate::support::daemon::{Qseed, is_event, kill, run};
use crate::support::disk::SmallDisk;
use crate::support::faulty::Faulty;
use crate::support::site::Site;
use crate::support::usage::months;
use crate::support::{for_each_case, service};

const BUDGET: u64 = 100 * 1024 * 1024;

/// A site with a disk of its own and two tokens.
struct Scene {
    service: EntropyService,
    site: Site,
    disk: SmallDisk,
    faulty: Faulty,
}

impl Scene {
    /// The first token's PIN is known to be right, some of the source's budget is spent, and the
    /// configuration has both tokens by now.
    fn new() -> Self {
        let scene = Self::unused();
        scene.configure(&["known"]);
        let ended = run(scene.disk.command().arg("--once"));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        scene.configure(&["known", "new"]);
        scene
    }

    /// Nothing is known, and the state directory is empty.
    fn unused() -> Self {
        let (service, site) = (service(), Site::new());
        let disk = SmallDisk::new(&site);
        let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
        Self {
            service,
            site,
            disk,
            faulty,
        }
    }

    fn configure(&self, names: &[&str]) {
        let partitions: Vec<Value> = (0..)
            .zip(names)
            .map(|(token, name)| self.faulty.partition_with_pin(name, token, RIGHT))
            .collect();
        let mut config = self.site.full(&self.service, &json!(partitions));
        config["sources"][0]["budget"] = json!({ "bytes": BUDGET, "resets_on": 1 });
        self.site.configure_full(&config);
    }

    fn start(&self) -> Qseed {
        Qseed::start(&mut self.disk.command())
    }

    fn presentations(&self) -> [usize; 2] {
        [0, 1].map(|token| self.faulty.presentations(token))
    }

    /// Nobody logs in, known or not.
    fn nobody_logs_in(&self, qseed: &Qseed) {
        let before = self.presentations();
        for name in ["known", "new"] {
            wait_failed(qseed, name, "pin-unavailable");
        }
        assert_eq!(self.presentations(), before);
    }

    /// Nothing that was delivered is missing from the budget's count.
    fn assert_counted(&self) {
        let text = std::fs::read_to_string(self.disk.path("usage.jsonl")).expect("a file");
        let counted: i64 = months(&text).iter().map(|(_, bytes)| bytes).sum();
        let served = self.service.served();
        let served: usize = served.iter().map(|answer| answer.blocks.total()).sum();
        let counted = usize::try_from(counted).expect("not fewer than none");
        assert!(counted >= served, "{served}: {text}");
    }
}

/// The files of which a log says that they are in trouble, or out of it, in order.
fn told(log: &[String]) -> Vec<(String, String)> {
    let lines = log.iter().filter(|line| {
        ["guard-file", "usage-file"]
            .iter()
            .any(|e| is_event(line, e))
    });
    lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("it was just read");
            let text = |name: &str| line[name].as_str().expect("a text").to_owned();
            (text("event"), text("level"))
        })
        .collect()
}

/// Each of these files was in trouble once, and out of it.
fn assert_told_once(log: &[String], files: &[&str]) {
    let mut told = told(log);
    told.sort();
    let expected: Vec<_> = files
        .iter()
        .flat_map(|event| ["error", "info"].map(|level| ((*event).to_owned(), level.to_owned())))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn on_a_full_disk_nobody_logs_in_until_there_is_room() {
    let scene = Scene::new();
    scene.disk.fill();
    let qseed = scene.start();
    let why = qseed.event("guard-file")["message"].to_string();
    assert!(why.contains("No space left"), "{why}");
    scene.nobody_logs_in(&qseed);
    scene.disk.free();
    // Without a restart.
    scene.faulty.wait_seeds(1, 2);
    scene.faulty.wait_next_seed(0);
    assert_eq!(scene.presentations(), [2, 1]);
    assert_told_once(&qseed.stop(), &["guard-file"]);
    scene.assert_counted();
    // It is in order again: the next start finds everything known.
    let qseed = scene.start();
    scene.faulty.wait_next_seed(0);
    scene.faulty.wait_next_seed(1);
    assert_eq!(told(&qseed.stop()), []);
}

#[test]
fn a_disk_that_fills_up_or_goes_read_only_under_a_running_daemon_is_no_other_case() {
    type Change = fn(&SmallDisk);
    let changes: [(Change, Change); 2] = [
        (SmallDisk::fill, SmallDisk::free),
        (SmallDisk::make_read_only, SmallDisk::make_writable),
    ];
    for_each_case(&changes, 2, |(break_it, mend_it)| {
        let scene = Scene::new();
        scene.configure(&["known"]);
        let qseed = scene.start();
        // What became of the PIN is on the disk before the second request leaves.
        scene.faulty.wait_seeds(0, 3);
        break_it(&scene.disk);
        while !qseed
            .log
            .all()
            .iter()
            .any(|line| is_event(line, "usage-file"))
        {
            if scene.disk.path("filler").exists() {
                scene.disk.fill_again();
            }
            scene.faulty.wait_next_seed(0);
        }
        // The session that is open goes on, and a new worker has to wait.
        scene.faulty.wait_next_seed(0);
        let [worker] = qseed.workers()[..] else {
            panic!("{:?}", qseed.workers())
        };
        kill(worker, Signal::KILL);
        wait_failed(&qseed, "known", "pin-unavailable");
        assert_eq!(scene.presentations(), [2, 0]);
        mend_it(&scene.disk);
        scene.faulty.wait_next_seed(0);
        assert_eq!(scene.presentations(), [3, 0]);
        assert_told_once(&qseed.stop(), &["guard-file", "usage-file"]);
        scene.assert_counted();
    });
}

#[test]
fn a_new_state_directory_is_used_as_soon_as_it_can_be_written_to() {
    type Change = fn(&SmallDisk);
    let changes: [(Change, Change); 2] = [
        (SmallDisk::fill_again, SmallDisk::free),
        (SmallDisk::make_read_only, SmallDisk::make_writable),
    ];
    for_each_case(&changes, 2, |(break_it, mend_it)| {
        let scene = Scene::unused();
        scene.configure(&["known", "new"]);
        break_it(&scene.disk);
        let qseed = scene.start();
        scene.nobody_logs_in(&qseed);
        mend_it(&scene.disk);
        // Without a restart, though there was no key either.
        scene.faulty.wait_seeds(0, 2);
        scene.faulty.wait_seeds(1, 2);
        assert_eq!(scene.presentations(), [1, 1]);
        assert_told_once(&qseed.stop(), &["guard-file"]);
    });
}

#[test]
fn a_read_only_state_directory_is_logged_once() {
    let scene = Scene::new();
    scene.disk.make_read_only();
    let qseed = scene.start();
    scene.nobody_logs_in(&qseed);
    scene.disk.make_writable();
    scene.faulty.wait_seeds(1, 2);
    scene.faulty.wait_next_seed(0);
    assert_eq!(scene.presentations(), [2, 1]);
    assert_told_once(&qseed.stop(), &["guard-file"]);
    scene.assert_counted();
}
