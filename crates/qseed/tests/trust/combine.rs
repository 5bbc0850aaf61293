//! Several sources: each seed is the XOR of all, or the first healthy one serves.

use qseed_entropy_service::{EntropyService, Fault, Log, Options};
use serde_json::{Value, json};

use crate::stage::{
    SIZE, Stage, assert_in_order, delivered, event_of, events, good_answers, seed_made_of, source,
};
use crate::support::accounts::Accounts;
use crate::support::daemon::is_event;
use crate::support::{ACCESS_TOKEN, PATIENCE, for_each_case, service};

/// Two sources of different types, so that two adapters take part.
fn two() -> ([EntropyService; 2], [Value; 2]) {
    let lab = EntropyService::spawn(Options::default().tls().token(ACCESS_TOKEN));
    let services = [service(), lab.expect("a service")];
    let mut lab = source("lab", &services[1]);
    lab["type"] = json!("qrng-open-api");
    lab["url"] = json!(services[1].open_api_url());
    let sources = [source("cloud", &services[0]), lab];
    (services, sources)
}

fn xored(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// Asserts that each seed is the XOR of an answer of the one and an answer of the other service,
/// and that no answer was used twice. Each answer is one seed long here.
fn assert_xor(seeds: &[Vec<u8>], services: &[EntropyService; 2]) {
    let good = |service: &EntropyService| -> Vec<Vec<u8>> {
        let served = service.served();
        let good = served.iter().filter(|answer| answer.is_good());
        good.map(|answer| answer.blocks.joined()).collect()
    };
    let (mut ours, mut theirs) = (good(&services[0]), good(&services[1]));
    for (number, seed) in seeds.iter().enumerate() {
        let of = |a: &Vec<u8>| theirs.iter().position(|b| xored(a, b) == *seed);
        let pair = ours.iter().enumerate().find_map(|(i, a)| Some((i, of(a)?)));
        let (i, j) = pair.unwrap_or_else(|| panic!("seed {number} is no XOR of unused answers"));
        ours.remove(i);
        theirs.remove(j);
    }
}

#[test]
fn the_token_gets_exactly_the_xor_of_what_both_served() {
    let (services, sources) = two();
    let stage = Stage::new(&sources).with(|config| config["combine"] = json!("xor"));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 4);
    let log = qseed.stop();
    let seeds = stage.seeds();
    assert_in_order(
        &seeds,
        &xored(&delivered(&services[0]), &delivered(&services[1])),
    );
    let composed = events(&log, "composition");
    assert_eq!(composed.len(), 1, "said once, as it does not change");
    assert_eq!(composed[0]["sources"], json!(["cloud", "lab"]));
    assert_eq!(composed[0]["message"], "Seeds are made of cloud xor lab.");
}

/// Seeds of many partitions and of several sizes come from shared answers: every byte of each
/// source is in at most one of them.
#[test]
fn the_xor_of_shared_answers_uses_each_byte_once() {
    let (services, sources) = two();
    let stage = Stage::with_partitions(&sources, 6).with(|config| {
        config["combine"] = json!("xor");
        config["partitions"][1]["size"] = json!(1024);
        config["partitions"][2]["size"] = json!(16);
    });
    let qseed = stage.site.start();
    stage.token.wait_seeds(5, 4);
    qseed.stop();
    // Both are asked for the same amounts, so their streams run in step.
    let both = xored(&delivered(&services[0]), &delivered(&services[1]));
    let mut accounts = Accounts::default();
    accounts.deliver(&both);
    for (number, seed) in stage.seeds().iter().enumerate() {
        if let Err(wrong) = accounts.book(seed) {
            panic!("seed {number}: {wrong}");
        }
    }
}

#[test]
fn a_missing_source_stops_the_xor_loudly_until_it_is_back() {
    let (services, sources) = two();
    let stage = Stage::new(&sources).with(|config| config["combine"] = json!("xor"));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 2);
    services[1].stop();
    let failed = event_of(&qseed, 0, "source-failed", "lab");
    assert_eq!(failed["level"], "error", "{failed}");
    let said = failed["message"].as_str().expect("a text");
    assert!(said.contains("nothing is injected"), "{said}");
    let known = qseed.log.count();
    let requests = services[0].requests().len();
    services[1].set_fault(Fault::status(503));
    services[1].restart();
    // Several periods go by without a seed.
    let refused = |log: &Log| {
        let served = log.served().iter();
        served.filter(|answer| answer.status == 503).count()
    };
    assert!(services[1].wait_for(|log| refused(log) >= 2, PATIENCE));
    // Each answer is one seed long here.
    assert!(stage.seeds().len() <= services[1].log(good_answers));
    assert!(
        services[0].requests().len() <= requests + 1,
        "the other one is not asked for what cannot be used"
    );
    services[1].clear_faults();
    event_of(&qseed, known, "source-recovered", "lab");
    stage.wait_more_seeds(2);
    qseed.stop();
    assert_xor(&stage.seeds(), &services);
}

