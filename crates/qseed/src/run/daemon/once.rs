//! `--once`: every partition is tried once, and the exit code says how it went.

use qseed_engine::{PartitionState, PartitionView};

use super::Daemon;
use crate::advice::advice;
use crate::exit::{Code, Failure};

impl Daemon {
    /// The result, once every partition was seeded or given up.
    pub(super) fn tried_once(&self) -> Option<Result<(), Failure>> {
        if !self.engine.is_finished() {
            return None;
        }
        let partitions = self.engine.partitions();
        let failures: Vec<_> = partitions
            .filter(|partition| !partition.seeded)
            .map(|partition| format!("{}: {}", partition.name, self.why_not(&partition)))
            .collect();
        Some(if failures.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(Code::Unavailable, failures.join("\n")))
        })
    }

    /// Why a partition was not seeded.
    fn why_not(&self, partition: &PartitionView) -> String {
        if partition.state == PartitionState::WaitingForEntropy {
            let sources = self.engine.sources();
            let why: Vec<_> = sources
                .filter_map(|source| Some(format!("{}: {}", source.name, source.last_error?)))
                .collect();
            return format!("no entropy: {}", why.join("; "));
        }
        let why = partition.last_error.as_deref();
        let why = why.unwrap_or("it could not be seeded");
        let failure = self.failures.get(&partition.id).filter(|it| it.text == why);
        let planned = self.plan.partitions.get(&partition.id);
        match failure
            .zip(planned)
            .map(|(it, planned)| advice(it, planned))
        {
            Some(advice) if !advice.is_empty() => format!("{why}; {advice}"),
            _ => why.to_owned(),
        }
    }
}
