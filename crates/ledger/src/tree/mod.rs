//! The Merkle tree over the ledger's lines (RFC 6962, section 2.1, with SHA-256).

mod check;
mod frontier;
mod growth;
mod leaves;
mod nodes;

pub use check::{verify_consistency, verify_inclusion};
pub use frontier::Frontier;
pub use growth::Growth;
pub use leaves::Leaves;
pub use nodes::{Hash, leaf_hash};
