//! Tokens: finding them, logging in and seeding them through PKCS#11, in a process of their own.
//!
//! A vendor's module is never loaded into the daemon. The daemon's side is [`supervisor`]: it
//! starts a worker process for each module and exchanges the messages of [`wire`] with it. The
//! worker's side is [`worker`]: it loads the module, reads its own PINs, and makes the calls. It
//! decides nothing that has to do with time: no retries but the one that a lost session or login
//! calls for, no deadlines, and no PIN is presented before the daemon's guard said so.
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
mod nss_args;
pub mod supervisor;
mod token_info;
pub mod wire;
pub mod worker;
