//! A character device or a named pipe: a QRNG card, a hardware generator.
//!
//! Drivers differ: some say when they have bytes, some return early, some block in spite of
//! `O_NONBLOCK`. So each fetch reads on a short-lived thread of its own, which nothing else waits
//! for. While one hangs in its driver no second one is started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qseed_entropy::Entropy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use tokio::sync::oneshot;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use crate::beside::beside;
use crate::delivery::{Ask, Delivery, Limits, Ready};
use crate::error::{Failed, FetchError, Phase};
use crate::inspection::{CredentialVerdict, Inspection};
use crate::settings::SettingsError;
use crate::{BoxFuture, Source};

/// The pause before a device is read again that claims to have something and gives nothing: a pipe
/// without a writer.
const PAUSE: Duration = Duration::from_millis(20);

/// A source of type `device`.
pub(crate) struct Device {
    path: PathBuf,
    timeout: Duration,
    file: Option<Arc<File>>,
    /// A reading whose end is still to come.
    under_way: Option<oneshot::Receiver<Reading>>,
    /// What was read by a fetch that ran out of time: a slow device needs several.
    held: Zeroizing<Vec<u8>>,
}

/// How a reading ended, and what it brought until then.
struct Reading {
    bytes: Zeroizing<Vec<u8>>,
    ended: io::Result<()>,
}

impl Device {
    pub(crate) fn open(path: PathBuf, timeout: Duration) -> Result<Self, SettingsError> {
        if timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        let held = Zeroizing::new(Vec::new());
        Ok(Self {
            path,
            timeout,
            file: None,
            under_way: None,
            held,
        })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn failed(&self, source: io::Error) -> FetchError {
        FetchError::Device {
            path: self.path.clone(),
            source,
        }
    }

    /// The open device. It stays open: closing a pipe would end its writer.
    fn file(&mut self) -> Result<Arc<File>, FetchError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits())
            .expect("flags of open(2) are an int");
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path)
            .map_err(|error| self.failed(error))?;
        let kind = file
            .metadata()
            .map_err(|error| self.failed(error))?
            .file_type();
        if !kind.is_char_device() && !kind.is_fifo() {
            return Err(FetchError::NoDevice {
                path: self.path.clone(),
            });
        }
        Ok(Arc::clone(self.file.insert(Arc::new(file))))
    }

    async fn read_exactly(&mut self, wanted: usize) -> Result<Entropy, FetchError> {
        match timeout(self.timeout, self.fill(wanted)).await {
            Ok(Ok(())) => Ok(self.split_off(wanted)),
            Ok(Err(error)) => {
                // The next fetch begins afresh: the device may have been unplugged.
                self.file = None;
                self.held = Zeroizing::new(Vec::new());
                Err(error)
            }
            Err(_) => Err(FetchError::Timeout {
                endpoint: self.name(),
                phase: Phase::Device,
                limit: self.timeout,
            }),
        }
    }

    async fn fill(&mut self, wanted: usize) -> Result<(), FetchError> {
        while self.held.len() < wanted {
            if self.under_way.is_none() {
                let missing = wanted - self.held.len();
                let file = self.file()?;
                let begun = read_on_thread(file, missing, Instant::now() + self.timeout);
                self.under_way = Some(begun.map_err(|error| self.failed(error))?);
            }
            let Some(under_way) = &mut self.under_way else {
                continue;
            };
            let reading = under_way.await;
            self.under_way = None;
            let reading = reading.map_err(|lost| self.failed(io::Error::other(lost)))?;
            self.hold(&reading.bytes);
            reading.ended.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Adds to what is held, in a buffer of the final size: one that grows would leave copies.
    fn hold(&mut self, bytes: &[u8]) {
        let mut all = Zeroizing::new(Vec::with_capacity(self.held.len() + bytes.len()));
        all.extend_from_slice(&self.held);
        all.extend_from_slice(bytes);
        self.held = all;
    }

    fn split_off(&mut self, wanted: usize) -> Entropy {
        let rest = Zeroizing::new(self.held[wanted..].to_vec());
        let mut held = std::mem::replace(&mut self.held, rest);
        held[wanted..].zeroize();
        held.truncate(wanted);
        Entropy::new(std::mem::take(&mut held))
    }
}

/// Reads `missing` bytes, or as many as come until `deadline`. What nobody waits for any more is
/// wiped.
fn read_on_thread(
    file: Arc<File>,
    missing: usize,
    deadline: Instant,
) -> io::Result<oneshot::Receiver<Reading>> {
    let mut bytes = Zeroizing::new(vec![0; missing]);
    beside("device", move || {
        let mut filled = 0;
        let ended = read_until(&file, &mut bytes, &mut filled, deadline);
        bytes.truncate(filled);
        Reading { bytes, ended }
    })
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
    fn fetch(&mut self, ask: Ask) -> BoxFuture<'_, Result<Delivery, Failed>> {
        Box::pin(async move {
            Limits::COMMON.check(&ask, &self.name())?;
            let wanted = ask.block_size as usize * ask.block_count as usize;
            match self.read_exactly(wanted).await {
                Ok(entropy) => Ok(Delivery {
                    entropy,
                    link: None,
                    attempts: 1,
                    downloaded: ask.bytes(),
                }),
                Err(error) => Err(Failed {
                    attempts: 1,
                    ..Failed::early(error)
                }),
            }
        })
    }

    fn limits(&self) -> Limits {
        Limits::COMMON
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<Ready, Failed>> {
        Box::pin(async {
            self.file().map_err(Failed::early)?;
            Ok(Ready {
                link: None,
                attempts: 0,
            })
        })
    }

    fn inspect(&mut self) -> BoxFuture<'_, Inspection> {
        Box::pin(async {
            Inspection {
                target: self.name(),
                trust: None,
                reached: self.file().map(|_| None),
                credential: CredentialVerdict::Unknown,
                limits: Limits::COMMON,
                capabilities: None,
                health: None,
                attempts: 0,
            }
        })
    }
}
