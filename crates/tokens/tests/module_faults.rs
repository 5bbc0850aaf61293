//! The worker with a module that hangs, crashes, ends its process, or is large.

mod support;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use qseed_faulty_token::{Action, Function, Rule};
use qseed_model::{Login, TokenChoice};
use qseed_tokens::supervisor::{WorkerEvent, WorkerSpec};
use qseed_tokens::wire::{self, FromWorker, Hello, Open, ToWorker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use support::faulty::{Bench, faulty};
use support::{Daemon, on_one_thread};

/// Waits until a process is gone.
fn wait_for_end(process: u32) {
    let process = Pid::from_raw(process.try_into().expect("a pid")).expect("a pid");
    if let Ok(process) = pidfd_open(process, PidfdFlags::empty()) {
        let patience = Timespec::try_from(Duration::from_secs(60)).expect("a minute");
        let gone = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience));
        assert_eq!(gone, Ok(1), "it lives on");
    }
}

#[test]
fn a_call_that_hangs_holds_up_no_other_partition_and_ends_with_the_worker() {
    let bench = Bench::new(|faults| faults.slots = 3);
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(&bench.spec).await;
        for partition in 0..3 {
            daemon.open(faulty(partition, Login::None, None)).await;
        }
        let hang = Rule::new(Function::SeedRandom, Action::Hang).token(0);
        bench.set(|faults| faults.rules.push(hang));
        daemon.seed(0, 1, &[1; 48]);
        for job in 2..10 {
            daemon.seed(1, job, &[2; 48]);
            daemon.seeded().await;
            daemon.seed(2, job, &[3; 48]);
            daemon.seeded().await;
        }
        daemon.worker.kill();
        let event = daemon.event().await;
        assert!(matches!(event, WorkerEvent::Exited(status) if status.signal() == Some(9)));
    });
}

#[test]
fn a_long_listing_reports_progress() {
    let bench = Bench::new(|faults| {
        faults.slots = 30;
        faults.latency_us.insert(Function::GetTokenInfo, 20_000);
    });
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(&bench.spec).await;
        for partition in [1, 2] {
            let how = Open {
                partition,
                ..faulty(0, Login::None, None)
            };
            daemon.start_opening(how);
        }
        let (mut moved, mut opened) = (Vec::new(), 0);
        while opened < 2 {
            match daemon.event().await {
                WorkerEvent::Message(FromWorker::Progress { partition }) => moved.push(partition),
                WorkerEvent::Message(FromWorker::Opened { .. }) => opened += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(
            moved.contains(&Some(1)) && moved.contains(&Some(2)),
            "{moved:?}"
        );
        daemon.shut_down().await;
    });
}

#[test]
fn a_module_that_ends_its_process_is_reported() {
    for (action, function) in [
        (Action::Segfault, Function::SeedRandom),
        (Action::Abort, Function::SeedRandom),
        (Action::Exit(0), Function::SeedRandom),
    ] {
        let bench = Bench::new(|_| {});
        on_one_thread(async {
            let (mut daemon, _) = Daemon::ready(&bench.spec).await;
            daemon.open(faulty(0, Login::None, None)).await;
            bench.set(|faults| faults.rules.push(Rule::new(function, action)));
            daemon.seed(0, 1, &[1; 48]);
            let event = daemon.event().await;
            assert!(matches!(event, WorkerEvent::Exited(_)), "{event:?}");
        });
    }
    let bench = Bench::new(|faults| {
        faults
            .rules
            .push(Rule::new(Function::GetTokenInfo, Action::Exit(0)));
    });
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(&bench.spec).await;
        daemon.worker.send(ToWorker::List { request: 1 });
        let event = daemon.event().await;
        assert!(matches!(event, WorkerEvent::Exited(_)), "{event:?}");
    });
}

#[test]
fn thousands_of_slots_are_listed_and_opened_by_id() {
    let bench = Bench::new(|faults| faults.slots = 3_000);
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(&bench.spec).await;
        assert_eq!(daemon.list().await.len(), 3_000);
        let slot = TokenChoice::Slot(2_999);
        let how = Open {
            token: slot,
            ..faulty(1, Login::None, None)
        };
        daemon.start_opening(how);
        assert_eq!(daemon.opened().await.1.label, "faulty-2999");
        daemon.shut_down().await;
    });
}
#[test]
fn a_worker_that_hangs_dies_with_the_daemon() {
    use std::io::Write;

    let bench = Bench::new(|faults| {
        faults
            .rules
            .push(Rule::new(Function::Initialize, Action::Hang));
    });
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    // A shell stands for the daemon. This test keeps the socket open, so only the parent's death
    // can end the worker, whose one thread is in C_Initialize.
    let mut daemon = Command::new("sh")
        .args(["-c", "exec 3<&0; \"$0\" worker <&3 & wait"])
        .arg(&bench.spec.program)
        .envs(
            bench
                .spec
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .expect("a shell");
    let hello = ToWorker::Hello(Hello {
        version: wire::VERSION,
        daemon: daemon.id(),
        module: bench.spec.module.clone(),
        init_args: None,
        guard_key: bench.spec.guard_key.clone(),
        guard_key_may_be_made: false,
        network: true,
        closing: 0,
        concurrency: 1,
        recheck_after: bench.spec.recheck_after,
    });
    ours.write_all(&wire::encode(&hello).expect("fits"))
        .expect("sent");
    let record = bench.token.wait_for(Duration::from_secs(60), |record| {
        record
            .iter()
            .any(|line| line.begun(Function::Initialize).is_some())
    });
    let record = record.expect("a worker in C_Initialize");
    let worker = record.last().expect("a line").pid;
    daemon.kill().expect("killed");
    daemon.wait().expect("dead");
    wait_for_end(worker);
}

#[test]
fn a_library_for_another_machine_differs_from_a_missing_one() {
    let bench = Bench::new(|_| {});
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("vendor.so");
    // A real library of this machine, but for the number of the machine: S/390's.
    let mut library = std::fs::read(&bench.spec.module).expect("a library");
    library[18..20].copy_from_slice(&[22, 0]);
    std::fs::write(&module, library).expect("written");
    let spec = WorkerSpec {
        module: module.clone(),
        ..bench.spec.clone()
    };
    on_one_thread(async {
        let FromWorker::InitFailed(failure) = Daemon::start(&spec).message().await else {
            panic!("it was loaded");
        };
        let text = format!(
            "cannot load the module: {} is made for S/390, 64 bits, not for this machine",
            module.display()
        );
        assert_eq!(failure.to_string(), text);
    });
}
