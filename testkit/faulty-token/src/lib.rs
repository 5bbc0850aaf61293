//! A PKCS#11 2.40 module that misbehaves on demand and records what it was given.
//!
//! Built as `libqseed_faulty_token.so` it is loaded like any vendor's module. What it has in its
//! slots and what is wrong with that is in a steering file, `faults.json`, which it reads again
//! whenever it changes; what reached it is in `record.jsonl` in the same folder; what tokens
//! remember (wrong PINs) is in `state.json`. The file's format is in the crate's README.
//!
//! As a library it is how tests steer it:
//!
//! ```no_run
//! use std::time::Duration;
//! use qseed_faulty_token::{Ckr, FaultyToken, Function, Rule};
//!
//! # fn main() -> Result<(), qseed_faulty_token::Error> {
//! let token = FaultyToken::new("/tmp/faulty")?;
//! token.set(|faults| {
//!     faults.slots = 500;
//!     faults.rules.push(Rule::answer(Function::SeedRandom, Ckr::DEVICE_ERROR).token(3).from(2));
//! })?;
//! let module = token.install()?; // load this one
//! token.wait_for(Duration::from_secs(10), |record| {
//!     record.iter().filter_map(|line| line.ended(Function::SeedRandom)).count() == 500
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! The module is made for 64-bit Linux, where a `CK_ULONG` is a `u64`.

mod attempt;
mod ckr;
mod control;
mod crash;
mod error;
mod faults;
mod ffi;
mod flags;
mod function;
mod hex;
mod intrude;
mod locate;
mod module;
mod plan;
mod record;
mod rules;
mod settings;
mod state;
mod text;
mod user;

use std::alloc::System;

use zeroizing_alloc::ZeroAlloc;

pub use attempt::Attempt;
pub use ckr::Ckr;
pub use control::{FaultyToken, Login};
pub use error::Error;
pub use faults::{BackgroundThread, Faults, SlotList};
pub use flags::TokenFlag;
pub use function::Function;
pub use locate::module_path;
pub use record::{Call, Event, Record, monotonic_ns};
pub use rules::{Action, Rule, When};
pub use settings::{Padding, PinPad, PinSettings, Seeding, TokenSettings};
pub use user::User;

/// A module keeps no seed and no PIN but where it must, so that a test of memory finds what qseed
/// kept.
#[global_allocator]
static WIPES: ZeroAlloc<System> = ZeroAlloc(System);

/// The module's file name.
pub const MODULE_FILE: &str = "libqseed_faulty_token.so";

/// The steering file's name in the module's folder.
pub const STEERING_FILE: &str = "faults.json";

/// The environment variable that names the steering file.
pub const STEERING_VARIABLE: &str = "QSEED_FAULTY_TOKEN";
