//! The lines of the ledger.
