//! qseed as a process: signals, reload, the service manager, its output.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Stdio;

use qseed_entropy_service::{EntropyService, Fault};
use qseed_faulty_token::{Action, Function, Rule};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{Qseed, children, is_event, kill};
use crate::support::faulty::{Faulty, calls_of, has_struck, seeds_of};
use crate::support::site::Site;
use crate::support::{for_each_case, service};

/// Waits for the end of a process that was told to end, and asserts that it ended well. What hangs in these
/// tests hangs for longer than they wait, so that a process which waited for it would not end here.
fn ends_well(mut qseed: Qseed, what: &str) -> Vec<String> {
    let workers = qseed.workers();
    assert_eq!(qseed.wait_exit().code(), Some(0), "{what}");
    let log = qseed.log.to_the_end();
    for worker in workers {
        let gone = !std::path::Path::new(&format!("/proc/{worker}")).exists();
        assert!(gone, "{what}: its worker {worker} is still there");
    }
    log
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |_| ());
        let partition = faulty.partition_with_pin("p", 0, "1234");
        site.configure_full(&site.full(&service, &json!([partition])));
        let qseed = site.start();
        qseed.wait_pushed(2);
        qseed.signal(signal);
        let log = ends_well(qseed, &format!("{signal:?}"));
        assert!(
            log.last().is_some_and(|line| line.contains("\"stopped\"")),
            "{log:?}"
        );
        let record = faulty.token.record().expect("a record");
        for function in [Function::Logout, Function::CloseSession, Function::Finalize] {
            assert_eq!(calls_of(&record, function), 1, "{function}");
        }
    }
}

#[test]
fn a_signal_ends_it_while_the_service_hangs() {
    let (service, site) = (service(), Site::new());
    service.set_fault(Fault::Hang);
    let faulty = Faulty::new(site.folder(), |_| ());
    let mut config = site.full(&service, &json!([faulty.partition("p", 0)]));
    config["sources"][0]["timeout"] = json!("5m");
    site.configure_full(&config);
    let qseed = site.start();
    let arrived = |log: &qseed_entropy_service::Log| !log.requests().is_empty();
    assert!(service.wait_for(arrived, crate::support::PATIENCE));
    qseed.signal(Signal::TERM);
    ends_well(qseed, "a service that hangs");
}

/// A configuration in which a call may take an hour.
fn patient_with(faulty: &Faulty, site: &Site, service: &EntropyService) -> Value {
    let partition = faulty.partition_with_pin("p", 0, "1234");
    let mut config = site.full(service, &json!([partition]));
    config["modules"] = json!([{ "path": faulty.module, "deadline": "1h" }]);
    config
}

#[test]
fn a_signal_ends_it_while_the_module_hangs() {
    let functions = [
        Function::Initialize,
        Function::GetSlotList,
        Function::OpenSession,
        Function::Login,
        Function::SeedRandom,
    ];
    for_each_case(&functions, 5, |function| {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| {
            faults.rules.push(Rule::new(*function, Action::Hang));
        });
        site.configure_full(&patient_with(&faulty, &site, &service));
        let qseed = site.start();
        faulty.wait(|record| has_struck(record, *function));
        qseed.signal(Signal::TERM);
        ends_well(qseed, &format!("{function} that hangs"));
    });
}

#[test]
fn a_module_that_hangs_at_the_end_is_abandoned() {
    let functions = [Function::Logout, Function::CloseSession, Function::Finalize];
    for_each_case(&functions, 3, |function| {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| {
            faults.rules.push(Rule::new(*function, Action::Hang));
        });
        site.configure_full(&patient_with(&faulty, &site, &service));
        let qseed = site.start();
        qseed.wait_pushed(1);
        qseed.signal(Signal::TERM);
        ends_well(qseed, &format!("{function} that hangs"));
        assert!(has_struck(
            &faulty.token.record().expect("a record"),
            *function
        ));
    });
}

#[test]
fn it_is_at_home_as_process_number_one() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let container = site.start_as_process_number_one();
    container.wait_pushed(2);
    let inner = container.workers();
    let [init] = inner[..] else {
        panic!("unshare has started {inner:?}")
    };
    let workers = children(init);
    assert_eq!(workers.len(), 1);
    // A worker that dies is noticed and reaped by a process number one as well.
    kill(workers[0], Signal::KILL);
    faulty.wait(|record| calls_of(record, Function::Initialize) == 2);
    faulty.wait_next_seed(0);
    kill(init, Signal::TERM);
    ends_well(container, "process number one");
}

