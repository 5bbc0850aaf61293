//! What the daemon and a worker say to each other.
//!
//! The daemon decides and tells; the worker does and reports. Both are the same program file, so
//! a version that differs means that something is wrong, not that something is to be negotiated.

mod frame;
mod secret;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use qseed_entropy::Seed;
use qseed_model::pins::{PinAnswer, PinTags};
use qseed_model::{Login, TokenChoice};
use qseed_secrets::{Secret, SecretRef};
use serde::{Deserialize, Serialize};

pub use frame::{Decoder, FrameError, MAX_FRAME_BYTES, MAX_REPLY_BYTES, MAX_SEED_BYTES, encode};

use crate::ckr::Ckr;
use crate::directory::{LibraryInfo, SlotReport, TokenFlag, TokenInfo, TokenName};
use crate::failure::TokenFailure;

/// The protocol's version: first in the first message of either side.
pub const VERSION: u32 = 1;

/// What the daemon tells a worker. Printing it shows no secret.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// First, and once: load this module. Answered by `Ready` or `InitFailed`.
    Hello(Hello),
    /// A PIN that the worker cannot read itself: one that the configuration spells out, or one in
    /// an environment variable, which it does not inherit. It takes the place of an earlier one.
    /// Not answered.
    Pin {
        /// The partition that it is for.
        partition: u32,
        /// The PIN.
        #[serde(with = "secret::plain")]
        pin: Secret,
    },
    /// Find the token, open a session that stays open, log in. Answered by `Opened` or
    /// `OpenFailed`, with `PinAsk` before where a PIN is to be presented. A partition that is open
    /// is closed first.
    Open(Open),
    /// The answer to `PinAsk`.
    Verdict {
        /// The partition that asked.
        partition: u32,
        /// The number of the question.
        ask: u64,
        /// Whether to present the PIN.
        verdict: Verdict,
    },
    /// Inject a seed, which is spent from here on. Answered by `Seeded` or `SeedFailed`, with
    /// `PinAsk` before where the login was lost.
    Seed {
        partition: u32,
        /// A number that the answer repeats.
        job: u64,
        /// The seed, 1 to [`MAX_SEED_BYTES`] bytes.
        #[serde(with = "secret::seed")]
        seed: Seed,
    },
    /// Log out where no other partition needs the login, and close. Answered by `Closed`.
    Close { partition: u32 },
    /// Tell every slot. Answered by `Slot` for each, then `Listed`.
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
    /// Whether the key may be made if it is missing: only while the guard remembers nothing.
    pub guard_key_may_be_made: bool,
    /// How many Cryptoki calls may run at once.
    pub concurrency: u16,
    /// How old the last look at a token may be when it gets a seed.
    pub look_again_after: Duration,
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
    /// The longest part of a seed that goes into one call, in bytes; absent: all of it.
    pub chunk: Option<NonZeroU32>,
}

/// Where a worker takes the PIN from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinSource {
    /// There is none.
    None,
    /// Something refers to it.
    Reference(#[serde(with = "secret::reference")] SecretRef),
    /// The last `Pin` for this partition.
    Told,
}

/// The PIN guard's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Present it.
    Go,
    /// Do not.
    Hold,
}

