//! Checks a ledger line by line.
