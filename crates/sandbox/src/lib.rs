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
use std::time::Duration;

use closed::Entries;
pub use closed::{Closed, is_closable};

/// How long listing the folders beside closed files may take: one may be on a dead file system.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

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
    entries: Entries,
}

impl Confined {
    /// Whether something came into a folder that leads to a closed file, so that this process may
    /// not open it, although one that starts now may.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.entries.are_outdated()
    }
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
    let (send, listed) = std::sync::mpsc::channel();
    let (closed, readable) = (closed.to_vec(), readable.to_owned());
    let list = move || send.send(Entries::beside(&closed, &readable));
    let lists = std::thread::Builder::new().spawn(list);
    let entries = lists.ok().and_then(|thread| {
        let entries = listed.recv_timeout(LISTED_WITHIN).ok()?;
        // It has nothing left to do: no thread may outlive this that is not confined.
        let _ = thread.join();
        Some(entries)
    });
    let entries = entries.unwrap_or_else(|| {
        let why = "a folder beside qseed's files does not answer, so they are open to the module";
        missing.push(NotGranted::Landlock(why.to_owned()));
        Entries::default()
    });
    missing.extend(landlocked::restrict(&entries, network));
    Ok(Confined { missing, entries })
}

/// What [`confine`] would not be granted on this kernel.
#[must_use]
pub fn missing() -> Vec<NotGranted> {
    landlocked::missing()
}
