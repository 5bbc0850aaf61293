//! Why something failed, as the ledger has it.

use std::time::Duration;

use qseed_engine::{TokenFailure, WorkerFailure};
use qseed_tokens::ckr::Ckr;

/// The function that injects a seed.
pub(super) const SEED_RANDOM: &str = "C_SeedRandom";

/// Why a token was not opened, or did not accept a seed.
pub(super) struct Refusal {
    pub(super) function: Option<&'static str>,
    pub(super) ckr: Option<String>,
    pub(super) reason: &'static str,
    pub(super) because: String,
    pub(super) duration: Option<Duration>,
}

impl Refusal {
    pub(super) fn of(failure: &TokenFailure, duration: Duration) -> Self {
        Self {
            function: failure.returned.map(|returned| returned.function),
            ckr: failure.returned.map(|it| Ckr(it.value).to_string()),
            reason: failure.fault.name(),
            because: failure.text.clone(),
            duration: Some(duration),
        }
    }

    /// A seed without an answer; `given`: its worker had it.
    pub(super) fn lost(given: bool) -> Self {
        let (reason, because) = if given {
            (
                "no-answer",
                "its worker process ended, or the partition was removed, before it answered",
            )
        } else {
            (
                "dropped",
                "the seed was wiped before it left: it was not recorded, or its partition was closed \
                 or changed",
            )
        };
        Self {
            function: given.then_some(SEED_RANDOM),
            ckr: None,
            reason,
            because: because.to_owned(),
            duration: None,
        }
    }
}

/// Why a worker process failed.
pub(super) fn why(failure: &WorkerFailure) -> String {
    match failure {
        WorkerFailure::NotLoaded(text)
        | WorkerFailure::Died(text)
        | WorkerFailure::Misbehaved(text) => text.clone(),
        WorkerFailure::Hung {
            partition,
            deadline,
        } => {
            let what = match partition {
                Some(partition) => format!("a call for {}", partition.name),
                None => "loading the module".to_owned(),
            };
            format!("{what} took longer than {} s", deadline.as_secs())
        }
    }
}
