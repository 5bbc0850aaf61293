//! Verifies ledgers as daemons write them, and as attackers leave them.

mod holds;
mod maker;
