//! What carries the ledger's checkpoints out of the host: witnesses and the anchor command. Nothing
//! waits for them.

mod command;
mod shipped;
mod witnesses;

use qseed_entropy_service::EntropyService;
use qseed_ledger::record::Body;
use qseed_witness::Witness;
use serde_json::{Value, json};

use crate::support::daemon::Qseed;
use crate::support::faulty::Faulty;
use crate::support::ledger::Ledger;
use crate::support::service;
use crate::support::site::Site;

/// A partition, and a ledger that was begun.
struct Stage {
    service: EntropyService,
    site: Site,
    faulty: Faulty,
    ledger: Ledger,
}

impl Stage {
    fn new() -> Self {
        let (service, site) = (service(), Site::new());
        let faulty = Faulty::new(site.folder(), |_| {});
        let stage = Self {
            ledger: Ledger::new(&site.state_dir()),
            service,
            site,
            faulty,
        };
        stage.configure(&json!({}));
        let ended = stage.site.once();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        stage
    }

    /// Writes the configuration with these settings of the ledger.
    fn configure(&self, audit: &Value) {
        let partitions = json!([self.faulty.partition("p", 0)]);
        let mut config = self.site.full(&self.service, &partitions);
        config["audit"] = audit.clone();
        config["log"]["level"] = json!("debug");
        self.site.configure_full(&config);
    }

    /// The same, and starts qseed.
    fn start(&self, audit: &Value) -> Qseed {
        self.configure(audit);
        self.site.start()
    }

    /// The ledger's origin and verifier keys.
    fn keys(&self) -> (String, Vec<String>) {
        let checked = self.ledger.check();
        match &checked.records[0].body {
            Body::Began(it) => (it.origin.clone(), it.keys.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// Lets a witness know the ledger.
    fn introduce(&self, witness: &Witness) {
        for key in self.keys().1 {
            witness.trust(&key);
        }
    }
}

/// A witness as the configuration has it.
fn configured(witness: &Witness) -> Value {
    json!({
        "url": witness.url(),
        "key": witness.vkey(),
        "tls": { "ca": witness.ca_path() },
    })
}

fn with_witness(witness: &Witness) -> Value {
    json!({ "witnesses": [configured(witness)] })
}

/// Waits for a line of the log with this event and this text.
fn said(daemon: &Qseed, event: &str, text: &str) -> Value {
    let line = daemon
        .log
        .wait_from(0, &format!("{event}: {text}"), |line| {
            crate::support::daemon::is_event(line, event) && line.contains(text)
        });
    serde_json::from_str(&line).expect("it was just read")
}
