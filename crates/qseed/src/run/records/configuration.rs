//! What a daemon is to do, as the ledger has it.

use qseed_config::{Combine, Source, SourceKind};
use qseed_ledger::record::{Body, Configured, ConfiguredSource};

use crate::assemble::Plan;

/// What a daemon with this configuration is to do. A url has no part that could hold a secret.
pub(in crate::run) fn configured(plan: &Plan) -> Body {
    let config = &plan.config;
    let source = |source: &Source| ConfiguredSource {
        name: source.name.clone(),
        url: match &source.kind {
            SourceKind::Device { path, .. } => path.display().to_string(),
            SourceKind::Qrypt { http }
            | SourceKind::QryptKib { http }
            | SourceKind::QrngOpenApi { http } => http.url.to_string(),
        },
    };
    let combine = match config.combine {
        Combine::Failover => "failover",
        Combine::Xor => "xor",
    };
    Body::Configured(Configured {
        partitions: config.partitions.len() as u64,
        sources: config.sources.iter().map(source).collect(),
        combine: combine.to_owned(),
        mix_local: config.mix_local,
    })
}
