//! The ledger names the sources that a seed is really made of, and how each was reached.

use qseed_entropy_service::{Fault, Groups, Options};
use qseed_ledger::record::{Body, Injection};
use serde_json::json;

use crate::stage::{Stage, delivered, seed_made_of, source};
use crate::support::ledger::Ledger;
use crate::support::{ACCESS_TOKEN, service, service_with};

/// The seeds that the ledger has, in order. There must be as many as the token has.
fn recorded(stage: &Stage) -> Vec<Injection> {
    let ledger = Ledger::new(&stage.site.state_dir()).check();
    let seeds = ledger.records.into_iter().filter_map(|it| match it.body {
        Body::Seed(seed) => Some(seed.0),
        _ => None,
    });
    let seeds: Vec<_> = seeds.collect();
    assert_eq!(seeds.len(), stage.seeds().len());
    seeds
}

/// Name, bytes and key exchange group of each source of a seed.
fn made_of(seed: &Injection) -> Vec<(&str, u64, &str)> {
    let sources = seed.sources.iter();
    sources
        .map(|it| {
            (
                it.name.as_str(),
                it.bytes,
                it.tls_group.as_deref().unwrap_or(""),
            )
        })
        .collect()
}

fn holds(stream: &[u8], part: &[u8]) -> bool {
    stream.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_seed_of_another_source_is_recorded_as_that_sources() {
    let classical = Options::default()
        .token(ACCESS_TOKEN)
        .groups(Groups::Classical);
    let (cloud, lab) = (service(), service_with(classical));
    let sources = [source("cloud", &cloud), source("lab", &lab)];
    let stage = Stage::new(&sources).with(|config| config["audit"] = json!({}));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 2);
    let from = qseed.log.count();
    cloud.set_fault(Fault::status(503));
    seed_made_of(&qseed, from, &["lab"]);
    let from = qseed.log.count();
    cloud.clear_faults();
    seed_made_of(&qseed, from, &["cloud"]);
    qseed.stop();

    let (of_cloud, of_lab) = (delivered(&cloud), delivered(&lab));
    let mut seen = [0, 0];
    for (record, bytes) in recorded(&stage).iter().zip(stage.seeds()) {
        assert_eq!(record.bytes, 48);
        match &made_of(record)[..] {
            [("cloud", 48, "X25519MLKEM768")] => {
                assert!(holds(&of_cloud, &bytes));
                seen[0] += 1;
            }
            [("lab", 48, group)] => {
                assert!(holds(&of_lab, &bytes));
                assert!(
                    ["X25519", "secp256r1", "secp384r1"].contains(group),
                    "{group}"
                );
                seen[1] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(seen[0] >= 3 && seen[1] >= 1, "{seen:?}");
}

#[test]
fn a_seed_of_two_sources_and_the_kernel_names_all_of_them() {
    for mix_local in [false, true] {
        let tls12 = Options::default().token(ACCESS_TOKEN).tls12_only();
        let (cloud, lab) = (service(), service_with(tls12));
        let sources = [source("cloud", &cloud), source("lab", &lab)];
        let stage = Stage::new(&sources).with(|config| {
            config["audit"] = json!({ "mode": "required" });
            config["combine"] = json!("xor");
            config["mix_local"] = json!(mix_local);
        });
        let qseed = stage.site.start();
        stage.token.wait_seeds(0, 3);
        qseed.stop();
        let both: Vec<u8> = delivered(&cloud)
            .iter()
            .zip(delivered(&lab))
            .map(|(a, b)| a ^ b)
            .collect();
        for (record, bytes) in recorded(&stage).iter().zip(stage.seeds()) {
            assert_eq!((record.mix_local, record.bytes), (mix_local, 48));
            let [("cloud", 48, "X25519MLKEM768"), ("lab", 48, _)] = made_of(record)[..] else {
                panic!("{record:?}");
            };
            let versions = record.sources.iter().map(|it| it.tls_version.as_deref());
            let versions: Vec<_> = versions.flatten().collect();
            assert_eq!(versions, ["TLSv1.3", "TLSv1.2"]);
            assert_eq!(holds(&both, &bytes), !mix_local);
        }
    }
}
