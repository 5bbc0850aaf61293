//! Services whose requests have odd limits: qseed asks within them, exactly where it can.

use qseed_entropy_service::{EntropyService, Limits, Options};
use serde_json::{Value, json};

use crate::node::NodeService;
use crate::stage::{Stage, assert_in_order, delivered, events, good_answers};
use crate::support::accounts::assert_delivered_once;
use crate::support::site::Site;
use crate::support::{ACCESS_TOKEN, PATIENCE};

/// Blocks of 32 bytes at most, four at most: 128 bytes a request.
fn small_requests() -> EntropyService {
    let limits = Limits {
        max_block_size: 32,
        max_block_count: 4,
    };
    let options = Options::default().token(ACCESS_TOKEN).limits(limits);
    EntropyService::spawn(options).expect("a service")
}

fn lab(service: &EntropyService) -> Value {
    json!({
        "name": "lab",
        "type": "qrng-open-api",
        "url": service.open_api_url(),
        "access_token": ACCESS_TOKEN,
        "timeout": "5s",
    })
}

#[test]
fn a_service_of_small_requests_is_asked_within_them() {
    let service = small_requests();
    let stage = Stage::with_partitions(&[lab(&service)], 2)
        .with(|config| config["partitions"][1]["size"] = json!(200));
    let qseed = stage.site.start();
    stage.token.wait_seeds(1, 4);
    let log = qseed.stop();
    assert_eq!(events(&log, "source-failed"), Vec::<Value>::new());
    let seeds = stage.seeds();
    assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
    for answer in service.served() {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let (brought, injected) = (delivered(&service).len(), seeds.concat().len());
    assert!(
        (injected..=injected + 248).contains(&brought),
        "{brought} bytes for {injected}: more than a round was left over"
    );
}

/// The limits can't be had at the start; when they can, no request goes out beyond them.
#[test]
fn limits_that_are_learnt_late_are_kept() {
    let service = small_requests();
    service.stop();
    let stage = Stage::new(&[lab(&service)]).with(|config| {
        config["partitions"][0]["size"] = json!(300);
    });
    let qseed = stage.site.start();
    qseed.event("source-failed");
    service.restart();
    stage.token.wait_seeds(0, 2);
    qseed.stop();
    for answer in service.served() {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_in_order(&stage.seeds(), &delivered(&service));
}

#[test]
fn limits_that_become_narrower_are_learnt_again() {
    let wide = Options::default().token(ACCESS_TOKEN);
    let wide = EntropyService::spawn(wide).expect("a service");
    let stage = Stage::new(&[lab(&wide)]);
    let qseed = stage.site.start();
    stage.token.wait_seeds(0, 1);
    // The same place, another service: it allows less than was told before.
    let address = wide.address();
    drop(wide);
    let limits = Limits {
        max_block_size: 16,
        max_block_count: 3,
    };
    let narrow = Options::default().token(ACCESS_TOKEN).limits(limits);
    let narrow = EntropyService::spawn(narrow.listen(address)).expect("a service");
    let well = |log: &qseed_entropy_service::Log| good_answers(log) >= 2;
    // A refusal that comes of our own ignorance is no reason to wait for five minutes.
    assert!(narrow.wait_for(well, PATIENCE), "{:?}", narrow.served());
    stage.wait_more_seeds(1);
    qseed.stop();
}

/// A service that gives no small amounts: 64 bytes are the least. Four seeds of 48 bytes take three
/// requests: nothing is thrown away.
#[test]
fn what_a_service_gives_at_least_serves_the_next_seeds() {
    let site = Site::new();
    let entropy = json!({
        "min_block_size": 16,
        "max_block_size": 64,
        "min_block_count": 4,
        "max_block_count": 16,
    });
    let node = NodeService::plain(&site, &json!({ "entropy": entropy }));
    let stage = Stage::new(&[node.source(&Value::Null)]);
    let qseed = stage.site.start();
    qseed.wait_pushed(12);
    let log = qseed.stop();
    assert_eq!(events(&log, "source-failed"), Vec::<Value>::new());
    let seeds = stage.seeds();
    assert_in_order(&seeds, &node.served().concat());
    let (needed, served) = ((seeds.len() * 48).div_ceil(64), node.served().len());
    // One that was asked for when the end came may not have been used.
    assert!((needed..=needed + 1).contains(&served), "{served}");
    assert!(node.told("refused").is_empty());
    for ask in node.told("ask") {
        assert_eq!(ask, json!({ "block_size": 16, "block_count": 4 }));
    }
}
