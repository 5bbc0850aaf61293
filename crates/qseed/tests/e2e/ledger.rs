//! The ledger that a daemon writes.

use std::fs;

use serde_json::{Value, json};

use crate::support::faulty::Faulty;
use crate::support::ledger::Ledger;
use crate::support::service;
use crate::support::site::Site;

fn configure(
    site: &Site,
    faulty: &Faulty,
    service: &qseed_entropy_service::EntropyService,
    audit: &Value,
) {
    let partitions = json!([faulty.partition("p", 0)]);
    let mut config = site.full(service, &partitions);
    config["audit"] = audit.clone();
    site.configure_full(&config);
}

#[test]
fn each_run_is_recorded_and_signed_to_its_end() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    configure(&site, &faulty, &service, &json!({}));
    let ledger = Ledger::new(&site.state_dir());
    for run in 1..=3 {
        let ended = site.once();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let checked = ledger.check();
        let count = |event| checked.events().iter().filter(|it| **it == event).count();
        assert_eq!(
            [count("began"), count("started"), count("stopped")],
            [1, run, run]
        );
        assert!(checked.is_signed_to_the_end());
        assert_eq!(checked.strong, 2 * run, "at the start and at the end");
    }
    let key = fs::read_to_string(site.state_dir().join("audit.key")).expect("a key");
    assert_eq!(key.len(), 45);
}
