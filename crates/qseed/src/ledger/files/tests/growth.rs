//! Proofs for witnesses, from files that were rotated and pruned.

use std::fs;

use jiff::Timestamp;
use qseed_config::Rotate;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::note::Note;

use super::{Scene, write};
use crate::ledger::growth::{GrowthError, growth};

/// A ledger of several files, of which the first is gone; its newest checkpoint, and the names of the
/// older files, each with its first record.
fn pruned() -> (Scene, Checkpoint, Vec<(u64, String)>) {
    let scene = Scene::new();
    let rotate = Rotate { size: 0, keep: 3 };
    let (mut files, _) = scene.start();
    for _ in 0..5 {
        write(&mut files, 7);
        files.rotate(Timestamp::now(), rotate).expect("rotated");
    }
    write(&mut files, 5);
    let note: Note = files
        .sign(Timestamp::now(), true)
        .expect("signed")
        .parse()
        .expect("a note");
    // The checkpoint's own record stands behind what it signs, as more may.
    write(&mut files, 3);
    let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
    let older = files.folder.older(&checkpoint.origin).expect("listed");
    assert_eq!(older.len(), 3);
    (scene, checkpoint, older)
}

#[test]
fn each_size_that_is_still_there_has_a_proof() {
    let (scene, checkpoint, older) = pruned();
    let first = older[0].0;
    for old in first..=checkpoint.size {
        let proof = growth(&scene.current(), old, &checkpoint).expect("it verifies");
        assert!(proof.len() <= 63 && proof.is_empty() == (old == checkpoint.size));
    }
    let gone = growth(&scene.current(), first - 1, &checkpoint);
    assert!(matches!(gone, Err(GrowthError::Pruned)), "{gone:?}");
}

#[test]
fn only_the_files_that_are_needed_are_read() {
    let (scene, checkpoint, older) = pruned();
    let (first, name) = &older[1];
    let packed = scene.path(&format!("{name}.gz"));
    fs::rename(scene.path(name), &packed).expect("renamed");
    let prove = |old| growth(&scene.current(), old, &checkpoint);
    assert!(matches!(prove(*first), Err(GrowthError::Compressed(_))));
    prove(older[2].0).expect("it verifies");
    fs::remove_file(&packed).expect("removed");
    assert!(matches!(prove(*first), Err(GrowthError::Changed)), "a gap");
}

#[test]
fn files_that_hold_something_else_prove_nothing() {
    let (scene, checkpoint, older) = pruned();
    let (first, name) = &older[2];
    let text = fs::read_to_string(scene.path(name)).expect("a file");
    let changed = text.replacen("\"p0\"", "\"p9\"", 1);
    assert!(text != changed, "a record");
    fs::write(scene.path(name), changed).expect("written");
    let prove = |checkpoint| growth(&scene.current(), *first, checkpoint);
    assert!(matches!(prove(&checkpoint), Err(GrowthError::Changed)));
    fs::write(scene.path(name), text).expect("written");
    prove(&checkpoint).expect("it verifies");
    let other = Checkpoint {
        origin: "other/qseed/0".to_owned(),
        ..checkpoint.clone()
    };
    assert!(matches!(prove(&other), Err(GrowthError::Changed)));
    let larger = Checkpoint {
        size: checkpoint.size + 100,
        ..checkpoint.clone()
    };
    assert!(matches!(prove(&larger), Err(GrowthError::Changed)));
}
