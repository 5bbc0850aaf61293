//! The file on the disk: its lock, what others did to it, and putting another one in its place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use qseed_model::pins::DeviceTag;
use rustix::fs::FlockOperation;

use super::contents::Contents;
use super::{GuardFile, MAX_BYTES, NAME, OLDER, SEAL, Seal, judge_by_seal};
use crate::state_dir::StateDirError;

impl GuardFile {
    pub(super) fn error(&self, source: io::Error) -> StateDirError {
        StateDirError::Io {
            path: self.dir.path().join(NAME),
            source,
        }
    }

    pub(super) fn length(&self) -> Result<u64, StateDirError> {
        let meta = self.file.metadata().map_err(|why| self.error(why))?;
        Ok(meta.len())
    }

    /// Whether the file that is open still has its name.
    pub(super) fn is_in_place(&self) -> bool {
        let named = self.dir.open_file(NAME, false).ok().flatten();
        let same = |named: File| -> io::Result<bool> {
            let (ours, now) = (self.file.metadata()?, named.metadata()?);
            Ok((ours.ino(), ours.dev()) == (now.ino(), now.dev()))
        };
        named.is_some_and(|named| same(named).unwrap_or(false))
    }

    pub(super) fn locked<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, StateDirError>,
    ) -> Result<T, StateDirError> {
        // Another disk may have been mounted there.
        self.dir = self.dir.again()?;
        loop {
            rustix::fs::flock(&self.file, FlockOperation::LockExclusive)
                .map_err(|why| self.error(why.into()))?;
            if self.is_in_place() {
                break;
            }
            // Another process compacted or reset it, or somebody moved it.
            if let Some(file) = self.dir.open_file(NAME, true)? {
                self.file = file;
                self.read = u64::MAX;
            } else {
                let why = format!("the PIN guard's file {NAME} was removed");
                self.contents.records.lose(Some(why));
                self.rewrite()?;
            }
        }
        let result = action(self);
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        result
    }

    /// Reads what others appended since the last time, or all of a file that took the place of
    /// this one.
    pub(super) fn catch_up(&mut self) -> Result<(), StateDirError> {
        if self.read <= self.length()? {
            return self.read_on();
        }
        let ours = std::mem::take(&mut self.contents);
        if let Err(why) = self.read_whole() {
            // What is known must not be forgotten with it.
            self.contents = ours;
            self.read = u64::MAX;
            return Err(why);
        }
        self.changed = all_devices(&ours)
            .chain(all_devices(&self.contents))
            .collect();
        let is_older = self.contents.records.last() < ours.records.last();
        judge_by_seal(&self.dir, &mut self.contents)?;
        if is_older {
            self.contents.lose_once(OLDER);
        }
        // What this process knows and the file lost is written down again.
        if self.lost().is_some() && self.contents.add_missing(&ours) | is_older {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Reads the file from its beginning.
    pub(super) fn read_all(&mut self) -> Result<(), StateDirError> {
        self.read_whole()?;
        judge_by_seal(&self.dir, &mut self.contents)
    }

    pub(super) fn read_whole(&mut self) -> Result<(), StateDirError> {
        self.read = 0;
        self.contents = Contents::default();
        self.read_on()?;
        self.contents.check_end();
        Ok(())
    }

    /// Reads whole lines that were not read yet, and cuts off what stands behind them.
    pub(super) fn read_on(&mut self) -> Result<(), StateDirError> {
        let length = self.length()?;
        if length > MAX_BYTES {
            return Err(StateDirError::TooLong {
                path: self.dir.path().join(NAME),
                limit: MAX_BYTES,
            });
        }
        if length == self.read {
            return Ok(());
        }
        let mut text = Vec::new();
        let mut read = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(self.read))?;
            (&self.file).take(MAX_BYTES).read_to_end(&mut text)?;
            Ok(())
        };
        read().map_err(|source| StateDirError::Io {
            path: self.dir.path().join(NAME),
            source,
        })?;
        let mut before = self.contents.clone();
        let whole = self.contents.read(&text);
        self.read += whole as u64;
        for record in self.contents.records.iter() {
            if before.records.remove(record.tag).as_ref() != Some(record) {
                self.changed.insert(record.device);
            }
        }
        if whole < text.len() {
            self.file
                .set_len(self.read)
                .map_err(|why| self.error(why))?;
        }
        Ok(())
    }

    /// Puts a file with the last record of each PIN in the place of this one.
    pub(super) fn rewrite(&mut self) -> Result<(), StateDirError> {
        let text = self.contents.compact();
        self.file = self.dir.replace(NAME, text.as_bytes())?;
        self.read = text.len() as u64;
        let mut contents = Contents::default();
        contents.read(text.as_bytes());
        self.contents = contents;
        Ok(())
    }

    /// Remembers how far the records have come. Where that cannot be written, the next record
    /// tries again.
    pub(super) fn seal(&mut self) {
        let last = self.contents.records.last();
        let text = serde_json::to_vec(&Seal { last }).expect("a seal is plain data");
        self.unsealed = self.dir.replace(SEAL, &text).is_err();
    }
}

fn all_devices(contents: &Contents) -> impl Iterator<Item = DeviceTag> {
    let devices: Vec<_> = contents
        .records
        .iter()
        .map(|record| record.device)
        .collect();
    devices.into_iter()
}