/// What a worker tells the daemon.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The module is loaded.
    Ready(Ready),
    /// The module cannot be loaded or initialised; the worker exits.
    InitFailed(TokenFailure),
    /// The partition is open, and logged in where it should be.
    Opened { partition: u32, token: TokenInfo },
    /// The partition is not open.
    OpenFailed {
        partition: u32,
        failure: TokenFailure,
    },
    /// May this PIN be presented? The worker waits for `Verdict`.
    PinAsk {
        /// The partition.
        partition: u32,
        /// The question's number, never used twice by one worker.
        ask: u64,
        /// The PIN's digests.
        tags: PinTags,
        /// What the token says about the PIN.
        flags: PinFlags,
    },
    /// What became of a PIN after `Verdict::Go`.
    PinOutcome {
        /// The partition.
        partition: u32,
        /// The question's number.
        ask: u64,
        /// What `C_Login` made of it.
        outcome: PinOutcome,
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
    /// The operation waits until another partition's login at the same token has ended: no call
    /// of its own runs. `Progress` says when it goes on.
    Waits {
        /// The partition.
        partition: u32,
    },
    /// Another Cryptoki call of this operation begins. Calls that follow each other within a
    /// tenth of a second are told once.
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

/// What a worker says of itself and its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`VERSION`].
    pub version: u32,
    /// What the module says about itself, where it answers.
    pub library: LibraryInfo,
    /// Whether all memory of the worker is locked, so that nothing reaches swap.
    pub memory_locked: bool,
}

/// What the token's flags say about the kind of user that is to log in, read just before.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the token")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinFlags {
    /// A wrong PIN was entered since the last good login.
    pub count_low: bool,
    /// One more wrong PIN locks. A worker does not ask then, it answers `OpenFailed`.
    pub final_try: bool,
    /// The PIN is locked. A worker does not ask then, it answers `OpenFailed`.
    pub locked: bool,
    /// The token says that this user has no PIN yet.
    pub not_initialised: bool,
}

impl PinFlags {
    /// The flags that stand for the security officer or for the user. Vendors' users have no flags
    /// of their own, and the user's are the nearest.
    #[must_use]
    pub fn of(token: &TokenInfo, security_officer: bool) -> Self {
        let is = |flag| token.has(flag);
        if security_officer {
            return Self {
                count_low: is(TokenFlag::SoPinCountLow),
                final_try: is(TokenFlag::SoPinFinalTry),
                locked: is(TokenFlag::SoPinLocked),
                not_initialised: false,
            };
        }
        Self {
            count_low: is(TokenFlag::UserPinCountLow),
            final_try: is(TokenFlag::UserPinFinalTry),
            locked: is(TokenFlag::UserPinLocked),
            not_initialised: !is(TokenFlag::UserPinInitialized),
        }
    }

    /// Why no PIN may be presented.
    #[must_use]
    pub fn against_login(self) -> Option<&'static str> {
        match self {
            Self { locked: true, .. } => Some("the token says that the PIN is locked"),
            Self {
                final_try: true, ..
            } => Some("the token says that the next wrong PIN locks it"),
            _ => None,
        }
    }
}

/// What became of a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinOutcome {
    /// It is right.
    Accepted,
    /// The user was logged in already: the login state is there, the PIN was not judged.
    AlreadyLoggedIn,
    /// The token refused it.
    Refused(Ckr),
    /// By the standard the token did not look at it: another user is logged in, or there is no
    /// such session.
    NotJudged(Ckr),
    /// The call failed in a way that says nothing about the PIN.
    Unclear(Ckr),
    /// The partition was closed before the PIN was presented, whatever the verdict.
    NotPresented,
}

impl PinOutcome {
    /// What it means to the guard.
    #[must_use]
    pub fn answer(self) -> PinAnswer {
        match self {
            Self::Accepted => PinAnswer::Accepted,
            Self::Refused(_) => PinAnswer::Refused,
            Self::AlreadyLoggedIn | Self::NotJudged(_) | Self::NotPresented => PinAnswer::NotJudged,
            Self::Unclear(_) => PinAnswer::Unclear,
        }
    }

    /// What the token answered, where it was no success.
    #[must_use]
    pub fn said(self) -> Option<String> {
        match self {
            Self::Refused(ckr) | Self::NotJudged(ckr) | Self::Unclear(ckr) => {
                Some(format!("C_Login: {ckr}"))
            }
            Self::Accepted | Self::AlreadyLoggedIn | Self::NotPresented => None,
        }
    }
}

#[cfg(test)]
mod tests;
