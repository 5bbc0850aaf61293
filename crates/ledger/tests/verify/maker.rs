//! Makes ledgers as a daemon writes them.

use std::collections::BTreeMap;

use qseed_ledger::checkpoint;
use qseed_ledger::key::SigningKey;
use qseed_ledger::record::{
    Began, Body, Chain, Checkpoint, Continued, Injection, Intent, Outcome, Partitions, Refused,
    Seed, Source, Started, Stopped, Token,
};
use qseed_ledger::verify::{Given, Report, Verifier};

pub(crate) const ORIGIN: &str = "hsm-gw-1/qseed/0123456789abcdef";
pub(crate) const SECRET: [u8; 32] = [7; 32];
pub(crate) const TIME: &str = "2024-02-29T15:49:11.050Z";

/// A ledger that is written: its files, each with its lines.
pub(crate) struct Maker {
    pub(crate) key: SigningKey,
    pub(crate) chain: Chain,
    pub(crate) files: Vec<(String, Vec<String>)>,
    /// The notes signed so far.
    pub(crate) notes: Vec<String>,
    jobs: u64,
}

impl Maker {
    /// A ledger that begins.
    pub(crate) fn new(secret: &[u8; 32], origin: &str) -> Self {
        let mut new = Self {
            key: SigningKey::new(secret, origin).expect("keys"),
            chain: Chain::new(),
            files: vec![],
            notes: vec![],
            jobs: 0,
        };
        new.file();
        let began = Began {
            origin: origin.to_owned(),
            keys: new.vkeys(),
            version: "0.1.0".to_owned(),
            hardening: BTreeMap::from([("memory".to_owned(), "locked".to_owned())]),
            because: "there was no ledger".to_owned(),
            previous: None,
        };
        new.record(Body::Began(began));
        new.start();
        new
    }

    pub(crate) fn vkeys(&self) -> Vec<String> {
        let keys = self.key.verifier_keys();
        keys.iter().map(ToString::to_string).collect()
    }

    fn file(&mut self) {
        let name = format!("audit-{:012}.jsonl", self.chain.seq());
        self.files.push((name, vec![]));
    }

    pub(crate) fn record(&mut self, body: Body) -> u64 {
        let seq = self.chain.seq();
        let line = self.chain.next(TIME, body);
        self.lines().push(line);
        seq
    }

    pub(crate) fn lines(&mut self) -> &mut Vec<String> {
        &mut self.files.last_mut().expect("a file").1
    }

    pub(crate) fn start(&mut self) {
        self.record(Body::Started(Started {
            version: "0.1.0".to_owned(),
            pid: 4711,
            mode: "required".to_owned(),
            hardening: BTreeMap::new(),
        }));
    }

    pub(crate) fn stop(&mut self) {
        self.record(Body::Stopped(Stopped {
            because: "SIGTERM".to_owned(),
        }));
    }

    pub(crate) fn injection(&self, partition: &str, job: Option<u64>) -> Injection {
        Injection {
            partitions: Partitions::One {
                token: Some(Token {
                    label: partition.to_owned(),
                    serial: "1234567890".to_owned(),
                    model: "Luna K7".to_owned(),
                    firmware: Some("7.8".to_owned()),
                }),
                outcome: Outcome {
                    partition: partition.to_owned(),
                    ckr: Some("CKR_OK".to_owned()),
                    duration_us: Some(300 + self.chain.seq()),
                    job,
                },
            },
            module: "/usr/safenet/lunaclient/lib/libCryptoki2_64.so".to_owned(),
            sources: vec![Source {
                name: "qrypt".to_owned(),
                request: self.chain.seq(),
                bytes: 48,
                tls_version: Some("TLS 1.3".to_owned()),
                tls_group: Some("X25519MLKEM768".to_owned()),
            }],
            mix_local: false,
            bytes: 48,
            checks: vec!["length".to_owned(), "repetition".to_owned()],
            function: Some("C_SeedRandom".to_owned()),
        }
    }

