//! Tools that are not ours come to the same result: OpenSSL, and the Python package `aics-tlog`.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::SigningKey;
use qseed_ledger::note::{Note, Signature};
use qseed_ledger::proof::Proof;
use qseed_ledger::record::{self, Body, Chain, State};
use qseed_ledger::tiles::{TileFile, Tiles};
use qseed_ledger::tree::{Frontier, Hash, Leaves, leaf_hash};
use qseed_log_client::{check, openssl_accepts};
use tempfile::TempDir;

const ORIGIN: &str = "hsm.example/qseed/0123456789abcdef";
const TIME: &str = "2026-11-24T16:00:00.000Z";

/// A ledger that was signed each so many records, strongly each third time.
struct Ledger {
    key: SigningKey,
    lines: Vec<String>,
    leaves: Leaves,
    notes: Vec<Note>,
}

impl Ledger {
    fn of(records: u64, signed_each: u64) -> Self {
        let key = SigningKey::new(&[7; 32], ORIGIN).expect("a key");
        let mut chain = Chain::new();
        let (mut lines, mut notes) = (Vec::new(), Vec::new());
        while chain.seq() < records {
            let body = if chain.seq() % signed_each == signed_each - 1 {
                let root = chain.frontier().root();
                let size = chain.seq();
                let origin = ORIGIN.to_owned();
                let checkpoint = Checkpoint { origin, size, root };
                let strong = (notes.len() % 3 == 0).then_some(1_795_536_000 + size);
                let note = key.sign(&checkpoint, strong).expect("signed");
                let text = note.to_string();
                notes.push(note);
                Body::Checkpoint(record::Checkpoint {
                    size,
                    root,
                    note: text,
                })
            } else {
                Body::State(State {
                    partition: format!("partition \u{201e}{}\u{201c}", chain.seq()),
                    state: "seeded".to_owned(),
                    before: None,
                })
            };
            lines.push(chain.next(TIME, body));
        }
        let mut leaves = Leaves::new(&Frontier::new());
        for line in &lines {
            leaves.append(leaf_hash(line.as_bytes()));
        }
        Self {
            key,
            lines,
            leaves,
            notes,
        }
    }

    fn last(&self) -> (&Note, u64) {
        let note = self.notes.last().expect("signed");
        let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
        (note, checkpoint.size)
    }

    /// As a folder for `check`.
    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        write(path, "vkeys", vkeys(&self.key));
        write(path, "lines", self.lines.join("\n") + "\n");
        for (number, note) in self.notes.iter().enumerate() {
            write(path, &format!("checkpoints/{number:04}"), note.to_string());
        }
        folder
    }

    fn proof(&self, index: u64) -> Proof {
        let (note, size) = self.last();
        Proof {
            line: Some(
                self.lines[usize::try_from(index).expect("few")]
                    .clone()
                    .into_bytes(),
            ),
            index,
            hashes: self.leaves.inclusion(index, size).expect("in the tree"),
            note: note.clone(),
        }
    }

    fn consistency(&self, old: u64) -> String {
        let (note, size) = self.last();
        let hashes = self.leaves.consistency(old, size).expect("in the tree");
        add_checkpoint(old, &hashes, note)
    }
}

/// The keys, one a line.
fn vkeys(key: &SigningKey) -> String {
    let [ed25519, ml_dsa] = key.verifier_keys();
    format!("{ed25519}\n{ml_dsa}\n")
}

