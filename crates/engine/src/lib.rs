//! The part of qseed that decides.
//!
//! [`Engine`] is a state machine without input or output, clock, thread or async. The daemon hands
//! it each [`Event`] with the time at which it happened, carries out the [`Action`]s that it
//! returns, and hands it a `Tick` at [`Engine::wake`] at the latest. Schedule, back-off, rate
//! limit, delivery checks, allotment of entropy, PIN guard and the judgement of calls that hang
//! live here and nowhere else, so that a simulation can prove them: thousands of partitions,
//! simulated years, random faults, each run replayable from a seed number
//! (`tests/simulation`).
//!
//! The way of a byte through this crate: `Fetched` brings an [`Entropy`](qseed_entropy::Entropy);
//! [`checks::Checks`] turn it into [`checks::CheckedEntropy`] or drop it whole; the reservoir of
//! its source holds it; a partition that is due, open and has a free call takes exactly its size
//! as a [`Seed`](qseed_entropy::Seed), which leaves in [`Action::Seed`] and never returns.

mod action;
pub mod announcer;
mod backoff;
pub mod checks;
mod context;
mod engine;
mod event;
mod fact;
mod fleet;
pub mod guard;
mod ids;
mod random;
mod rate;
mod reservoir;
mod settings;
mod shape;
mod source;
mod sources;
mod time;
mod timers;
mod view;

pub use action::{Action, Next};
pub use engine::{Engine, Start};
pub use event::{CallEvent, Event, FetchFailure, Returned, TokenFailure, TokenFault};
pub use fact::{Fact, PartitionFact, Process, SourceFact, WorkerFact, WorkerFailure};
pub use ids::{
    Intent, JobId, ModuleId, Named, PartitionId, RequestId, SourceId, WorkerId, WorkerRole,
};
pub use qseed_model::{FetchFault, Limits, Shape};
pub use reservoir::{Injection, MadeOf, Portion};
pub use settings::{
    Combine, ModuleSettings, PartitionSettings, Rate, Reserve, Settings, SourceSettings,
};
pub use time::Moment;
pub use view::{PartitionState, PartitionView, SourceView, WorkerView};
