//! The tiles of a ledger, against the specification's numbers and a naive tree.

use std::collections::BTreeMap;

use qseed_ledger::Error;
use qseed_ledger::tiles::{TileFile, Tiles};
use qseed_ledger::tree::{Frontier, Hash, leaf_hash};

fn line(index: usize) -> Vec<u8> {
    format!("line {index}").into_bytes()
}

/// All files of a ledger of `size` lines, by path.
fn files(size: usize) -> BTreeMap<String, Vec<u8>> {
    let mut tiles = Tiles::new();
    let mut files = BTreeMap::new();
    let mut keep = |more: Vec<TileFile>| {
        for TileFile { path, content } in more {
            assert!(!content.is_empty(), "{path}");
            assert_eq!(files.insert(path, content), None);
        }
    };
    for index in 0..size {
        keep(tiles.append(&line(index)).expect("short enough"));
    }
    keep(tiles.partial());
    files
}

fn root<'a>(hashes: impl Iterator<Item = &'a Hash>) -> Hash {
    let mut tree = Frontier::new();
    hashes.for_each(|hash| tree.append(*hash));
    tree.root()
}

/// The specification: "a tree of size 70,000 will be represented by 273 full level 0 tiles, one partial
/// level 0 tile of width 112, one full level 1 tile, one partial level 1 tile of width 17, and one partial
/// level 2 tile of width 1."
#[test]
fn a_tree_of_70000_leaves_has_the_tiles_of_the_specification() {
    let files = files(70_000);
    let names = |prefix: &str| -> Vec<&str> {
        let names = files.keys().filter_map(|path| path.strip_prefix(prefix));
        names.collect()
    };
    for kind in ["tile/0/", "tile/entries/"] {
        let names = names(kind);
        assert_eq!(names.len(), 274);
        assert_eq!(names[0], "000");
        assert_eq!(names[272..], ["272", "273.p/112"]);
    }
    assert_eq!(names("tile/1/"), ["000", "001.p/17"]);
    assert_eq!(names("tile/2/"), ["000.p/1"]);
    assert_eq!(files.len(), 274 * 2 + 2 + 1);
    assert_eq!(files["tile/0/000"].len(), 8192);
    assert_eq!(files["tile/1/001.p/17"].len(), 17 * 32);
}

#[test]
fn a_tree_of_256_leaves_has_a_full_tile_and_one_hash_above() {
    let paths: Vec<String> = files(256).into_keys().collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
    assert_eq!(files(0), BTreeMap::new());
}

#[test]
fn each_hash_is_the_root_over_its_leaves() {
    let files = files(66_000);
    let leaves: Vec<Hash> = (0..66_000).map(|index| leaf_hash(&line(index))).collect();
    for (level, span) in [(0, 1), (1, 256), (2, 65_536)] {
        let prefix = format!("tile/{level}/");
        let tiles = files.iter().filter(|(path, _)| path.starts_with(&prefix));
        let hashes: Vec<u8> = tiles.flat_map(|(_, content)| content).copied().collect();
        let expected = leaves.chunks_exact(span).map(|leaves| root(leaves.iter()));
        let expected: Vec<u8> = expected.flatten().collect();
        assert!(hashes == expected, "level {level}");
    }
}

#[test]
fn a_bundle_has_each_line_behind_its_length() {
    let files = files(258);
    let mut bundle = &files["tile/entries/001.p/2"][..];
    for index in [256, 257] {
        let (length, rest) = bundle.split_first_chunk().expect("a length");
        let (entry, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        assert_eq!(entry, line(index));
        bundle = rest;
    }
    assert!(bundle.is_empty());
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_changes_nothing() {
    let mut tiles = Tiles::new();
    let length = 65_536;
    assert_eq!(
        tiles.append(&vec![b'a'; length]),
        Err(Error::Entry { length })
    );
    assert_eq!(tiles.partial(), []);
    assert_eq!(tiles.append(&vec![b'a'; 65_535]), Ok(vec![]));
    assert_eq!(tiles.partial().len(), 2);
}
