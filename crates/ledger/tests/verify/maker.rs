//! Makes ledgers as a daemon writes them.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qseed_ledger::checkpoint;
use qseed_ledger::key::{SigningKey, VerifierKey};
use qseed_ledger::note::{Note, Signature};
use qseed_ledger::record::{
    Began, Body, Chain, Checkpoint, Continued, Injection, Intent, Outcome, Partitions, Refused,
    Seed, Source, Started, Stopped, Token, Witnessed, line_hash,
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

    /// Has a witness cosign the newest checkpoint.
    pub(crate) fn witness(&mut self, witness: &Witness) {
        let note = witness.cosign(&self.note());
        let size = note.lines().nth(1).expect("a size").parse();
        self.record(Body::Witnessed(Witnessed {
            witness: witness.name.to_owned(),
            size: size.expect("a size"),
            note,
        }));
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
            for minute in 0..2 {
                for _ in 0..6 {
                    let job = self.intend("issuing-ca");
                    self.seed("issuing-ca", Some(job));
                    self.refuse("root-ca", None);
                    self.seed("root-ca", None);
                }
                self.checkpoint(minute == 1);
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

/// Links each line from this one on to the line before it again, as a forger does who has no key.
pub(crate) fn relink(files: &mut [(String, Vec<String>)], file: usize, line: usize) {
    let mut prev: Option<String> = None;
    for (number, (_, lines)) in files.iter_mut().enumerate() {
        for (index, text) in lines.iter_mut().enumerate() {
            let end = text.len().saturating_sub(66);
            if (number, index) >= (file, line)
                && let Some(prev) = &prev
                && text.is_char_boundary(end)
                && text[..end].ends_with("\"prev\":\"")
            {
                *text = format!("{}{prev}\"}}", &text[..end]);
            }
            prev = Some(hex(&line_hash(text.as_bytes())));
        }
    }
}

pub(crate) fn hex(hash: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    hash.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A witness with an Ed25519 key, as <https://c2sp.org/tlog-cosignature> says.
pub(crate) struct Witness {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Witness {
    pub(crate) fn new(name: &'static str) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key");
        Self { name, pair }
    }

    fn public_key(&self) -> Vec<u8> {
        [&[4], self.pair.public_key().as_ref()].concat()
    }

    fn id(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), b"\n", &self.public_key()].concat();
        *line_hash(&named).first_chunk().expect("32 bytes")
    }

    pub(crate) fn key(&self) -> VerifierKey {
        let key = STANDARD.encode(self.public_key());
        let vkey = format!("{}+{}+{key}", self.name, hex(&self.id()));
        vkey.parse().expect("a key")
    }

    /// The note with this witness's cosignature.
    pub(crate) fn cosign(&self, note: &str) -> String {
        let mut note: Note = note.parse().expect("a note");
        let time = 1_700_000_100_u64;
        let message = format!("cosignature/v1\ntime {time}\n{}", note.text());
        let signature = self.pair.sign(message.as_bytes());
        let bytes = [&time.to_be_bytes(), signature.as_ref()].concat();
        let signature = Signature::new(self.name.to_owned(), self.id(), bytes);
        note.add(signature.expect("a signature")).expect("room");
        note.to_string()
    }
}
