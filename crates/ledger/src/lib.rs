//! The ledger: a log that nobody can change unnoticed.
//!
//! Each line of the ledger is a leaf of a Merkle tree ([`tree`], RFC 6962). The root of the tree is signed
//! now and then ([`checkpoint`], [`key`]) as a note ([`note`]), in the formats of <https://c2sp.org>, so that
//! other people's tools can check it. This crate makes and checks all of these; it reads no file, no clock
//! and no network.

pub mod blocks;
pub mod checkpoint;
mod error;
pub mod export;
pub mod key;
pub mod note;
pub mod proof;
pub mod record;
pub mod tiles;
pub mod tree;
pub mod verify;
pub mod witness;

pub use error::Error;