#[test]
fn a_reload_changes_what_changed_and_nothing_else() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 4);
    let mut partitions = vec![
        faulty.partition_with_pin("stays", 0, "1234"),
        faulty.partition("slower", 1),
        faulty.partition("goes", 2),
    ];
    site.configure_full(&site.full(&service, &json!(partitions)));
    let qseed = site.start();
    for token in 0..3 {
        faulty.wait_seeds(token, 2);
    }
    let connections = service.connections().len();

    // The same again.
    qseed.signal(Signal::HUP);
    qseed.event("reloaded");
    // A wrong one is told and changes nothing.
    let known = qseed.log.count();
    site.configure("sources: 7\npartitionz: []\n");
    qseed.signal(Signal::HUP);
    let failed = qseed.event_from(known, "reload-failed");
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|text| text.contains("partitions")),
        "{failed}"
    );
    faulty.wait_next_seed(0);
    // One comes, one goes, one changes.
    partitions[1]["period"] = json!("2s");
    partitions[2] = faulty.partition("comes", 3);
    site.configure_full(&site.full(&service, &json!(partitions)));
    let known = qseed.log.count();
    qseed.signal(Signal::HUP);
    qseed.event_from(known, "reloaded");
    faulty.wait_seeds(3, 3);
    faulty.wait_next_seed(1);

    let record = faulty.token.record().expect("a record");
    let opened = |token| {
        let sessions = record
            .iter()
            .filter_map(|line| line.ended(Function::OpenSession));
        sessions.filter(|call| call.token == Some(token)).count()
    };
    assert_eq!(
        [0, 1, 2, 3].map(opened),
        [1, 1, 1, 1],
        "sessions that stay are not disturbed"
    );
    assert_eq!(calls_of(&record, Function::Initialize), 1);
    assert_eq!(calls_of(&record, Function::Login), 1);
    assert_eq!(
        calls_of(&record, Function::CloseSession),
        1,
        "that of the one that went"
    );
    assert_eq!(
        service.connections().len(),
        connections,
        "the source was not disturbed"
    );
    let gone = seeds_of(&record, 2);
    faulty.wait_next_seed(0);
    assert_eq!(seeds_of(&faulty.token.record().expect("a record"), 2), gone);
    qseed.stop();
}

#[test]
fn the_service_manager_gets_ready_status_and_stopping() {
    let (service, site) = (service(), Site::new());
    let socket = UnixDatagram::bind(site.path("notify")).expect("bound");
    socket
        .set_read_timeout(Some(crate::support::PATIENCE))
        .expect("a time");
    let told = || {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    // The second token is not there: it does not keep qseed from being ready.
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 2;
        faults.remove(1);
    });
    service.set_fault(Fault::status(503));
    let partitions = json!([faulty.partition("p", 0), faulty.partition("absent", 1)]);
    site.configure_full(&site.full(&service, &partitions));
    let mut command = site.command();
    command
        .env("NOTIFY_SOCKET", site.path("notify"))
        .env("WATCHDOG_USEC", "400000");
    let qseed = Qseed::start(&mut command);
    // Ready while the service is out, since that must not keep the service manager waiting.
    let mut message = told();
    while !message.contains("READY=1") {
        message = told();
    }
    assert!(
        message.contains("STATUS=0 of 2 partitions seeded"),
        "{message}"
    );
    qseed.event("source-failed");
    service.clear_faults();
    let mut watchdogs = 0;
    while !message.contains("STATUS=1 of 2 partitions seeded; 1 token-missing\n") {
        message = told();
        watchdogs += usize::from(message.contains("WATCHDOG=1"));
    }
    assert!(seeds_of(&faulty.token.record().expect("a record"), 0) > 0);
    assert!(watchdogs > 0);
    qseed.signal(Signal::HUP);
    while !message.contains("RELOADING=1") {
        message = told();
    }
    assert!(message.contains("MONOTONIC_USEC="), "{message}");
    while !message.contains("READY=1") {
        message = told();
    }
    qseed.signal(Signal::TERM);
    while !message.contains("STOPPING=1") {
        message = told();
    }
    ends_well(qseed, "under a service manager");
}

#[test]
fn the_journal_gets_priorities_instead_of_times() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 2;
        faults.remove(1);
    });
    let partitions = json!([faulty.partition("p", 0), faulty.partition("absent", 1)]);
    let mut config = site.full(&service, &partitions);
    config["log"] = json!({ "format": "text", "level": "debug" });
    site.configure_full(&config);
    let (mut ours, output) = UnixStream::pair().expect("sockets");
    let stream = rustix::fs::fstat(&output).expect("it is open");
    let mut command = site.command();
    command
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", stream.st_dev, stream.st_ino),
        )
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(output))
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    drop(command);
    faulty.wait_seeds(0, 1);
    kill(child.id(), Signal::TERM);
    assert_eq!(child.wait().expect("it is ours").code(), Some(0));
    let mut log = String::new();
    ours.read_to_string(&mut log).expect("a log in UTF-8");
    for begin in ["<6>SLOT #0 (", "<6>Pushed 48 bytes", "<4>absent: ", "<7>"] {
        assert!(log.lines().any(|line| line.starts_with(begin)), "{log}");
    }
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn seeding_continues_while_nobody_reads_the_log() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let mut command = site.command();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    faulty.wait_seeds(0, 3);
    kill(child.id(), Signal::TERM);
    assert_eq!(child.wait().expect("it is ours").code(), Some(0));
}

