//! What can be wrong with a note, a key, a checkpoint or a proof.

use thiserror::Error;

/// Why something is not a note, a key, a checkpoint or a proof, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// The text is not a signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// A line is not a signature line of a note.
    #[error("not a signature line: {0}")]
    Signature(&'static str),
    /// The text is not a verifier key.
    #[error("not a verifier key: {0}")]
    Key(&'static str),
    /// A verifier key or a note has a name that notes do not allow.
    #[error(
        "not a key name: it must have 1 to 255 bytes, no blanks, no control characters and no `+`"
    )]
    Name,
    /// The signature type is none that is known here.
    #[error("signature type 0x{0:02x} is not supported; 0x01, 0x04 and 0x06 are")]
    Algorithm(u8),
    /// The text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// The text is not a proof of one record.
    #[error("not a proof: {0}")]
    Proof(&'static str),
    /// The text is not an export.
    #[error("not an export: {0}")]
    Export(&'static str),
    /// A proof does not lead from its record to its checkpoint's root.
    #[error("record {index} is not in the tree of the checkpoint")]
    NotIncluded {
        /// The record's number.
        index: u64,
    },
    /// A line is too long for an entry bundle.
    #[error("a line of {length} bytes is too long for a tile: 65535 are the most")]
    Entry {
        /// The line's length.
        length: usize,
    },
    /// The text is not what a witness answers.
    #[error("not an answer of a witness: {0}")]
    Witness(&'static str),
    /// A key that is known made none of the signatures.
    #[error("no signature by a key that was given")]
    Unsigned,
    /// A signature names a known key and is not that key's.
    #[error("the signature of {name} is false")]
    Forged {
        /// The key's name.
        name: String,
    },
    /// The cryptographic library refused to work.
    #[error("the cryptographic library cannot sign")]
    Signing,
    /// A checkpoint is of another origin than the key that should sign it.
    #[error("a checkpoint of {origin} cannot be signed by the key of {key}")]
    Origin {
        /// The checkpoint's origin.
        origin: String,
        /// The name of the key.
        key: String,
    },
    /// A frontier has one hash for each 1 bit of its size, and at most 2^63 leaves.
    #[error("no frontier has {size} leaves and {hashes} hashes")]
    Frontier {
        /// The number of leaves.
        size: u64,
        /// The number of hashes that were given.
        hashes: usize,
    },
    /// A proof needs leaves that are not here.
    #[error("the tree at {wanted} needs leaves that are not here: they go from {first} to {size}")]
    Leaves {
        /// The index or size that was asked for.
        wanted: u64,
        /// The index of the first leaf that is here.
        first: u64,
        /// The size of the tree.
        size: u64,
    },
}
