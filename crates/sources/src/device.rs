//! A character device or a named pipe: a QRNG card, a hardware generator.
//!
//! Drivers differ: some say when they have bytes, some return early, some block in spite of
//! `O_NONBLOCK`. So each fetch opens and reads on a helper thread. While one hangs in its driver no
//! second one is started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qseed_entropy::Entropy;
use qseed_http::{Helper, Traffic};
use qseed_model::Limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use crate::error::FetchError;
use crate::inspection::{CredentialVerdict, Inspection};
use crate::{Ask, BoxFuture, Source};

/// The pause before a device is read again that claims to have something and gives nothing: a pipe
/// without a writer.
const PAUSE: Duration = Duration::from_millis(20);

/// A source of type `device`.
pub(crate) struct Device {
    path: PathBuf,
    timeout: Duration,
    /// Stays open between fetches: closing a pipe would end its writer.
    file: Option<File>,
    reading: Helper<Reading>,
    /// What was read by a fetch that ran out of time: a slow device needs several.
    held: Zeroizing<Vec<u8>>,
    sent: u32,
}

/// What a reading brought, and the device to read on from or why that is not possible.
struct Reading {
    bytes: Zeroizing<Vec<u8>>,
    file: io::Result<File>,
}

impl Device {
    pub(crate) fn new(path: PathBuf, timeout: Duration) -> Self {
        Self {
            path,
            timeout,
            file: None,
            reading: Helper::new("device"),
            held: Zeroizing::new(Vec::new()),
            sent: 0,
        }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Opens the device, and holds at least `wanted` bytes of it.
    async fn hold(&mut self, wanted: usize) -> Result<(), FetchError> {
        let error = match timeout(self.timeout, self.read(wanted)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(source)) => {
                // The next fetch begins afresh: the device may have been unplugged.
                self.held = Zeroizing::new(Vec::new());
                FetchError::Device {
                    path: self.name(),
                    source,
                }
            }
            Err(_) => FetchError::SlowDevice {
                path: self.name(),
                limit: self.timeout,
            },
        };
        Err(error)
    }

    async fn read(&mut self, wanted: usize) -> io::Result<()> {
        while self.file.is_none() || self.held.len() < wanted {
            let missing = wanted.saturating_sub(self.held.len());
            let (path, file) = (self.path.clone(), self.file.take());
            let deadline = Instant::now() + self.timeout;
            let work = move || read(&path, file, missing, deadline);
            let Reading { bytes, file } = self.reading.run(work).await?;
            // In a buffer of the final size: one that grows would leave copies.
            let mut all = Zeroizing::new(Vec::with_capacity(self.held.len() + bytes.len()));
            all.extend_from_slice(&self.held);
            all.extend_from_slice(&bytes);
            self.held = all;
            self.file = Some(file?);
        }
        Ok(())
    }

    fn split_off(&mut self, wanted: usize) -> Entropy {
        let rest = Zeroizing::new(self.held[wanted..].to_vec());
        let mut held = std::mem::replace(&mut self.held, rest);
        held[wanted..].zeroize();
        held.truncate(wanted);
        Entropy::new(std::mem::take(&mut held))
    }
}

/// Reads `missing` bytes, or as many as come until `deadline`. If nobody waits for them any more,
/// they are wiped.
fn read(path: &Path, file: Option<File>, missing: usize, deadline: Instant) -> Reading {
    let mut bytes = Zeroizing::new(vec![0; missing]);
    let mut filled = 0;
    let read = || {
        let file = file.map_or_else(|| open(path), Ok)?;
        read_until(&file, &mut bytes, &mut filled, deadline)?;
        Ok(file)
    };
    let file = read();
    bytes.truncate(filled);
    Reading { bytes, file }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits())
        .expect("flags of open(2) are an int");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_char_device() && !kind.is_fifo() {
        let why = "it is neither a character device nor a named pipe";
        return Err(io::Error::other(why));
    }
    Ok(file)
}

fn read_until(
    mut file: &File,
    bytes: &mut [u8],
    filled: &mut usize,
    deadline: Instant,
) -> io::Result<()> {
    while *filled < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match file.read(&mut bytes[*filled..]) {
            Ok(0) => std::thread::sleep(PAUSE),
            Ok(arrived) => *filled += arrived,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

impl Source for Device {
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Entropy, FetchError>> {
        Box::pin(async move {
            if !self.limits().allow(ask.shape) {
                return Err(FetchError::Limits);
            }
            self.sent += 1;
            self.hold(ask.shape.bytes()).await?;
            Ok(self.split_off(ask.shape.bytes()))
        })
    }

    fn limits(&self) -> Limits {
        Limits::COMMON
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<(), FetchError>> {
        Box::pin(self.hold(0))
    }

    fn inspect(&mut self) -> BoxFuture<'_, Inspection> {
        Box::pin(async {
            Inspection {
                target: self.name(),
                trust: None,
                reached: self.hold(0).await.map(|()| None),
                credential: CredentialVerdict::Unknown,
                limits: Limits::COMMON,
                capabilities: None,
                health: None,
            }
        })
    }

    fn take_traffic(&mut self) -> Traffic {
        Traffic {
            sent: std::mem::take(&mut self.sent),
            link: None,
        }
    }
}
