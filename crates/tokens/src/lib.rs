//! Tokens: finding them, logging in and seeding them through PKCS#11, in a process of their own.
//!
//! A vendor's module is never loaded into the daemon. The daemon's side is [`supervisor`]: it
//! starts a worker process for each module and exchanges the messages of [`wire`] with it. The
//! worker's side is [`worker`]: it loads the module, reads its own PINs, and makes the calls. It
//! decides nothing over time: it retries once after a lost session or login, sets no deadlines, and
//! presents no PIN before the daemon's guard has allowed it.
//!
//! ```text
//!  daemon                                worker (one per module)
//!  Worker::send ──── ToWorker ────────▶  reader ─▶ partitions ─▶ C_…
//!  events       ◀─── FromWorker ───────  one writer
//!  events       ◀─── standard output and error, line by line
//! ```
//!
//! [`directory`] is what slots and tokens say about themselves,
//! [`failure`] sorts what went wrong by what it asks for.

pub mod ckr;
pub mod directory;
pub mod failure;
pub mod find;
mod kept_pins;
mod nss_args;
pub mod supervisor;
mod token_info;
pub mod wire;
pub mod worker;