/// The body of a request to a witness.
fn add_checkpoint(old: u64, hashes: &[Hash], note: &Note) -> String {
    let hashes = hashes.iter().map(|hash| STANDARD.encode(hash) + "\n");
    format!("old {old}\n{}\n{note}", hashes.collect::<String>())
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

#[test]
fn openssl_accepts_the_signature_of_a_checkpoint_and_no_other_text() {
    let ledger = Ledger::of(20, 5);
    let [vkey, _] = ledger.key.verifier_keys();
    let vkey = vkey.to_string();
    for note in &ledger.notes {
        let note = note.to_string();
        assert!(openssl_accepts(&vkey, &note), "{note}");
        let changed = note.replacen("0123456789abcdef\n", "0123456789abcdee\n", 1);
        assert!(!openssl_accepts(&vkey, &changed), "{changed}");
    }
}

#[test]
fn aics_tlog_computes_the_same_roots_and_accepts_checkpoints_proofs_and_tiles() {
    let ledger = Ledger::of(700, 50);
    let folder = ledger.folder();
    let path = folder.path();
    let (note, size) = ledger.last();
    for index in (0..size).step_by(7).chain([size - 1]) {
        let proof = ledger.proof(index).to_string();
        write(path, &format!("proofs/{index}.tlog-proof"), proof);
    }
    for old in (0..=size).step_by(11).chain([1, 512, size]) {
        write(path, &format!("consistency/{old}"), ledger.consistency(old));
    }
    let mut tiles = Tiles::new();
    let mut files = Vec::new();
    for line in &ledger.lines[..usize::try_from(size).expect("few")] {
        files.extend(tiles.append(line.as_bytes()).expect("short"));
    }
    files.extend(tiles.partial());
    for TileFile {
        path: name,
        content,
    } in files
    {
        write(path, &format!("tiles/{name}"), content);
    }
    write(path, "tiles/checkpoint", note.to_string());

    let report = check(path).unwrap_or_else(|why| panic!("{why}"));
    let ours = ledger.notes.iter().map(|note| {
        let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
        (checkpoint.size, STANDARD.encode(checkpoint.root))
    });
    assert_eq!(report.checkpoints, ours.collect::<Vec<_>>());
    assert_eq!((size, report.strong), (699, 5));
    assert_eq!((report.proofs, report.consistency), (101, 67));
    // Two full tiles of hashes, one partial, one above them; three bundles.
    assert_eq!(report.tiles, 7);
}

#[test]
fn the_golden_ledger_holds() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let report = check(folder).unwrap_or_else(|why| panic!("{why}"));
    let sizes = report.checkpoints.iter().map(|(size, _)| *size);
    assert_eq!(sizes.collect::<Vec<_>>(), [5, 11, 17, 23]);
    assert_eq!((report.strong, report.proofs), (2, 3));
    assert_eq!((report.consistency, report.tiles), (3, 2));
}

/// What the other tool accepts means something only if it can refuse.
#[test]
fn aics_tlog_refuses_what_is_not_so() {
    let ledger = Ledger::of(60, 10);
    let refuses = |why: &str, files: &[(&str, String)]| {
        let folder = ledger.folder();
        for (name, content) in files {
            write(folder.path(), name, content);
        }
        let refused = check(folder.path()).expect_err(why);
        assert!(refused.contains(why), "{why}: {refused}");
    };

    let lines = ledger.lines.join("\n");
    let changed = lines.replace("partition \u{201e}3", "partition \u{201e}4");
    refuses("root at", &[("lines", changed)]);
    let other = SigningKey::new(&[8; 32], ORIGIN).expect("a key");
    refuses("no signature from log key", &[("vkeys", vkeys(&other))]);

    let [_, by_ml_dsa] = ledger.notes[0].signatures() else {
        panic!("the first checkpoint is a strong one");
    };
    let mut bytes = by_ml_dsa.bytes().to_vec();
    bytes[7] ^= 1;
    let other_time = Signature::new(ORIGIN.to_owned(), by_ml_dsa.key_id(), bytes);
    let other_time = other_time.expect("a signature").to_string();
    let note = ledger.notes[0].to_string();
    let note = note.replace(&by_ml_dsa.to_string(), &other_time);
    refuses("InvalidSignature", &[("checkpoints/0000", note)]);

    let proof = ledger.proof(3);
    let other_index = Proof {
        index: 4,
        ..proof.clone()
    }
    .to_string();
    refuses(
        "another way to the root",
        &[("proofs/3.tlog-proof", other_index)],
    );
    let line = Some(b"{}".to_vec());
    let other_line = Proof { line, ..proof }.to_string();
    refuses(
        "AssertionError: proof",
        &[("proofs/3.tlog-proof", other_line)],
    );

    let other_size = ledger.consistency(9).replacen("old 9", "old 10", 1);
    refuses(
        "AssertionError: consistency",
        &[("consistency/9", other_size)],
    );

    let checkpoint = ledger.last().0.to_string();
    let tile = "0".repeat(59 * 32);
    let files = [
        ("tiles/checkpoint", checkpoint),
        ("tiles/tile/0/000.p/59", tile),
    ];
    refuses("AssertionError: root of the tiles", &files);
}
