//! What a hostile module can reach from its worker, where qseed is installed as it is meant to be.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use qseed_faulty_token::{Action, Attempt, Ckr, Event, Faults, Function, Record, Rule};
use serde_json::{Value, json};

use crate::support::ACCESS_TOKEN;
use crate::support::daemon::is_event;
use crate::support::faulty::Faulty;
use crate::support::service;
use crate::support::site::Site;

const AF_NETLINK: i32 = 16;
const AF_PACKET: i32 = 17;
const AF_VSOCK: i32 = 40;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
const AF_UNIX: i32 = 1;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;

/// An installed site, and a folder for modules.
fn installed() -> (Site, tempfile::TempDir) {
    (Site::installed(), tempfile::tempdir().expect("a folder"))
}

/// Tries these things at the first seed.
fn tries(attempts: &[Attempt]) -> impl FnOnce(&mut Faults) {
    let rule = Rule::new(Function::SeedRandom, Action::Try(attempts.to_vec()));
    move |faults| faults.rules.push(rule.times(1).across_processes())
}

/// How each attempt went: why it failed, or nothing.
fn outcomes(faulty: &Faulty, count: usize) -> Vec<(Attempt, Option<String>)> {
    let tried = |record: &[Record]| -> Vec<_> {
        let events = record.iter().map(|line| line.event.clone());
        let tried = events.filter_map(|event| match event {
            Event::Tried { attempt, error } => Some((attempt, error)),
            _ => None,
        });
        tried.collect()
    };
    tried(&faulty.wait(|record| tried(record).len() >= count))
}

/// A configuration whose secrets are in files.
fn configure(site: &Site, service: &qseed_entropy_service::EntropyService, partitions: &Value) {
    let mut config = site.full(service, partitions);
    let token = site.write_secret("access-token", ACCESS_TOKEN);
    config["sources"][0]["access_token"] = json!(format!("file:{}", token.display()));
    config["audit"] = json!({ "file": site.path("ledger.jsonl") });
    site.configure_full(&config);
}

fn partition(site: &Site, faulty: &Faulty, name: &str) -> Value {
    let pin = site.write_secret(&format!("{name}.pin"), "1234");
    faulty.partition_with_pin(name, 0, &format!("file:{}", pin.display()))
}

#[test]
fn a_hostile_module_reaches_nothing_of_the_others() {
    let (site, folder) = installed();
    let service = service();
    let (state, pin) = (site.state_dir(), site.path("healthy.pin"));
    let guard = state.join("pin-guard.jsonl");
    let ledger = site.path("ledger.jsonl");
    let denied = [
        Attempt::Read(pin),
        Attempt::Read(site.path("access-token")),
        Attempt::Read(site.config_path()),
        Attempt::Read(guard.clone()),
        Attempt::Append(guard.clone()),
        Attempt::Truncate(guard.clone()),
        Attempt::Remove(guard.clone()),
        Attempt::Rename(guard, folder.path().join("stolen")),
        Attempt::Rename(state.clone(), site.path("elsewhere")),
        Attempt::Read(ledger.clone()),
        Attempt::Append(ledger.clone()),
        Attempt::Truncate(ledger.clone()),
        Attempt::Remove(ledger),
        Attempt::Append(site.path("ledger.checkpoint")),
        Attempt::Create(site.path("ledger-000000000001.jsonl")),
        Attempt::Create(state.join("another")),
        Attempt::Append(state.join("pin-guard.key")),
        Attempt::Remove(state.join("pin-guard.key")),
        Attempt::OpenMemory,
        Attempt::CopyMemory,
        Attempt::ReadEnvironment,
        Attempt::Trace,
        Attempt::TakeDescriptor(3),
        Attempt::IoUring,
        Attempt::KillParent,
    ];
    // So that the others fail because of what they are.
    let allowed = [
        Attempt::Read(site.path("hostile.pin")),
        Attempt::Read("/etc/passwd".into()),
        Attempt::Create(folder.path().join("own")),
        Attempt::Append(folder.path().join("own")),
        Attempt::Socket(AF_INET, SOCK_STREAM),
    ];
    let all = [&denied[..], &allowed].concat();
    let healthy = Faulty::named(folder.path(), "healthy", |_| ());
    let hostile = Faulty::named(folder.path(), "hostile", tries(&all));
    let partitions = json!([
        partition(&site, &healthy, "healthy"),
        partition(&site, &hostile, "hostile"),
    ]);
    configure(&site, &service, &partitions);
    let qseed = site.start();
    healthy.wait_seeds(0, 1);
    for (attempt, error) in outcomes(&hostile, all.len()) {
        let may = allowed.contains(&attempt);
        assert_eq!(error.is_none(), may, "{attempt:?}: {error:?}");
    }
    healthy.wait_next_seed(0);
    hostile.wait_next_seed(0);
    let log = qseed.stop();
    let open = log.iter().find(|line| is_event(line, "files-open"));
    assert_eq!(open, None);
}

#[test]
fn one_worker_cannot_end_another() {
    let (service, folder) = (service(), Site::new());
    let healthy = Faulty::named(folder.folder(), "healthy", |_| ());
    let hostile = Faulty::named(folder.folder(), "hostile", |_| ());
    let partitions = json!([
        healthy.partition("healthy", 0),
        hostile.partition("hostile", 0),
    ]);
    folder.configure_full(&folder.full(&service, &partitions));
    let qseed = folder.start();
    healthy.wait_seeds(0, 1);
    let record = healthy.token.record().expect("a record");
    let other = i32::try_from(record[0].pid).expect("a process id");
    hostile
        .token
        .set(tries(&[Attempt::Kill(other)]))
        .expect("written");
    let (_, error) = outcomes(&hostile, 1).remove(0);
    assert!(error.is_some(), "it was killed");
    healthy.wait_next_seed(0);
    let log = qseed.stop();
    assert!(!log.iter().any(|line| is_event(line, "module-down")));
}

