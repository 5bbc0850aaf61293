//! The ledger as files for other people's log clients (<https://c2sp.org/tlog-tiles>).

use crate::Error;
use crate::tree::{Frontier, Hash, leaf_hash};

/// Hashes of a full tile, and entries of a full bundle.
const WIDTH: usize = 256;

/// A file below the folder that is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Its path in that folder, with `/` between its parts.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Makes tiles and entry bundles of a ledger from its first line on, in the memory of a few of them.
///
/// A pruned ledger has no tiles: a tile that begins before the first line would lack hashes.
#[derive(Debug, Clone, Default)]
pub struct Tiles {
    /// The tile of each level that is not full yet.
    levels: Vec<Tile>,
    /// The bundle that is not full yet.
    bundle: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Tile {
    /// The number of full tiles before this one.
    index: u64,
    hashes: Vec<Hash>,
}

impl Tiles {
    /// No line yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a line, without its newline; returns the files that it completes.
    pub fn append(&mut self, line: &[u8]) -> Result<Vec<TileFile>, Error> {
        let length = line.len();
        let prefix = u16::try_from(length).map_err(|_| Error::Entry { length })?;
        self.bundle.extend(prefix.to_be_bytes());
        self.bundle.extend(line);
        let mut files = Vec::new();
        let mut hash = leaf_hash(line);
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Tile::default());
            }
            let tile = &mut self.levels[level];
            tile.hashes.push(hash);
            if tile.hashes.len() < WIDTH {
                break;
            }
            if level == 0 {
                let content = std::mem::take(&mut self.bundle);
                files.push(file("entries", tile, content));
            }
            files.push(file(&level.to_string(), tile, tile.content()));
            hash = tile.root();
            tile.hashes.clear();
            tile.index += 1;
        }
        Ok(files)
    }

    /// The files that are not full: the right edge of the tree as it is now.
    #[must_use]
    pub fn partial(&self) -> Vec<TileFile> {
        let levels = self.levels.iter().enumerate();
        let begun = levels.filter(|(_, tile)| !tile.hashes.is_empty());
        let mut files: Vec<TileFile> = begun
            .map(|(level, tile)| file(&level.to_string(), tile, tile.content()))
            .collect();
        if let Some(tile) = self.levels.first().filter(|_| !self.bundle.is_empty()) {
            files.push(file("entries", tile, self.bundle.clone()));
        }
        files
    }
}

impl Tile {
    fn content(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// The root of a full tile.
    fn root(&self) -> Hash {
        let mut tree = Frontier::new();
        for hash in &self.hashes {
            tree.append(*hash);
        }
        tree.root()
    }
}

fn file(kind: &str, tile: &Tile, content: Vec<u8>) -> TileFile {
    let width = tile.hashes.len();
    let partial = if width < WIDTH {
        format!(".p/{width}")
    } else {
        String::new()
    };
    let index = index_path(tile.index);
    let path = format!("tile/{kind}/{index}{partial}");
    TileFile { path, content }
}

/// 1234067 is `x001/x234/067`.
fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::index_path;

    #[test]
    fn indices_are_written_in_groups_of_three_digits() {
        let cases = [
            (0, "000"),
            (67, "067"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
        ];
        for (index, path) in cases {
            assert_eq!(index_path(index), path);
        }
    }
}
