//! The ledger's files, whatever happens to them, their disk and the daemon.

mod disk;
mod files;
mod kills;
mod real;

use qseed_entropy_service::EntropyService;
use qseed_ledger::record::Body;
use serde_json::{Value, json};

use crate::support::daemon::is_event;
use crate::support::faulty::Faulty;
use crate::support::ledger::{Checked, Ledger};
use crate::support::service;
use crate::support::site::Site;

/// A site whose daemon seeds some tokens once a second and writes a ledger.
struct Scene {
    /// Runs as long as the scene.
    _service: EntropyService,
    site: Site,
    faulty: Faulty,
    ledger: Ledger,
}

impl Scene {
    fn new(tokens: u32, audit: &Value) -> Self {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |faults| faults.slots = tokens);
        let partitions: Vec<Value> = (0..tokens)
            .map(|number| faulty.partition(&format!("p{number}"), number))
            .collect();
        let mut config = site.full(&service, &json!(partitions));
        config["audit"] = audit.clone();
        site.configure_full(&config);
        Self {
            ledger: Ledger::new(&site.state_dir()),
            _service: service,
            site,
            faulty,
        }
    }

    /// How many seeds the tokens got.
    fn injected(&self) -> usize {
        self.faulty.injected().len()
    }
}

/// The partitions of the intents, in order.
fn intended(checked: &Checked) -> Vec<String> {
    let intents = checked.records.iter().filter_map(|it| match &it.body {
        Body::Intent(intent) => Some(&intent.0),
        _ => None,
    });
    intents
        .flat_map(|it| it.outcomes().map(|it| it.partition.clone()))
        .collect()
}

/// How many seeds a log has.
fn seeded_lines(log: &[String]) -> usize {
    log.iter().filter(|line| is_event(line, "seeded")).count()
}
