//! The messages between the daemon and a worker.
//!
//! The daemon decides and commands; the worker acts and reports. Both are the same program file: a
//! version that differs is a fault, and nothing is negotiated.

mod frame;
mod secret;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use qseed_entropy::Seed;
use qseed_model::pins::{HeldBack, PinAnswer, PinTags};
use qseed_model::{Login, TokenChoice};
use qseed_sandbox::Closed;
use qseed_secrets::Secret;
use serde::{Deserialize, Serialize};

pub use frame::{Decoder, FrameError, MAX_FRAME_BYTES, MAX_REPLY_BYTES, MAX_SEED_BYTES, encode};

use crate::ckr::Ckr;
use crate::directory::{LibraryInfo, SlotReport, TokenInfo, TokenName};
use crate::failure::TokenFailure;

/// The protocol's version: first in the daemon's first message.
pub const VERSION: u32 = 1;

/// A message from the daemon to a worker. Printing it shows no secret.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// First, and once: load this module. Answered by `Ready` or `InitFailed`.
    Hello(Hello),
    /// Right after `Hello`, as often as it says: files that the module must not open. Not answered.
    Closes(Vec<Closed>),
    /// A PIN that the worker cannot read itself: one that the configuration spells out, or one in
    /// an environment variable, which it does not inherit. It replaces an earlier one. Not
    /// answered.
    Pin {
        partition: u32,
        #[serde(with = "secret::pin")]
        pin: Secret,
    },
    /// Find the token, open a session that stays open, log in. Answered by `Opened` or
    /// `OpenFailed`, after `PinAsk` if a PIN has to be presented. A partition that is open is closed
    /// first.
    Open(Open),
    /// The answer to `PinAsk`.
    Verdict {
        partition: u32,
        /// The number of the question.
        ask: u64,
        /// Why the PIN is held back; none: present it.
        held_back: Option<HeldBack>,
    },
    /// Inject a seed, which is spent from here on. Answered by `Seeded` or `SeedFailed`, after
    /// `PinAsk` if the login was lost.
    Seed {
        partition: u32,
        /// A number that the answer repeats.
        job: u64,
        /// The seed, 1 to [`MAX_SEED_BYTES`] bytes.
        #[serde(with = "secret::seed")]
        seed: Seed,
    },
    /// Log out if no other partition needs the login, and close. Answered by `Closed`.
    Close { partition: u32 },
    /// Read every slot. Answered by `Slot` for each, then `Listed`.
    List {
        /// A number that the answers repeat.
        request: u64,
    },
    /// Finish the calls that are running, log out, close, `C_Finalize`, exit.
    Shutdown,
}

/// What a worker needs to know at its start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The daemon's process id: a worker whose parent is another ends itself.
    pub daemon: u32,
    /// The Cryptoki library.
    pub module: PathBuf,
    /// A text for `C_Initialize`, in NSS's layout.
    pub init_args: Option<String>,
    /// The file that holds the PIN guard's key.
    pub guard_key: PathBuf,
    /// Whether the module may use the network.
    pub network: bool,
    /// How many messages `Closes` follow before anything else.
    pub closing: u64,
    /// Whether the guard's key may be made if it is missing, before the module is loaded.
    pub guard_key_may_be_made: bool,
    /// How many Cryptoki calls may run at once.
    pub concurrency: u16,
    /// How long ago a token may have been checked when it gets a seed.
    pub recheck_after: Duration,
}

/// How to open a partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// The daemon's number for the partition.
    pub partition: u32,
    /// Which token it is.
    pub token: TokenChoice,
    /// The token that it must be: the first one found in a slot. No PIN and no seed reaches
    /// another one there.
    pub first: Option<TokenName>,
    /// As whom to log in.
    pub login: Login,
    /// Where the PIN comes from.
    pub pin: PinSource,
    /// Whether the PIN guard's key may be made if it is missing: only while the guard remembers
    /// nothing.
    pub guard_key_may_be_made: bool,
    /// The longest part of a seed that goes into one call, in bytes; absent: all of it.
    pub chunk: Option<NonZeroU32>,
}

/// Where a worker takes the PIN from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinSource {
    /// None is configured.
    None,
    /// A file.
    File(PathBuf),
    /// A file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The last `Pin` message for this partition.
    Sent,
}

/// A message from a worker to the daemon.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The module is loaded; what it says about itself, empty if it does not answer.
    Ready {
        library: LibraryInfo,
        /// What the kernel did not grant to keep the module in its bounds.
        missing: Vec<String>,
    },
    /// The module cannot be loaded or initialised; the worker exits.
    InitFailed(TokenFailure),
    /// The partition is open, and logged in if it wants a login.
    Opened { partition: u32, token: TokenInfo },
    /// The partition is not open.
    OpenFailed {
        partition: u32,
        failure: TokenFailure,
    },
    /// May this PIN be presented? The worker waits for `Verdict`.
    PinAsk {
        partition: u32,
        /// The question's number, never used twice by one worker.
        ask: u64,
        /// The PIN's digests.
        tags: PinTags,
        /// Whether the token says that a wrong PIN was entered since the last good login.
        count_low: bool,
    },
    /// What became of a PIN that the verdict allowed.
    PinOutcome {
        partition: u32,
        /// The question's number.
        ask: u64,
        /// What the token's answer says about the PIN.
        answer: PinAnswer,
        /// What `C_Login` returned, if it failed.
        ckr: Option<Ckr>,
    },
    /// The whole seed was mixed in.
    Seeded {
        partition: u32,
        job: u64,
        /// Time spent in `C_SeedRandom`, in microseconds.
        duration_us: u64,
        /// How many calls of `C_SeedRandom` it took.
        calls: u32,
    },
    /// The seed was not, or not wholly, mixed in; nobody can say which, so it is spent.
    SeedFailed {
        partition: u32,
        job: u64,
        failure: TokenFailure,
        /// Time spent in `C_SeedRandom`, in microseconds.
        duration_us: u64,
        /// Whether the partition is still open.
        open: bool,
    },
    /// The partition is closed.
    Closed { partition: u32 },
    /// The operation waits until another partition's login at the same token has ended, and makes
    /// no calls. `Progress` follows when it goes on.
    Waits { partition: u32 },
    /// Another Cryptoki call of this operation begins. Calls that follow each other within a tenth
    /// of a second are reported once.
    Progress {
        /// The partition; `None` for `List`.
        partition: Option<u32>,
    },
    /// One slot of a listing.
    Slot { request: u64, slot: SlotReport },
    /// A listing's end.
    Listed {
        request: u64,
        /// Why it is not complete.
        failure: Option<TokenFailure>,
    },
}

#[cfg(test)]
mod tests;
