//! Verifies ledgers as daemons write them, and as attackers leave them.

mod attacks;
mod holds;
mod maker;
mod mutations;
mod proven;
