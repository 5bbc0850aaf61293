//! PINs that wait for logins outside of any process's memory.
//!
//! They wait in a pipe. The daemon has one for each module, for workers that start later; each
//! worker gets a copy of it, and reads a PIN from that when a login needs it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use qseed_secrets::{Secret, pipe};

use crate::wire::{self, Decoder, MAX_FRAME_BYTES, ToWorker};

/// The PINs of one module's partitions.
#[derive(Debug)]
pub struct KeptPins {
    pipe: OwnedFd,
    /// The other end. A copy has none.
    into: Option<OwnedFd>,
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
        let (pipe, into) = pipe::with_room(bytes)?;
        for frame in frames {
            pipe::fill(&into, &frame)?;
        }
        let into = Some(into);
        Ok(Self { pipe, into })
    }

    /// A copy that this process received.
    pub(crate) fn received(pipe: OwnedFd) -> Self {
        Self { pipe, into: None }
    }

    /// A pipe with the same content, for one worker.
    pub(crate) fn copy(&self) -> io::Result<OwnedFd> {
        pipe::copy(&self.pipe)
    }

    /// The partition's PIN, for one login.
    pub(crate) fn pin_of(&self, partition: u32) -> io::Result<Option<Secret>> {
        let mut found = None;
        self.read(|number, pin| {
            if number == partition {
                found = Some(pin);
            }
        })?;
        Ok(found)
    }

    /// Replaces a partition's PIN.
    pub(crate) fn replace(&mut self, partition: u32, pin: Secret) -> io::Result<()> {
        let message = ToWorker::Pin { partition, pin };
        let frame = wire::encode(&message).map_err(io::Error::other)?;
        // The last one counts. One that does not fit in full is not taken for one.
        if let Some(into) = &self.into
            && rustix::io::write(into, &frame) == Ok(frame.len())
        {
            return Ok(());
        }
        let mut pins = BTreeMap::new();
        self.read(|number, pin| drop(pins.insert(number, pin)))?;
        if let ToWorker::Pin { partition, pin } = message {
            pins.insert(partition, pin);
        }
        *self = Self::keep(&Vec::from_iter(pins))?;
        Ok(())
    }

    /// Reads a copy to its end.
    fn read(&self, mut each: impl FnMut(u32, Secret)) -> io::Result<()> {
        let mut copy = File::from(self.copy()?);
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        loop {
            while let Some(message) = decoder.next_message().map_err(io::Error::other)? {
                if let ToWorker::Pin { partition, pin } = message {
                    each(partition, pin);
                }
            }
            match copy.read(decoder.space())? {
                0 => return Ok(()),
                read => decoder.filled(read),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use qseed_secrets::Secret;

    use super::KeptPins;

    fn pin(number: u32) -> Secret {
        Secret::new(format!("pin {number}").into_bytes())
    }

    /// A worker's copy.
    fn copy(kept: &KeptPins) -> KeptPins {
        KeptPins::received(kept.copy().expect("a copy"))
    }

    fn read(kept: &KeptPins) -> Vec<(u32, Secret)> {
        let mut pins = Vec::new();
        let read = kept.read(|number, pin| pins.push((number, pin)));
        read.expect("readable");
        pins
    }

    #[test]
    fn every_worker_gets_all_pins() {
        for count in [0, 1, 10_000] {
            let pins: Vec<_> = (0..count).map(|number| (number, pin(number))).collect();
            let kept = KeptPins::keep(&pins).expect("kept");
            for _ in 0..3 {
                assert_eq!(read(&copy(&kept)), pins);
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
        assert_eq!(read(&copy(&kept)), pins);
    }

    #[test]
    fn a_pin_is_read_as_often_as_it_is_needed_and_can_be_replaced() {
        let pins: Vec<_> = (0..500).map(|number| (number, pin(number))).collect();
        let mut kept = copy(&KeptPins::keep(&pins).expect("kept"));
        let of = |kept: &KeptPins, number| kept.pin_of(number).expect("readable");
        for _ in 0..2 {
            assert_eq!(of(&kept, 7), Some(pin(7)));
            assert_eq!(of(&kept, 500), None);
        }
        for new in 1_000..2_000 {
            kept.replace(7, pin(new)).expect("replaced");
            assert_eq!(of(&kept, 7), Some(pin(new)));
        }
        kept.replace(500, Secret::new(vec![b'1'; 64 * 1024]))
            .expect("replaced");
        assert_eq!(of(&kept, 500).expect("a PIN").expose().len(), 64 * 1024);
        assert_eq!(of(&kept, 499), Some(pin(499)), "the others stay");
    }
}