#[test]
fn a_source_that_lies_stops_the_xor() {
    let (services, sources) = two();
    let stage = Stage::new(&sources).with(|config| config["combine"] = json!("xor"));
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 2);
    services[0].set_fault(Fault::AllZero);
    let third = qseed.log.wait("the third failed delivery", |line| {
        is_event(line, "check-failed") && line.contains("\"in_a_row\":3")
    });
    assert!(third.contains("nothing is injected"), "{third}");
    let known = qseed.log.count();
    services[0].clear_faults();
    event_of(&qseed, known, "source-recovered", "cloud");
    stage.wait_more_seeds(2);
    qseed.stop();
    assert_xor(&stage.seeds(), &services);
}

#[test]
fn the_local_kernel_is_mixed_in_and_logged() {
    let cases = [
        (1, "Seeds are made of cloud xor the local kernel."),
        (2, "Seeds are made of cloud xor lab xor the local kernel."),
    ];
    for_each_case(&cases, 2, |(count, said)| {
        let (services, sources) = two();
        let stage = Stage::new(&sources[..*count]).with(|config| {
            config["combine"] = json!("xor");
            config["mix_local"] = json!(true);
        });
        let qseed = stage.site.start();
        stage.token.wait_seeds(0, 2);
        let log = qseed.stop();
        assert_eq!(events(&log, "composition")[0]["message"], *said);
        let cloud = delivered(&services[0]);
        let without = match count {
            1 => cloud,
            _ => xored(&cloud, &delivered(&services[1])),
        };
        for (seed, without) in stage.seeds().iter().zip(without.chunks(SIZE)) {
            assert_eq!(seed.len(), SIZE);
            assert!(seed != without, "nothing of the kernel's is in it");
        }
    });
}

#[test]
fn the_first_healthy_source_serves() {
    let (services, sources) = two();
    let stage = Stage::new(&sources);
    let qseed = stage.site.start();
    seed_made_of(&qseed, 0, &["cloud"]);
    services[0].stop();
    let failed = event_of(&qseed, 0, "source-failed", "cloud");
    assert_eq!(failed["level"], "warning", "another one serves: {failed}");
    let known = qseed.log.count();
    seed_made_of(&qseed, known, &["lab"]);
    services[0].restart();
    event_of(&qseed, known, "source-recovered", "cloud");
    let known = qseed.log.count();
    seed_made_of(&qseed, known, &["cloud"]);
    // And it stays with the first one.
    let asked = services[1].requests().len();
    stage.wait_more_seeds(2);
    assert_eq!(services[1].requests().len(), asked);
    let log = qseed.stop();
    let composed = events(&log, "composition");
    let names: Vec<_> = composed
        .iter()
        .map(|line| line["sources"].clone())
        .collect();
    assert_eq!(names.first(), Some(&json!(["cloud"])));
    assert!(names.contains(&json!(["lab"])), "{names:?}");
    assert_eq!(names.last(), Some(&json!(["cloud"])));
}

#[test]
fn three_failed_deliveries_take_the_first_source_out() {
    let (services, sources) = two();
    let stage = Stage::new(&sources);
    let qseed = stage.site.start();
    seed_made_of(&qseed, 0, &["cloud"]);
    services[0].set_fault(Fault::Biased(100));
    let known = qseed.log.count();
    seed_made_of(&qseed, known, &["lab"]);
    qseed.log.wait("the third failed delivery", |line| {
        is_event(line, "check-failed") && line.contains("\"in_a_row\":3")
    });
    // Nobody waits for it meanwhile.
    stage.wait_more_seeds(2);
    let known = qseed.log.count();
    services[0].clear_faults();
    event_of(&qseed, known, "source-recovered", "cloud");
    seed_made_of(&qseed, known, &["cloud"]);
    let log = qseed.stop();
    assert!(events(&log, "check-failed").len() >= 3);
    let mut accounts = Accounts::default();
    for service in &services {
        accounts.deliver(&delivered(service));
    }
    for (number, seed) in stage.seeds().iter().enumerate() {
        if let Err(wrong) = accounts.book(seed) {
            panic!("seed {number}: {wrong}");
        }
    }
}
