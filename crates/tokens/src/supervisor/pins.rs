//! PINs for new workers, which the daemon does not hold.
//!
//! They wait in a pipe: in the kernel, never in swap, and out of the daemon's memory. Each new
//! worker gets another pipe, into which the kernel copies the content (`tee`).

use std::io;
use std::os::fd::OwnedFd;

use qseed_secrets::Secret;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};

use crate::wire::{self, ToWorker};

/// The smallest pipe that Linux makes, in bytes.
const LEAST_PIPE: usize = 4_096;

/// The PINs of one module's partitions, for its workers.
#[derive(Debug)]
pub struct KeptPins {
    pipe: OwnedFd,
    bytes: usize,
}

impl KeptPins {
    /// Puts PINs away, each with the number of its partition. The caller's are wiped when dropped.
    ///
    /// # Errors
    /// What the system says where it makes no pipe, or none that is large enough
    /// (`/proc/sys/fs/pipe-max-size`, normally 1 MiB).
    pub fn keep<'pins>(pins: impl IntoIterator<Item = &'pins (u32, Secret)>) -> io::Result<Self> {
        let mut frames = Vec::new();
        for (partition, pin) in pins {
            let (partition, pin) = (*partition, pin.clone());
            let frame = wire::encode(&ToWorker::Pin { partition, pin });
            frames.push(frame.map_err(io::Error::other)?);
        }
        let bytes = frames.iter().map(|frame| frame.len()).sum();
        let (pipe, into) = pipe_of(bytes)?;
        for frame in frames {
            let mut rest = frame.as_slice();
            while !rest.is_empty() {
                rest = &rest[rustix::io::write(&into, rest)?..];
            }
        }
        Ok(Self { pipe, bytes })
    }

    /// A pipe with the same content, for one worker.
    pub(super) fn copy(&self) -> io::Result<OwnedFd> {
        let (copy, into) = pipe_of(self.bytes)?;
        if self.bytes > 0 {
            let copied = tee(&self.pipe, &into, self.bytes, SpliceFlags::NONBLOCK)?;
            if copied != self.bytes {
                return Err(Errno::AGAIN.into());
            }
        }
        Ok(copy)
    }
}

/// A pipe that takes this many bytes without a reader.
fn pipe_of(bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (from, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&into, bytes.max(LEAST_PIPE))?;
    Ok((from, into))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use qseed_secrets::Secret;

    use super::KeptPins;
    use crate::wire::{Decoder, MAX_FRAME_BYTES, ToWorker};

    fn read(kept: &KeptPins) -> Vec<(u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        let copy = kept.copy().expect("a copy");
        File::from(copy).read_to_end(&mut bytes).expect("readable");
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        let mut pins = Vec::new();
        let mut rest = bytes.as_slice();
        loop {
            while let Some(message) = decoder.next_message().expect("frames") {
                let ToWorker::Pin { partition, pin } = message else {
                    panic!("{message:?}")
                };
                pins.push((partition, pin.expose().to_vec()));
            }
            let space = decoder.space();
            let taken = rest.len().min(space.len());
            if taken == 0 {
                return pins;
            }
            space[..taken].copy_from_slice(&rest[..taken]);
            decoder.filled(taken);
            rest = &rest[taken..];
        }
    }

    #[test]
    fn every_worker_gets_all_pins() {
        for count in [0, 1, 10_000] {
            let pins: Vec<_> = (0..count)
                .map(|number| (number, Secret::new(format!("pin {number}").into_bytes())))
                .collect();
            let kept = KeptPins::keep(&pins).expect("kept");
            let expected: Vec<_> = pins
                .iter()
                .map(|(number, pin)| (*number, pin.expose().to_vec()))
                .collect();
            for _ in 0..3 {
                assert_eq!(read(&kept), expected);
            }
        }
    }

    #[test]
    fn long_pins_fit() {
        let pins = [
            (1, Secret::new(vec![b'1'; 64 * 1024])),
            (2, Secret::new(vec![b'2'; 4_096])),
        ];
        let kept = KeptPins::keep(&pins).expect("kept");
        assert_eq!(read(&kept).len(), 2);
    }
}
