//! A ledger that an earlier qseed wrote: it must hold for ever, and tools that are not ours accepted it.
//!
//! `other_tools` has them check it once more, where they can be had.

use std::fs;

use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{Algorithm, SigningKey, VerifierKey, signers};
use qseed_ledger::note::Note;
use qseed_ledger::proof::Proof;
use qseed_ledger::record::{Head, line_hash};
use qseed_ledger::tiles::{TileFile, Tiles};
use qseed_ledger::tree::{Frontier, Leaves, leaf_hash, verify_consistency};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const ORIGIN: &str = "hsm-gw-1.example/qseed/0123456789abcdef";

/// The root of its last checkpoint, as `aics-tlog` 0.2.1 computed it.
const ROOT: &str = "aDrGd0dQ6fpr8BE1mbiGAz9o/1jvkbo0t3fymd83gtQ=";

fn read(name: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{name}")).expect("it is in the repository")
}

fn lines() -> Vec<String> {
    read("lines").lines().map(str::to_owned).collect()
}

fn keys() -> Vec<VerifierKey> {
    let keys = read("vkeys");
    keys.lines()
        .map(|key| key.parse().expect("a vkey"))
        .collect()
}

/// A checkpoint that both keys signed, or the first alone.
fn checkpoint(note: &Note, strong: bool) -> Checkpoint {
    let keys = keys();
    let signers = signers(note, &keys).expect("signed");
    let by = signers.iter().map(|signed| signed.by.algorithm());
    let expected = [Algorithm::Ed25519, Algorithm::MlDsa44Cosignature];
    assert!(by.eq(expected.into_iter().take(1 + usize::from(strong))));
    note.text().parse().expect("a checkpoint")
}

fn leaves() -> Leaves {
    let mut leaves = Leaves::new(&Frontier::new());
    for line in lines() {
        leaves.append(leaf_hash(line.as_bytes()));
    }
    leaves
}

#[test]
fn the_secret_still_gives_the_same_keys() {
    let secret = std::array::from_fn(|at| u8::try_from(at).expect("small"));
    let key = SigningKey::new(&secret, ORIGIN).expect("a key");
    assert_eq!(key.verifier_keys()[..], keys()[..]);

    let note: Note = read("checkpoints/11").parse().expect("a note");
    let checkpoint = checkpoint(&note, false);
    assert_eq!(key.sign(&checkpoint, None), Ok(note));
}

#[test]
fn each_line_names_the_one_before() {
    let mut prev = None;
    for (seq, line) in (0..).zip(lines()) {
        let head = Head::parse(line.as_bytes()).expect("a record");
        assert_eq!((head.seq, head.prev), (seq, prev));
        prev = Some(line_hash(line.as_bytes()));
    }
}

#[test]
fn its_checkpoints_hold() {
    let leaves = leaves();
    for (size, strong) in [(5, true), (11, false), (17, false), (23, true)] {
        let note = read(&format!("checkpoints/{size:02}"));
        let note: Note = note.parse().expect("a note");
        let root = leaves.root(size).expect("in the tree");
        let origin = ORIGIN.to_owned();
        assert_eq!(checkpoint(&note, strong), Checkpoint { origin, size, root });
    }
    assert!(read("checkpoints/23").starts_with(&format!("{ORIGIN}\n23\n{ROOT}\n")));
}

#[test]
fn its_proofs_hold() {
    for index in [0_usize, 7, 22] {
        let text = read(&format!("proofs/{index:02}.tlog-proof"));
        let proof: Proof = text.parse().expect("a proof");
        assert_eq!(proof.to_string(), text);
        let line = proof.line.as_deref().expect("with its line");
        assert_eq!(line, lines()[index].as_bytes());
        let checkpoint = checkpoint(&proof.note, true);
        assert_eq!(proof.check(line), Ok(checkpoint));
    }
}

#[test]
fn its_checkpoints_continue_each_other() {
    let leaves = leaves();
    let new_root = leaves.root(23).expect("in the tree");
    for old in [5, 11, 17] {
        let old_root = leaves.root(old).expect("in the tree");
        let hashes = leaves.consistency(old, 23).expect("in the tree");
        assert!(verify_consistency(
            (old, &old_root),
            (23, &new_root),
            &hashes
        ));
    }
}

#[test]
fn its_tiles_are_the_same() {
    let mut tiles = Tiles::new();
    for line in &lines()[..23] {
        assert_eq!(tiles.append(line.as_bytes()), Ok(vec![]));
    }
    let files = tiles.partial();
    assert_eq!(files.len(), 2);
    for TileFile { path, content } in files {
        let there = fs::read(format!("{FOLDER}/tiles/{path}")).expect("it is in the repository");
        assert!(content == there, "{path}");
    }
}
