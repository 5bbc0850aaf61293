//! Modules' files and processes that come and go.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Instant;

use qseed_faulty_token::{Action, Function, Rule};
use qseed_real_tokens::set_up;
use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{Qseed, children, kill};
use crate::support::faulty::{Faulty, calls_of, has_struck};
use crate::support::site::Site;
use crate::support::{PATIENCE, service};

/// The inode of the module that a worker has loaded.
fn loaded(worker: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).expect("it runs");
    let line = maps.lines().find(|line| line.contains("libqseed_faulty"));
    let inode = line.and_then(|line| line.split_whitespace().nth(4)?.parse().ok());
    inode.unwrap_or_else(|| panic!("no module in {maps}"))
}

fn only_worker(qseed: &Qseed) -> u32 {
    let [worker] = qseed.workers()[..] else {
        panic!("{:?}", qseed.workers())
    };
    worker
}

#[test]
fn a_module_file_that_is_replaced_disturbs_nothing_and_is_taken_by_the_next_worker() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    faulty.wait_seeds(0, 1);
    let worker = only_worker(&qseed);
    let old = loaded(worker);

    // Another file of the same name, as package managers do it.
    faulty.token.install().expect("installed");
    let new = fs::metadata(&faulty.module).expect("a file").ino();
    assert_ne!(new, old);
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(0);
    assert_eq!((only_worker(&qseed), loaded(worker)), (worker, old));
    kill(worker, Signal::KILL);
    faulty.wait(|record| calls_of(record, Function::Initialize) == 2);
    faulty.wait_next_seed(0);
    assert_eq!(loaded(only_worker(&qseed)), new);
    qseed.stop();
}

#[test]
fn a_module_file_that_is_overwritten_in_place_costs_one_worker() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let faulty = Faulty::named(site.folder(), "overwritten", |_| ());
    let partitions = json!([healthy.partition("q", 0), faulty.partition("p", 0)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    healthy.wait_seeds(0, 1);
    faulty.wait_seeds(0, 1);

    // The code of a running worker vanishes: its next call ends it.
    let content = fs::read(&faulty.module).expect("a module");
    let file = File::options().write(true).open(&faulty.module);
    let file = file.expect("it is ours");
    file.set_len(0).expect("cut off");
    let down = qseed.event("module-down");
    let why = down["message"].as_str().expect("a text");
    assert!(why.contains("signal"), "{why}");
    healthy.wait_next_seed(0);
    // Written whole, it is a module again.
    std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).expect("written");
    drop(file);
    faulty.wait_next_seed(0);
    faulty.wait_next_seed(0);
    qseed.stop();
    let record = healthy.token.record().expect("a record");
    assert_eq!(calls_of(&record, Function::Initialize), 1);
}

#[test]
fn process_number_one_reaps_orphans() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let container = site.start_as_process_number_one();
    container.wait_pushed(1);
    let init = only_worker(&container);
    let worker = children(init);

    // A process that a module has started and forgotten, and some that have ended by themselves.
    let mut shell = Command::new("nsenter");
    shell.args(["--user", "--pid", "--preserve-credentials", "--target"]);
    shell.arg(init.to_string()).args(["sh", "-c"]);
    let left = "sleep 1000 >&- 2>&- & for n in 1 2 3 4 5; do (true &); done";
    set_up(shell.arg(left), "util-linux");
    let wait_children = |what: &str, wanted: &dyn Fn(&[u32]) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = children(init);
            if wanted(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "{what}: {now:?}");
        }
    };
    let both = wait_children("the one that sleeps", &|now| now.len() == 2);
    // It and the worker end at once; how the worker ended is not lost.
    for child in both {
        kill(child, Signal::KILL);
    }
    let down = container.event("module-down");
    let why = down["message"].as_str().expect("a text");
    assert!(why.contains("signal: 9"), "{why}");
    faulty.wait(|record| calls_of(record, Function::Initialize) == 2);
    let last = wait_children("the worker alone", &|now| now.len() == 1);
    assert_ne!(last, worker);
    faulty.wait_next_seed(0);
    kill(init, Signal::TERM);
    assert_eq!(container.ended().code, Some(0));
}

#[test]
fn a_killed_daemon_leaves_no_worker_not_even_one_that_hangs_and_starts_again_at_once() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang).from(2));
    });
    let partitions = json!([faulty.partition_with_pin("p", 0, "1234")]);
    site.configure_full(&site.full(&service, &partitions));
    let killed = site.start();
    faulty.wait(|record| has_struck(record, Function::SeedRandom));
    killed.signal(Signal::KILL);
    // Nobody waits for the end of anything.
    let qseed = site.start();
    faulty.wait_seeds(0, 2);
    // Returns when no process of the old ones holds its pipes any more.
    killed.log.to_the_end();
    faulty
        .token
        .set(|faults| faults.rules.clear())
        .expect("written");
    faulty.wait_seeds(0, 3);
    qseed.stop();
}
