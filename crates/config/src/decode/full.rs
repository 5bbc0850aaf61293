//! The full form: lists of sources and partitions.

use qseed_model::Combine;

use crate::report::Reading;
use crate::section::Section;

use super::{Main, partitions, sources};

pub(super) fn read(file: &Section<'_>) -> Reading<Main> {
    let help = "list at least one entropy source, or write the flat form";
    let sources = file.require("sources", help, sources::read);
    let combine = file.or("combine", Combine::Failover, |field| {
        field.choice(&[("failover", Combine::Failover), ("xor", Combine::Xor)])
    });
    let defaults = partitions::defaults(file);
    let help = "list at least one partition, or write the flat form";
    let partitions = file.require("partitions", help, |field| {
        partitions::read(field, defaults.as_ref().map_err(|noted| *noted))
    });
    let (sources, combine) = (sources?, combine?);
    if combine == Combine::Xor && sources.len() == 1 {
        let message = "`combine: xor` has only one source to combine";
        file.findings.warn(file.place_of("combine"), message);
    }
    Ok(Main {
        sources,
        combine,
        partitions: partitions?,
    })
}
