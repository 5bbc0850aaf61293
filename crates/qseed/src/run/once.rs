//! `--once`: every partition is tried once, and the exit code says how it went.

use qseed_engine::{PartitionState, PartitionView};

use super::daemon::Daemon;
use crate::exit::{Code, Failure};

impl Daemon {
    /// The result, once every partition was seeded or is known not to be.
    pub(super) fn tried_once(&self) -> Option<Result<(), Failure>> {
        let mut failures = Vec::new();
        for partition in self.engine.partitions() {
            if partition.seeds > 0 {
                continue;
            }
            failures.push(format!("{}: {}", partition.name, self.why_not(&partition)?));
        }
        Some(if failures.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(Code::Unavailable, failures.join("\n")))
        })
    }

    /// Why a partition was not seeded; none while that is still open.
    fn why_not(&self, partition: &PartitionView) -> Option<String> {
        match partition.state {
            PartitionState::Starting | PartitionState::Seeded | PartitionState::Late
                if partition.failures == 0 =>
            {
                None
            }
            PartitionState::WaitingForEntropy => {
                let why: Vec<_> = self
                    .engine
                    .sources()
                    .filter_map(|source| Some(format!("{}: {}", source.name, source.last_error?)))
                    .collect();
                Some(format!("no entropy: {}", why.join("; ")))
            }
            PartitionState::ModuleDown => Some("its module cannot be used".to_owned()),
            _ => Some(
                partition
                    .last_error
                    .as_deref()
                    .unwrap_or("it could not be seeded")
                    .to_owned(),
            ),
        }
    }
}
