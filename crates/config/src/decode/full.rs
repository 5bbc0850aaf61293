//! The full form: lists of sources and partitions.

use qseed_model::Combine;

use crate::report::{Findings, Reading};
use crate::section::Section;

use super::{Main, partitions, sources};

pub(super) fn read(file: &Section<'_>, findings: &mut Findings) -> Reading<Main> {
    let sources = file
        .require(
            "sources",
            "list at least one entropy source, or write the flat form",
            findings,
        )
        .and_then(|field| sources::read(field, findings));
    let combine = file.get("combine").map_or(Ok(Combine::Failover), |field| {
        field.choice(
            &[("failover", Combine::Failover), ("xor", Combine::Xor)],
            findings,
        )
    });
    let defaults = partitions::defaults(file.get("defaults"), findings);
    let partitions = file
        .require(
            "partitions",
            "list at least one partition, or write the flat form",
            findings,
        )
        .and_then(|field| partitions::read(field, &defaults, findings));
    Ok(Main {
        sources: sources?,
        combine: combine?,
        partitions: partitions?,
    })
}

/// XOR with one source works and protects from nothing.
pub(super) fn warn_of_lone_xor(
    file: &Section<'_>,
    combine: Combine,
    sources: usize,
    findings: &mut Findings,
) {
    if let (Some(field), Combine::Xor, 1) = (file.get("combine"), combine, sources) {
        findings.warn(field.place, "`combine: xor` has only one source to combine");
    }
}
