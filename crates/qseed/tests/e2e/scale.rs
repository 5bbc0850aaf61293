//! Five hundred partitions over three modules, of which one hangs and one crashes.

use qseed_faulty_token::{Action, Function, Rule};
use serde_json::{Value, json};

use crate::support::accounts::assert_delivered_once;
use crate::support::cadence::assert_cadence;
use crate::support::faulty::{Faulty, Injected, SeedCounter, calls_of};
use crate::support::figures::figures;
use crate::support::service;
use crate::support::site::Site;

const HEALTHY: u32 = 168;
const FAILING: u32 = 166;
/// Seeds that each healthy partition gets before the figures are taken.
const SEEDS: usize = 15;

#[test]
fn healthy_partitions_keep_their_cadence_while_other_modules_hang_and_crash() {
    let (service, site) = (service(), Site::new());
    let healthy = Faulty::named(site.folder(), "healthy", |faults| faults.slots = HEALTHY);
    let hanging = Faulty::named(site.folder(), "hanging", |faults| {
        faults.slots = FAILING;
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang).after_ms(2000));
    });
    let crashing = Faulty::named(site.folder(), "crashing", |faults| {
        faults.slots = FAILING;
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Segfault).after_ms(3000));
    });
    let mut partitions: Vec<Value> = Vec::new();
    for (module, name, count) in [
        (&healthy, "healthy", HEALTHY),
        (&hanging, "hanging", FAILING),
        (&crashing, "crashing", FAILING),
    ] {
        partitions.extend(
            (0..count).map(|n| module.partition_with_pin(&format!("{name}-{n}"), n, "1234")),
        );
    }
    assert_eq!(partitions.len(), 500);
    let mut config = site.full(&service, &json!(partitions));
    config["modules"] = json!([{ "path": hanging.module, "deadline": "2s" }]);
    site.configure_full(&config);
    let qseed = site.start();
    let mut counter = SeedCounter::new(HEALTHY as usize);
    healthy.wait(|record| counter.count(record).iter().all(|count| *count > SEEDS));
    let taken = figures(qseed.id());
    qseed.stop();

    let seeds = healthy.injected();
    let longest = (0..HEALTHY).map(|token| assert_cadence(&seeds, token));
    println!(
        "{HEALTHY} healthy partitions beside {} in trouble, period 1 s: longest gap {:?}; the \
         daemon: {taken:?}",
        2 * FAILING,
        longest.max()
    );
    let record = hanging.token.record().expect("a record");
    let starts = calls_of(&record, Function::Initialize);
    assert!(starts >= 2, "the one that hangs was started anew");
    let all: Vec<Injected> = [&healthy, &hanging, &crashing]
        .iter()
        .flat_map(|module| module.injected())
        .collect();
    assert_delivered_once(&service, all.iter().map(|seed| seed.bytes.as_slice()));
}
