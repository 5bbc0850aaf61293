//! A thread of the module's own, as vendors' libraries have.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::BackgroundThread;

/// The running thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(fault: &BackgroundThread) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let every = Duration::from_millis(fault.every_ms.max(1));
        let text = fault.stderr.clone();
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // Nobody reads standard error: then nobody misses it.
                let _ = io::stderr().write_all(text.as_bytes());
            }
        };
        let thread = thread::Builder::new()
            .name("faulty-token".to_owned())
            .spawn(run)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
