//! Limits of the system's: descriptors and locked memory.

use std::process::Command;

use qseed_entropy_service::Fault;
use qseed_faulty_token::Function;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{QSEED, Qseed, is_event, kill, untouched};
use crate::support::faulty::{Faulty, calls_of};
use crate::support::figures::{context_switches, limit_descriptors};
use crate::support::service;
use crate::support::site::{Site, source};

/// Standard input, output and error: every descriptor beyond them is one too many.
const NO_MORE: u64 = 3;

const SEEDS: usize = 8;

#[test]
fn without_descriptors_open_partitions_continue() {
    let (first, second, site) = (service(), service(), Site::new());
    let lasting = Faulty::named(site.folder(), "lasting", |_| ());
    let killed = Faulty::named(site.folder(), "killed", |_| ());
    let partitions = json!([lasting.partition("p", 0), killed.partition("q", 0)]);
    let mut config = site.full(&first, &partitions);
    let mut other = source(&second);
    other["name"] = json!("other");
    config["sources"] = json!([source(&first), other]);
    site.configure_full(&config);
    let qseed = site.start();
    lasting.wait_seeds(0, 2);
    killed.wait_seeds(0, 2);
    limit_descriptors(qseed.id(), Some(NO_MORE));
    lasting.wait_next_seed(0);
    lasting.wait_next_seed(0);
    assert_eq!(first.connections().len(), 1);

    // What is to be opened anew cannot be: a connection, a worker, the configuration.
    first.fault_next(Fault::StaleClose, 1);
    let failed = qseed.event("source-failed");
    assert_says_why(&failed);
    kill(worker_of(&killed), Signal::KILL);
    qseed.event("module-down");
    qseed.signal(Signal::HUP);
    assert_says_why(&qseed.event("reload-failed"));
    // The other source's connection and the other module's session are open.
    lasting.wait_next_seed(0);
    let lines = qseed.log.count();
    let switches = context_switches(qseed.id());
    for _ in 0..SEEDS {
        lasting.wait_next_seed(0);
    }
    // Few a second, whatever the machine: a loop that spins has thousands.
    let switches = context_switches(qseed.id()) - switches;
    assert!(switches < 100 * SEEDS as u64, "{switches} times");
    let lines = qseed.log.count() - lines;
    assert!(lines < 4 * SEEDS, "{lines} lines");
    assert_eq!(qseed.workers().len(), 1);

    limit_descriptors(qseed.id(), None);
    killed.wait_next_seed(0);
    qseed.event("source-recovered");
    let known = qseed.log.count();
    qseed.signal(Signal::HUP);
    qseed.event_from(known, "reloaded");
    qseed.stop();
    let record = lasting.token.record().expect("a record");
    assert_eq!(calls_of(&record, Function::Initialize), 1);
}

/// The process that a module was called in last.
fn worker_of(faulty: &Faulty) -> u32 {
    let record = faulty.token.record().expect("a record");
    record.last().expect("a call").pid
}

fn assert_says_why(told: &Value) {
    let why = told["message"].as_str().expect("a text");
    assert!(why.contains("Too many open files"), "{why}");
}

#[test]
fn a_refused_memory_lock_is_logged_once() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let run = |before: &[&str]| {
        let mut command = Command::new("unshare");
        untouched(&mut command);
        command.args(["--map-root-user", "prlimit", "--memlock=0:0"]);
        command.args(before).args([QSEED, "run", "--config"]);
        let qseed = Qseed::start(command.arg(site.config_path()));
        faulty.wait_next_seed(0);
        faulty.wait_next_seed(0);
        let log = qseed.stop();
        let mut told = log
            .into_iter()
            .filter(|line| is_event(line, "memory-not-locked"));
        let line = told.next().expect("it is said");
        assert_eq!(told.next(), None);
        line
    };
    let without = run(&["setpriv", "--bounding-set=-ipc_lock"]);
    assert!(without.contains("CAP_IPC_LOCK"), "{without}");
    // A capability that counts in the user's own namespace alone.
    let refused = run(&[]);
    assert!(refused.contains("not permitted"), "{refused}");
}