/// A module whose network is as said, and what it could reach.
fn reach(network: bool, attempts: &[Attempt]) -> Vec<Attempt> {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), tries(attempts));
    let mut config = site.full(&service, &json!([faulty.partition("p", 0)]));
    config["modules"] = json!([{ "path": faulty.module, "network": network }]);
    site.configure_full(&config);
    let qseed = site.start();
    let outcomes = outcomes(&faulty, attempts.len());
    qseed.stop();
    let reached = outcomes.into_iter().filter(|(_, error)| error.is_none());
    reached.map(|(attempt, _)| attempt).collect()
}

#[test]
fn a_module_reaches_the_network_only_where_it_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = folder.path().join("socket");
    let _local = UnixListener::bind(&local).expect("a socket");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address: SocketAddr = port.local_addr().expect("an address");
    let local = [
        Attempt::Socket(AF_UNIX, SOCK_STREAM),
        Attempt::Socket(AF_UNIX, SOCK_DGRAM),
        Attempt::ConnectLocal(local),
    ];
    let remote = [
        Attempt::Connect(address),
        Attempt::Socket(AF_INET, SOCK_STREAM),
        Attempt::Socket(AF_INET, SOCK_DGRAM),
        Attempt::Socket(AF_INET6, SOCK_STREAM),
        Attempt::Socket(AF_NETLINK, SOCK_RAW),
    ];
    let everything = [&local[..], &remote].concat();
    assert_eq!(reach(true, &everything), everything);
    let raw = [AF_PACKET, AF_VSOCK].map(|family| Attempt::Socket(family, SOCK_DGRAM));
    assert_eq!(reach(false, &[&everything[..], &raw].concat()), local);
}

#[test]
fn a_pin_that_is_replaced_reaches_a_module_that_was_confined_before() {
    let (site, folder) = installed();
    let service = service();
    let faulty = Faulty::new(folder.path(), |_| ());
    configure(&site, &service, &json!([partition(&site, &faulty, "p")]));
    let qseed = site.start();
    faulty.wait_seeds(0, 1);
    faulty
        .token
        .set(|faults| {
            faults.defaults.user.pin = Some("5678".to_owned());
            faults.reinitialize(0);
        })
        .expect("written");
    site.write_secret("p.pin", "5678");
    faulty.wait_next_seed(0);
    assert_eq!(faulty.presentations(0), 2, "each PIN was presented once");
    qseed.stop();
}

#[test]
fn a_pin_of_two_modules_is_open_to_both_whatever_links_lead_to_it() {
    let (site, folder) = installed();
    let service = service();
    let modules = ["one", "two"].map(|name| Faulty::named(folder.path(), name, |_| ()));
    let one = partition(&site, &modules[0], "one");
    std::os::unix::fs::symlink(site.path("one.pin"), site.path("link")).expect("linked");
    let link = format!("file:{}", site.path("link").display());
    let two = modules[1].partition_with_pin("two", 0, &link);
    configure(&site, &service, &json!([one, two]));
    let qseed = site.start();
    for module in modules {
        module.wait_seeds(0, 1);
    }
    qseed.stop();
}

/// Others put files beside ours while an HSM is in trouble.
#[test]
fn files_that_come_beside_ours_restart_no_module_that_just_started() {
    let (site, folder) = installed();
    let service = service();
    let faulty = Faulty::new(folder.path(), |_| ());
    configure(&site, &service, &json!([partition(&site, &faulty, "p")]));
    let qseed = site.start();
    faulty.wait_seeds(0, 1);
    site.write_secret("unrelated", "");
    let fails = Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR);
    let set = faulty.token.set(|faults| faults.rules.push(fails.times(2)));
    set.expect("written");
    qseed.event("partition-failed");
    faulty.wait_next_seed(0);
    qseed.stop();
    let record = faulty.token.record().expect("a record");
    assert!(record.iter().all(|line| line.pid == record[0].pid));
}

/// Processes that run a program from this folder or were started by one that does.
fn shells() -> usize {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let busy = |line: &Vec<u8>| line.windows(16).any(|part| part == b"while :; do :; d");
    lines.filter(busy).count()
}

#[test]
fn a_module_that_starts_processes_and_takes_memory_starves_nobody() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |_| ());
    let greedy = [Attempt::Fork(20), Attempt::Grow(256 << 20)];
    let hostile = Faulty::named(site.folder(), "hostile", tries(&greedy));
    let partitions = json!([
        healthy.partition("healthy", 0),
        hostile.partition("hostile", 0),
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    for (attempt, error) in outcomes(&hostile, greedy.len()) {
        assert_eq!(error, None, "{attempt:?}");
    }
    assert!(shells() >= 20);
    for _ in 0..3 {
        healthy.wait_next_seed(0);
    }
    let memory = std::fs::read_to_string(
        Path::new("/proc")
            .join(qseed.id().to_string())
            .join("status"),
    );
    let memory = memory.expect("it runs");
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("a number");
    assert!(peak < 40_000, "{peak} KiB");
    qseed.stop();
    assert_eq!(shells(), 0, "its processes end with the worker");
}