    pub(crate) fn intend(&mut self, partition: &str) -> u64 {
        self.jobs += 1;
        let injection = self.injection(partition, Some(self.jobs));
        self.record(Body::Intent(Intent(injection)));
        self.jobs
    }

    pub(crate) fn seed(&mut self, partition: &str, job: Option<u64>) -> u64 {
        let injection = self.injection(partition, job);
        self.record(Body::Seed(Seed(injection)))
    }

    pub(crate) fn refuse(&mut self, partition: &str, job: Option<u64>) -> u64 {
        let injection = self.injection(partition, job);
        self.record(Body::Refused(Refused {
            injection,
            reason: "device".to_owned(),
            because: "C_SeedRandom: CKR_DEVICE_ERROR".to_owned(),
        }))
    }

    /// Signs the tree as it is.
    pub(crate) fn sign(&mut self, strong: bool) -> checkpoint::Checkpoint {
        let checkpoint = checkpoint::Checkpoint {
            origin: self.key.origin().to_owned(),
            size: self.chain.seq(),
            root: self.chain.frontier().root(),
        };
        let note = self.key.sign(&checkpoint, strong.then_some(1_700_000_000));
        self.notes.push(note.expect("a note").to_string());
        checkpoint
    }

    pub(crate) fn note(&self) -> String {
        self.notes.last().expect("a note").clone()
    }

    pub(crate) fn checkpoint(&mut self, strong: bool) -> String {
        let checkpoint = self.sign(strong);
        let note = self.note();
        self.record(Body::Checkpoint(Checkpoint {
            size: checkpoint.size,
            root: checkpoint.root,
            note: note.clone(),
        }));
        note
    }

    pub(crate) fn rotate(&mut self) {
        self.checkpoint(true);
        let checkpoint = self.sign(true);
        self.file();
        let continued = Continued {
            origin: checkpoint.origin,
            keys: self.vkeys(),
            size: checkpoint.size,
            root: checkpoint.root,
            frontier: self.chain.frontier().hashes().to_vec(),
            note: self.note(),
        };
        self.record(Body::Continued(continued));
    }

    /// Three files with seeds, intents, refusals and checkpoints; the last record is a checkpoint.
    pub(crate) fn three_files(mut self) -> Self {
        for file in 0..3 {
            if file > 0 {
                self.rotate();
            }
            for minute in 0..4 {
                for _ in 0..5 {
                    let job = self.intend("issuing-ca");
                    self.seed("issuing-ca", Some(job));
                    self.refuse("root-ca", None);
                    self.seed("root-ca", None);
                }
                self.checkpoint(minute == 2);
            }
        }
        self.stop();
        self.checkpoint(true);
        self
    }

    pub(crate) fn given(&self) -> Given {
        Given {
            keys: self.key.verifier_keys().to_vec(),
            ..Given::default()
        }
    }

    /// What the daemon has in `audit.checkpoint`.
    pub(crate) fn given_newest(&self) -> Given {
        given_checkpoint(self.given(), &self.note())
    }
}

pub(crate) fn given_checkpoint(mut given: Given, note: &str) -> Given {
    let name = "audit.checkpoint".to_owned();
    given.checkpoints.push((name, note.to_owned()));
    given
}

pub(crate) fn bytes(lines: &[String]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line.as_bytes(), b"\n"].concat())
        .collect()
}

pub(crate) fn verify(files: &[(String, Vec<String>)], given: Given) -> Report {
    let files: Vec<_> = files
        .iter()
        .map(|(name, lines)| (name.as_str(), bytes(lines)))
        .collect();
    verify_bytes(&files, given)
}

pub(crate) fn verify_bytes(files: &[(&str, Vec<u8>)], given: Given) -> Report {
    let mut verifier = Verifier::new(given);
    for (name, bytes) in files {
        verifier.file(name);
        verifier.feed(bytes);
    }
    verifier.finish()
}

/// The findings, a line each, for assertions and failures.
pub(crate) fn findings(report: &Report) -> String {
    let lines = report.findings.iter().map(ToString::to_string);
    lines.map(|line| line + "\n").collect()
}
