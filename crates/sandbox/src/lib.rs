//! What a process gives up for good, as far as the kernel lets it: system calls, the network, files,
//! other processes.
//!
//! [`give_up`] is for every process. [`confine`] is for a worker before it loads a vendor's
//! module: the module keeps everything that it may need, but for [`Closed`] files, other processes,
//! and, where the configuration says so, the network. Nothing here can be taken back, and children
//! inherit all of it.

mod calls;
mod capabilities;
mod closed;
mod landlocked;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use closed::Entries;
pub use closed::{Closed, is_closable};

/// How long listing the folders beside closed files may take: one may be on a dead file system.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// The same for a process that works already, where somebody waits for it.
const LOOKED_WITHIN: Duration = Duration::from_millis(500);

/// What the kernel did not grant, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// Seccomp filters.
    #[error("system calls cannot be filtered ({0})")]
    Calls(String),
    /// To give up privileges.
    #[error("root's privileges cannot be given up ({0})")]
    Capabilities(String),
    /// Landlock, or one of its parts.
    #[error("{0}")]
    Landlock(String),
}

/// What a confined process can no longer do, and what may have to change for it.
#[derive(Debug)]
pub struct Confined {
    /// What the kernel did not grant.
    pub missing: Vec<NotGranted>,
    /// What it may open in the folders that lead to closed files.
    entries: Arc<Entries>,
    /// A look at the folders is under way.
    looks: Arc<AtomicBool>,
}

impl Confined {
    /// Whether something came into a folder that leads to a closed file, so that this process may
    /// not open it, although one that starts now may. Says no while a folder does not answer.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let entries = Arc::clone(&self.entries);
        self.look(LOOKED_WITHIN, move || entries.are_outdated())
    }

    /// One look at a time, so that a folder that never answers holds up one thread for good.
    fn look(&self, within: Duration, at: impl FnOnce() -> bool + Send + 'static) -> bool {
        if self.looks.swap(true, Ordering::Relaxed) {
            return false;
        }
        let looks = Arc::clone(&self.looks);
        let answer = answered_within(within, move || {
            let answer = at();
            looks.store(false, Ordering::Relaxed);
            answer
        });
        answer.is_some_and(|(answer, _)| answer)
    }
}

/// What a thread of its own answers, if it does so in time.
fn answered_within<T: Send + 'static>(
    time: Duration,
    asked: impl FnOnce() -> T + Send + 'static,
) -> Option<(T, JoinHandle<()>)> {
    let (send, answer) = channel();
    let thread = Builder::new().spawn(move || {
        let _ = send.send(asked());
    });
    let thread = thread.ok()?;
    Some((answer.recv_timeout(time).ok()?, thread))
}

/// Denies this process, and all that it starts, the system calls and root's privileges that nothing
/// here needs, and to gain privileges from a program that it runs. Call it before other threads
/// start.
///
/// # Errors
/// What the kernel does not grant.
pub fn give_up() -> Result<(), NotGranted> {
    calls::give_up()?;
    capabilities::give_up()
}

/// Confines this process and all that it starts, and leaves one of the closed files readable. Call
/// it before other threads start.
///
/// # Errors
/// The network was to be closed, and the kernel cannot do that.
pub fn confine(closed: &[Closed], readable: &Path, network: bool) -> Result<Confined, NotGranted> {
    let mut missing = Vec::new();
    missing.extend(give_up().err());
    if !network {
        calls::close_network()?;
    }
    let (closed, readable) = (closed.to_vec(), readable.to_owned());
    let listed = answered_within(LISTED_WITHIN, move || Entries::beside(&closed, &readable));
    let entries = listed.map(|(entries, thread)| {
        // It has nothing left to do: no thread may outlive this that is not confined.
        let _ = thread.join();
        entries
    });
    let entries = entries.unwrap_or_else(|| {
        let why = "a folder beside qseed's files does not answer, so they are open to the module";
        missing.push(NotGranted::Landlock(why.to_owned()));
        Entries::default()
    });
    missing.extend(landlocked::restrict(&entries, network));
    Ok(Confined {
        missing,
        entries: Arc::new(entries),
        looks: Arc::default(),
    })
}

/// What [`confine`] would not be granted on this kernel.
#[must_use]
pub fn missing() -> Vec<NotGranted> {
    landlocked::missing()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Confined, Entries};

    #[test]
    fn a_folder_that_does_not_answer_holds_up_one_thread() {
        let confined = Confined {
            missing: Vec::new(),
            entries: Arc::new(Entries::default()),
            looks: Arc::default(),
        };
        let (answer, waits) = channel::<()>();
        assert!(!confined.look(Duration::ZERO, move || waits.recv().is_err()));
        assert!(!confined.look(Duration::from_secs(60), || panic!("a second thread")));
        drop(answer);
        while !confined.look(Duration::from_secs(60), || true) {
            std::thread::yield_now();
        }
    }
}
