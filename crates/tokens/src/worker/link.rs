//! The worker's end of the socket: one writer for all threads.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use super::process;
use crate::wire::{self, FromWorker};

/// Sends to the daemon.
pub(super) struct Link {
    socket: Mutex<UnixStream>,
}

impl Link {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket: Mutex::new(socket),
        }
    }

    /// Sends a message. A daemon that does not listen any more is gone, and this process with it.
    pub(super) fn send(&self, message: &FromWorker) {
        let frame = wire::encode(message).expect("a worker's messages are far below the bound");
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.write_all(&frame).is_err() {
            process::end();
        }
    }
}
