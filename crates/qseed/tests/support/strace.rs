//! Faults of single system calls of one thread, as `strace` injects them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::daemon::Qseed;

/// Injects a fault until it is dropped.
pub struct Strace {
    strace: Child,
}

impl Strace {
    /// Attaches to the thread of this name. The fault is written as in `inject=fdatasync:…`.
    pub fn inject(qseed: &Qseed, thread: &str, fault: &str) -> Self {
        let call = fault.split(':').next().expect("a call");
        let mut strace = Command::new("strace");
        strace
            .args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={fault}"),
            ])
            .args(["-p", &thread_of(qseed.id(), thread).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut strace = strace.spawn().expect("apt-get install strace");
        let mut errors = BufReader::new(strace.stderr.take().expect("it is piped"));
        let mut line = String::new();
        errors.read_line(&mut line).expect("readable");
        assert!(line.contains("attached"), "{line} (the tests run as root)");
        // It goes on writing.
        std::thread::spawn(move || errors.lines().for_each(drop));
        Self { strace }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It lets go of the thread.
        super::daemon::kill(self.strace.id(), rustix::process::Signal::INT);
        for _ in 0..50 {
            if self.strace.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// The id of a process' thread by its name.
fn thread_of(process: u32, name: &str) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let named = tasks.flatten().find(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    });
    let id = named.expect("the thread runs").file_name();
    id.to_str().and_then(|id| id.parse().ok()).expect("an id")
}