#[test]
fn lines_that_nobody_reads_at_the_end_are_counted_on_standard_error() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 20);
    let partitions: Vec<_> = (0..20)
        .map(|number| faulty.partition(&format!("p{number}"), number))
        .collect();
    let mut config = site.full(&service, &json!(partitions));
    config["log"]["level"] = json!("debug");
    site.configure_full(&config);
    let mut command = site.command();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let output = child.stdout.take().expect("it is piped");
    rustix::pipe::fcntl_setpipe_size(&output, 4096).expect("a smaller pipe");
    faulty.wait_seeds(19, 3);
    kill(child.id(), Signal::TERM);
    let ended = child.wait_with_output().expect("it is ours");
    drop(output);
    assert_eq!(ended.status.code(), Some(0));
    let errors = String::from_utf8_lossy(&ended.stderr);
    let count = errors.lines().find_map(|line| {
        let lines = line.strip_prefix("qseed: Dropped ")?;
        lines.strip_suffix(" log lines because standard output was blocked.")
    });
    let count: usize = count.expect("a line").parse().expect("a number");
    assert!(count >= 20, "{errors}");
}

fn is_debug(line: &str) -> bool {
    line.contains(r#""level":"debug""#)
}

#[test]
fn the_level_debug_adds_a_line_for_each_thing_that_happened() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    let mut config = site.full(&service, &json!([faulty.partition("p", 0)]));
    config["log"]["level"] = json!("debug");
    site.configure_full(&config);
    let qseed = site.start();
    qseed.wait_pushed(2);
    service.set_fault(Fault::status(503));
    // The first failure has its line anyway.
    qseed.log.wait("another failure", |line| {
        is_event(line, "source-failed") && is_debug(line)
    });
    let log = qseed.stop();
    for event in ["worker-started", "delivered", "state"] {
        let of: Vec<_> = log.iter().filter(|line| is_event(line, event)).collect();
        assert!(!of.is_empty(), "no {event} in {log:?}");
        assert!(of.iter().all(|line| is_debug(line)));
    }
    let failed = log.iter().filter(|line| is_event(line, "source-failed"));
    assert_eq!(failed.filter(|line| !is_debug(line)).count(), 1);
}

#[test]
fn a_log_in_json_has_stable_names() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let qseed = site.start();
    qseed.wait_pushed(1);
    service.fault_next(Fault::AllZero, 1);
    qseed.event("source-recovered");
    let log: Vec<Value> = qseed
        .stop()
        .iter()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .collect();
    let event = |name: &str| {
        let found = log.iter().find(|line| line["event"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {log:?}"))
    };
    for line in &log {
        for name in ["time", "level", "event", "message"] {
            assert!(line[name].is_string(), "no {name} in {line}");
        }
    }
    let opened = event("token-opened");
    assert_eq!(opened["label"], "faulty-0");
    assert_eq!(
        (&opened["slot"], &opened["serial"]),
        (&json!(0), &json!("FT0"))
    );
    let seeded = event("seeded");
    assert_eq!(
        (&seeded["partition"], &seeded["bytes"]),
        (&json!("p"), &json!(48))
    );
    assert_eq!(seeded["sources"], json!(["sim"]));
    let failed = event("check-failed");
    assert_eq!(
        (&failed["source"], &failed["level"]),
        (&json!("sim"), &json!("error"))
    );
    assert_eq!(log.first(), Some(event("started")));
    assert_eq!(log.last(), Some(event("stopped")));
}

#[test]
fn what_is_summed_up_each_minute_is_summed_up_at_the_end() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let partitions = json!([faulty.partition("a", 0), faulty.partition("b", 1)]);
    let mut config = site.full(&service, &partitions);
    config["log"]["seeds"] = json!("summary");
    site.configure_full(&config);
    let ended = site.once();
    assert_eq!(ended.code, Some(0));
    let told = "Pushed 96 bytes of quantum seed material in 2 seeds to 2 partitions";
    assert!(ended.output.contains(told), "{}", ended.output);
}
