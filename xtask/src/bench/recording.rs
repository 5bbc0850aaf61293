//! What the faulty token recorded.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Counts the seeds that tokens mixed in.
pub(super) struct Recording {
    path: PathBuf,
    /// The bytes that were read.
    read: u64,
    seeds: u64,
}

impl Recording {
    /// Of this file, which may not be there yet.
    pub(super) fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self {
            path,
            read: 0,
            seeds: 0,
        }
    }

    /// The seeds so far.
    pub(super) fn seeds(&mut self) -> Result<u64, Failure> {
        let context = || Failure::io(self.path.display().to_string());
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            file => file.map_err(context())?,
        };
        file.seek(SeekFrom::Start(self.read)).map_err(context())?;
        let mut more = Vec::new();
        file.read_to_end(&mut more).map_err(context())?;
        // A line that is being written is read next time.
        let complete = more.iter().rposition(|byte| *byte == b'\n');
        let complete = &more[..complete.map_or(0, |at| at + 1)];
        for line in complete.split(|byte| *byte == b'\n') {
            self.seeds += u64::from(is_seed(&String::from_utf8_lossy(line)));
        }
        self.read += complete.len() as u64;
        Ok(self.seeds)
    }
}

fn is_seed(line: &str) -> bool {
    let parts = [
        "\"event\":\"ended\"",
        "\"C_SeedRandom\"",
        "\"result\":\"CKR_OK\"",
    ];
    parts.iter().all(|part| line.contains(part))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::Recording;

    #[test]
    fn each_seed_counts_once_when_its_line_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.jsonl");
        let mut recording = Recording::new(&path);
        assert_eq!(recording.seeds().expect("no file"), 0);
        let seed = r#"{"ns":1,"event":"ended","function":"C_SeedRandom","result":"CKR_OK"}"#;
        let other = seed.replace("CKR_OK", "CKR_DEVICE_ERROR");
        let mut file = OpenOptions::new();
        let mut file = file.create(true).append(true).open(&path).expect("a file");
        write!(file, "{seed}\n{other}\n{}", &seed[..60]).expect("written");
        assert_eq!(recording.seeds().expect("read"), 1);
        writeln!(file, "{}", &seed[60..]).expect("written");
        assert_eq!(recording.seeds().expect("read"), 2);
        assert_eq!(recording.seeds().expect("read"), 2);
    }
}
