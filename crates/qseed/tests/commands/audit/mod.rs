//! `qseed audit`, on ledgers as a daemon writes them.

mod attacks;
mod export;
mod files;
mod manual;
mod show;
mod verify;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::bench::{Bench, Ran, qseed};
use maker::{Maker, ORIGIN, SECRET};

#[path = "../../../../ledger/tests/verify/maker.rs"]
#[allow(dead_code, reason = "the ledger's own tests use all of it")]
mod maker;

/// The folder of a ledger: `audit.jsonl`, rotated files, `audit.checkpoint`, and the verifier's
/// `keys`. There is no configuration.
struct Ledger {
    bench: Bench,
    made: Maker,
}

impl Ledger {
    fn new() -> Self {
        Self::of(three_files(Maker::new(&SECRET, ORIGIN)))
    }

    fn of(made: Maker) -> Self {
        let bench = Bench::new();
        let ledger = Self { bench, made };
        ledger.write();
        ledger
    }

    /// Writes what was made to the folder.
    fn write(&self) {
        for number in 0..self.made.files.len() {
            let lines = &self.made.files[number].1;
            self.bench
                .write(&self.name(number), &(lines.join("\n") + "\n"));
        }
        self.bench.write("audit.checkpoint", &self.made.note());
        self.bench
            .write("keys", &(self.made.vkeys().join("\n") + "\n"));
    }

    /// The name of a file: the last one is the current one.
    fn name(&self, number: usize) -> String {
        if number + 1 == self.made.files.len() {
            return "audit.jsonl".to_owned();
        }
        let made = &self.made.files[number].0;
        let first = made.strip_prefix("audit-").expect("a number");
        let origin = self.made.key.origin().rsplit('/').next().expect("digits");
        format!("audit-{}-{first}", &origin[..8])
    }

    fn path(&self, name: &str) -> String {
        self.bench.path(name).display().to_string()
    }

    /// Changes a file.
    fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(self.path(name)).expect("a text");
        let mut lines = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        self.bench.write(name, &(lines.join("\n") + "\n"));
    }

    /// Packs a file as `gzip` does.
    fn pack(&self, name: &str) {
        let bytes = fs::read(self.path(name)).expect("a file");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&bytes).expect("packed");
        let packed = packed.finish().expect("packed");
        fs::write(self.path(&format!("{name}.gz")), packed).expect("written");
        fs::remove_file(self.path(name)).expect("removed");
    }

    /// `qseed audit` with these words, in the folder.
    fn audit(&self, words: &[&str]) -> Ran {
        let mut command = qseed();
        command.current_dir(self.bench.folder.path());
        Ran::of(command.arg("audit").args(words))
    }

    /// `qseed audit verify audit.jsonl` with the keys and these words.
    fn verify(&self, more: &[&str]) -> Ran {
        self.audit(&[&["verify", "audit.jsonl", "--key", "keys"], more].concat())
    }
}

/// Adds up to three files with 260 records: 120 seeds, 60 refusals, intents and checkpoints.
fn three_files(mut made: Maker) -> Maker {
    for file in 0..3 {
        if file > 0 {
            made.rotate();
        }
        for minute in 0..4 {
            for _ in 0..5 {
                let job = made.intend("issuing-ca");
                made.seed("issuing-ca", Some(job));
                made.refuse("root-ca", None);
                made.seed("root-ca", None);
            }
            made.checkpoint(minute == 2);
        }
    }
    made.stop();
    made.checkpoint(true);
    made
}

/// Changes the outcome of one seed.
fn change_a_seed(lines: &mut [String]) {
    let seed = lines.iter_mut().find(|line| line.contains("\"seed\""));
    let seed = seed.expect("a seed");
    *seed = seed.replace("CKR_OK", "CKR_0K");
}

/// Another folder with nothing but this file in it, as on the machine of an auditor.
fn alone(file: &str, content: &str) -> (Bench, PathBuf) {
    let bench = Bench::new();
    let path = bench.write(file, content);
    (bench, path)
}
