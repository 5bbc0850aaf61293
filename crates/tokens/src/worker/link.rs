//! The worker's end of the socket: one writer for all threads.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use super::{locked, process};
use crate::wire::{self, FromWorker};

/// Sends to the daemon.
pub(super) struct Link(pub(super) Mutex<UnixStream>);

impl Link {
    /// Sends a message, or ends this process if the daemon is gone.
    pub(super) fn send(&self, message: &FromWorker) {
        let frame = wire::encode(message).expect("a worker's messages are far below the bound");
        if locked(&self.0).write_all(&frame).is_err() {
            process::end();
        }
    }
}
