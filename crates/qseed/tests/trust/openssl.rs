//! OpenSSL 3.5 as the other end of the link: two TLS libraries agree on what is post-quantum.

use qseed_entropy_service::Options;
use serde_json::json;

use crate::node::NodeService;
use crate::stage::{Stage, assert_in_order, event_of, events, source};
use crate::support::daemon::{qseed, run};
use crate::support::site::Site;
use crate::support::{for_each_case, service_with};

const HYBRID: &str = "X25519MLKEM768";

/// Seeds twice over a link between `wanted` here and `groups` there; returns the group that the log
/// names, after the token's seeds were found to be what Node served.
fn agree(wanted: &str, groups: &str) -> String {
    let site = Site::new();
    let node = NodeService::with_groups(&site, groups);
    let stage = Stage::new(&[node.source(&json!({ "post_quantum": wanted }))]);
    let qseed = stage.site.start();
    qseed.wait_pushed(2);
    let connected = qseed.event("connected");
    qseed.stop();
    assert_in_order(&stage.seeds(), &node.served().concat());
    assert_eq!(connected["tls_version"], "TLSv1.3", "{connected}");
    assert!(node.told("connected").iter().all(|told| told == "TLSv1.3"));
    connected["tls_group"].as_str().expect("a group").to_owned()
}

#[test]
fn two_libraries_agree_on_a_group() {
    let cases = [
        // Nothing else is offered there, or here.
        ("require", HYBRID, HYBRID),
        ("require", "X25519:X25519MLKEM768", HYBRID),
        ("prefer", "X25519MLKEM768:X25519", HYBRID),
        // The server chooses among what is offered; only `require` leaves it no choice.
        ("prefer", "X25519:X25519MLKEM768", "X25519"),
        ("prefer", "P-256", "secp256r1"),
        ("off", "X25519MLKEM768:X25519", "X25519"),
    ];
    for_each_case(&cases, 6, |(wanted, groups, agreed)| {
        assert_eq!(agree(wanted, groups), *agreed, "{wanted}, {groups}");
    });
}

#[test]
fn openssl_without_the_group_is_refused_and_another_source_takes_over() {
    let site = Site::new();
    let node = NodeService::with_groups(&site, "X25519:P-256:P-384");
    let standby = service_with(Options::default());
    let mut second = source("standby", &standby);
    second["tls"]["post_quantum"] = json!("require");
    let first = node.source(&json!({ "post_quantum": "require" }));
    let stage = Stage::new(&[first, second]);
    let checked = run(qseed()
        .arg("check")
        .arg("--config")
        .arg(stage.site.config_path()));
    assert_eq!(checked.code, Some(69), "{checked:?}");
    let line = |source: &str| {
        let beginning = format!("source {source}: ");
        let lines = checked.output.lines();
        let mut lines = lines.filter(|line| line.contains(&beginning) && line.contains(HYBRID));
        lines
            .next()
            .unwrap_or_else(|| panic!("{source}: {checked:?}"))
    };
    assert!(line("node").starts_with("fault "), "{checked:?}");
    assert!(line("standby").starts_with("ok "), "{checked:?}");

    let qseed = stage.site.start();
    let failed = event_of(&qseed, 0, "source-failed", "node");
    assert_eq!(failed["code"], "tls-post-quantum", "{failed}");
    qseed.wait_pushed(2);
    let log = qseed.stop();
    assert!(node.served().is_empty() && node.told("connected").is_empty());
    let sources: Vec<_> = events(&log, "seeded")
        .iter()
        .map(|seeded| seeded["sources"].clone())
        .collect();
    assert!(
        sources.iter().all(|made_of| *made_of == json!(["standby"])),
        "{sources:?}"
    );
    assert_eq!(events(&log, "connected")[0]["tls_group"], HYBRID);
}

#[test]
fn an_openssl_server_with_the_hybrid_group_alone_is_refused_if_it_is_off() {
    let site = Site::new();
    let node = NodeService::with_groups(&site, HYBRID);
    let stage = Stage::new(&[node.source(&json!({ "post_quantum": "off" }))]);
    let ended = stage.site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(node.served().is_empty() && stage.seeds().is_empty());
}
