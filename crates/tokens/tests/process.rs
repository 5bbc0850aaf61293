//! A worker's life: what it inherits, what it writes, and how it ends.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use qseed_model::Login;
use qseed_real_tokens::{SOFTHSM, SoftHsm};
use qseed_tokens::failure::FailureClass;
use qseed_tokens::supervisor::{WorkerEvent, WorkerSpec};
use qseed_tokens::wire::FromWorker;
use support::{Daemon, Workers as _, on_one_thread, spec, token, with_worker};

/// A file below `/proc` of a worker.
fn proc_file(daemon: &Daemon, name: &str) -> std::io::Result<String> {
    let content = std::fs::read(format!("/proc/{}/{name}", daemon.worker.pid()))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[test]
fn a_worker_shows_no_secret_and_leaves_no_core() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    on_one_thread(async {
        let withheld = vec!["PATH".to_owned()];
        let (mut daemon, _) = Daemon::ready(&WorkerSpec {
            withheld,
            ..hsm.spec()
        })
        .await;
        daemon
            .log_in(token(1, "first", Login::User, Some("1234")))
            .await;
        let arguments = proc_file(&daemon, "cmdline").expect("readable by all");
        assert_eq!(arguments, "qseed\0worker\0");
        match proc_file(&daemon, "environ") {
            Ok(environment) => {
                let mut variables = environment.split('\0');
                assert!(!variables.any(|variable| variable.starts_with("PATH=")));
                assert!(environment.contains("SOFTHSM2_CONF="));
                assert!(!environment.contains("1234"));
            }
            // Not dumpable: it is for root's eyes alone.
            Err(error) => assert!(!rustix::process::geteuid().is_root(), "{error}"),
        }
        let limits = proc_file(&daemon, "limits").expect("readable by all");
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core"))
            .expect("a limit");
        let soft_and_hard: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(soft_and_hard, ["0", "0"]);
        let stdin = std::fs::read_link(format!("/proc/{}/fd/0", daemon.worker.pid()));
        match stdin {
            Ok(stdin) => assert_eq!(stdin.to_str(), Some("/dev/null")),
            Err(error) => assert!(!rustix::process::geteuid().is_root(), "{error}"),
        }
        let status = proc_file(&daemon, "status").expect("readable by all");
        let locked = status
            .lines()
            .find(|line| line.starts_with("VmLck:"))
            .expect("a line");
        assert_eq!(
            qseed_secrets::memory::lock().is_ok(),
            !locked.contains("\t       0 kB"),
            "{locked}"
        );
        let group = rustix::process::Pid::from_raw(daemon.worker.pid().try_into().expect("a pid"));
        assert_eq!(
            rustix::process::getpgid(group).ok(),
            group,
            "a process group of its own"
        );
        daemon.shut_down().await;
    });
}

#[test]
fn a_killed_worker_is_reported() {
    on_one_thread(async {
        let hsm = SoftHsm::with_tokens(&[]);
        let (mut daemon, _) = Daemon::ready(&hsm.spec()).await;
        daemon.worker.kill();
        let event = daemon.event().await;
        assert!(matches!(event, WorkerEvent::Exited(status) if status.signal() == Some(9)));
    });
}

#[test]
fn a_module_that_does_not_load_is_reported_with_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    for (module, why) in [
        (
            "/nonexistent/libpkcs11.so",
            "cannot open shared object file",
        ),
        (
            "/usr/lib/x86_64-linux-gnu/libz.so.1",
            "is no PKCS#11 module",
        ),
    ] {
        on_one_thread(async {
            let mut daemon = Daemon::start(&spec(module, folder.path()));
            let FromWorker::InitFailed(failure) = daemon.message().await else {
                panic!("{module} was loaded");
            };
            assert_eq!(failure.class, FailureClass::ReloadModule);
            assert!(failure.text.contains(why), "{failure}");
            let event = daemon.event().await;
            assert!(matches!(event, WorkerEvent::Exited(status) if status.code() == Some(69)));
        });
    }
}

#[test]
fn what_a_module_writes_arrives_line_by_line() {
    // Without PKCS11SPY_OUTPUT the spy writes to standard error.
    let hsm = SoftHsm::with_tokens(&[]);
    let mut spec = hsm.spec();
    spec.environment
        .retain(|(name, _)| name != "PKCS11SPY_OUTPUT");
    let output = on_one_thread(async {
        let (daemon, _) = Daemon::ready(&spec).await;
        daemon.shut_down().await
    });
    assert!(
        output.iter().any(|line| line.ends_with(": C_Initialize")),
        "{output:?}"
    );
    assert!(
        output.iter().any(|line| line.ends_with(": C_Finalize")),
        "{output:?}"
    );
}

#[test]
fn a_worker_ends_with_the_socket() {
    let hsm = SoftHsm::with_tokens(&[]);
    let spec = hsm.spec();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut worker = Command::new(&spec.program)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .spawn()
        .expect("a worker");
    drop(ours);
    let status = worker.wait().expect("an end");
    assert_eq!(status.signal(), Some(9));
}

#[test]
fn a_worker_started_by_hand_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(spec(SOFTHSM, folder.path()).program)
        .stdin(Stdio::null())
        .output()
        .expect("a worker");
    assert_eq!(output.status.code(), Some(64));
    assert!(!output.stderr.is_empty());
}

#[test]
fn a_service_managers_signal_to_all_processes_leaves_the_worker_to_the_daemon() {
    let hsm = SoftHsm::with_tokens(&["first"]);
    with_worker(&hsm.spec(), async |daemon| {
        daemon.open(token(1, "first", Login::None, None)).await;
        let worker = daemon.worker.pid().try_into().expect("a pid");
        let worker = rustix::process::Pid::from_raw(worker).expect("a pid");
        for signal in [
            rustix::process::Signal::TERM,
            rustix::process::Signal::INT,
            rustix::process::Signal::HUP,
        ] {
            rustix::process::kill_process(worker, signal).expect("it is ours");
        }
        daemon.seed(1, 7, &[1; 48]);
        assert_eq!(daemon.seeded().await.0, 7);
    });
}
