//! A ledger as a stranger reads it: the files in order, each record checked against the one before,
//! each checkpoint against the tree and the keys.

use std::fs;
use std::path::{Path, PathBuf};

use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{Algorithm, VerifierKey, signers};
use qseed_ledger::note::Note;
use qseed_ledger::record::{Body, Chain, Record};
use qseed_ledger::tree::Frontier;

/// The ledger in a folder.
pub struct Ledger {
    folder: PathBuf,
}

/// What a checked ledger holds.
#[derive(Debug)]
pub struct Checked {
    pub origin: String,
    pub records: Vec<Record>,
    /// The checkpoints that ML-DSA-44 signed as well.
    pub strong: usize,
}

impl Ledger {
    pub fn new(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn current(&self) -> PathBuf {
        self.path("audit.jsonl")
    }

    /// The older files of any origin.
    pub fn older(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).expect("a folder");
        let names = entries.map(|it| it.expect("an entry").file_name().into_string());
        let mut names: Vec<String> = names.map(|it| it.expect("text")).collect();
        names.retain(|name| name.starts_with("audit-"));
        names.sort();
        names
    }

    /// Checks the present ledger from its first file, and returns all of its records. A last line
    /// without its end is allowed after a kill.
    pub fn check(&self) -> Checked {
        let current = lines(&self.current());
        let first = Record::parse(current[0].as_bytes()).expect("a record");
        let (origin, keys) = match first.body {
            Body::Began(it) => (it.origin, it.keys),
            Body::Continued(it) => (it.origin, it.keys),
            other => panic!("{other:?}"),
        };
        let keys: Vec<VerifierKey> = keys.iter().map(|it| it.parse().expect("a key")).collect();
        let short = origin.rsplit('/').next().expect("a name")[..8].to_owned();
        let mut all = Vec::new();
        for name in self.older() {
            if name.starts_with(&format!("audit-{short}-")) {
                all.extend(lines(&self.path(&name)));
            }
        }
        all.extend(current);
        let mut chain: Option<Chain> = None;
        let (mut records, mut strong) = (Vec::new(), 0);
        for line in all {
            let record =
                Record::parse(line.as_bytes()).unwrap_or_else(|why| panic!("{why}: {line}"));
            let chain = chain.get_or_insert_with(|| match &record.body {
                Body::Continued(it) => {
                    let frontier = Frontier::from_parts(it.size, it.frontier.clone());
                    Chain::after(frontier.expect("a frontier"), record.prev)
                }
                _ => Chain::new(),
            });
            assert_eq!(record.seq, chain.seq(), "{line}");
            assert_eq!(record.prev.as_ref(), chain.prev(), "{line}");
            let note = match &record.body {
                Body::Checkpoint(it) => Some(&it.note),
                Body::Continued(it) => Some(&it.note),
                _ => None,
            };
            if let Some(note) = note {
                let note: Note = note.parse().expect("a note");
                let signed = signers(&note, &keys).expect("signed");
                let strongly = signed
                    .iter()
                    .filter(|it| it.by.algorithm() == Algorithm::MlDsa44Cosignature);
                strong += strongly.count();
                let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
                assert_eq!(checkpoint.origin, origin);
                assert_eq!(checkpoint.size, chain.seq(), "{line}");
                assert_eq!(checkpoint.root, chain.frontier().root(), "{line}");
            }
            chain.push(line.as_bytes());
            records.push(record);
        }
        Checked {
            origin,
            records,
            strong,
        }
    }
}

impl Checked {
    /// The names of the events, in order.
    pub fn events(&self) -> Vec<&str> {
        self.records.iter().map(|it| it.body.event()).collect()
    }

    /// Whether the last record is a checkpoint.
    pub fn is_signed_to_the_end(&self) -> bool {
        self.events().last() == Some(&"checkpoint")
    }

    /// The partitions of all seeds that tokens accepted, in order.
    pub fn seeded(&self) -> Vec<String> {
        let bodies = self.records.iter().map(|it| &it.body);
        let seeds = bodies.filter_map(|body| match body {
            Body::Seed(seed) => Some(&seed.0),
            _ => None,
        });
        seeds
            .flat_map(|it| it.outcomes().map(|it| it.partition.clone()))
            .collect()
    }
}

/// The whole lines of a file.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}
