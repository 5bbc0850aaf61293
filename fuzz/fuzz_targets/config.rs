//! Any bytes as a configuration: it is read or refused with a place, and what is read is in range.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use qseed_config::{Config, Loaded, Login, Pin, Scheme, parse};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match parse(&text, "fuzz.yml") {
        Ok(Loaded { config, .. }) => check(config),
        Err(report) => {
            assert!(!report.faults().is_empty());
            let places = report.faults().iter().map(|fault| fault.place);
            assert!(places.clone().is_sorted());
            assert!(
                places
                    .clone()
                    .all(|place| place.line >= 1 && place.column >= 1)
            );
            assert!(report.to_string().lines().count() <= 1_001);
        }
    }
});

fn check(mut config: Config) {
    assert!(!config.sources.is_empty() && !config.partitions.is_empty());
    let names: HashSet<_> = config
        .partitions
        .iter()
        .map(|partition| &partition.name)
        .collect();
    assert_eq!(names.len(), config.partitions.len());
    for partition in &config.partitions {
        assert!((1..=65_536).contains(&partition.size));
        assert!(
            partition
                .chunk
                .is_none_or(|chunk| (1..=65_536).contains(&chunk))
        );
        assert!((1..=31_536_000).contains(&partition.period.as_secs()));
        assert_eq!(partition.login.needs_pin(), partition.pin != Pin::Absent);
        if let Login::Vendor(number) = partition.login {
            assert!((0x8000_0000..=0xffff_ffff).contains(&number));
        }
        let mut modules = config.modules.iter();
        assert!(modules.any(|module| module.path == partition.module));
    }
    for source in &config.sources {
        let Some(http) = source.kind.http() else {
            continue;
        };
        let plain_is_wanted = http.insecure_http || http.url.host.is_loopback();
        assert!(http.url.scheme == Scheme::Https || plain_is_wanted);
        assert_eq!(
            http.tls.client_cert.is_some(),
            http.tls.client_key.is_some()
        );
    }
    config.take_literal_pins();
    assert!(config.take_literal_pins().is_empty());
}
