//! `qseed audit` on the ledger that a daemon writes.

use qseed_real_tokens::{SOFTHSM, SoftHsm};
use serde_json::json;

use crate::support::daemon::{Ended, qseed, run};
use crate::support::service;
use crate::support::site::Site;

/// `qseed audit` with the site's configuration.
fn audit(site: &Site, words: &[&str]) -> Ended {
    let mut command = qseed();
    command.current_dir(site.folder()).arg("audit").args(words);
    run(command.arg("--config").arg(site.config_path()))
}

/// What it printed.
#[track_caller]
fn printed(site: &Site, words: &[&str]) -> String {
    let ended = audit(site, words);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended.output
}

#[test]
fn the_ledger_of_a_running_daemon_is_verified_and_exported() {
    let (service, hsm, site) = (service(), SoftHsm::new(), Site::new());
    hsm.add_token("issuing-ca");
    let partitions = json!([{
        "name": "issuing-ca", "module": SOFTHSM, "token": "pkcs11:token=issuing-ca",
        "pin": "1234", "period": "1s",
    }]);
    let mut config = site.full(&service, &partitions);
    config["modules"] = json!([{ "path": SOFTHSM, "environment": hsm.environment() }]);
    config["audit"] = json!({ "mode": "required" });
    site.configure_full(&config);
    let daemon = site.start();
    daemon.wait_pushed(3);

    // While it runs.
    let keys = printed(&site, &["key"]);
    assert_eq!(keys.lines().count(), 2, "{keys}");
    site.write_secret("keys", &keys);
    for _ in 0..5 {
        let verdict = printed(&site, &["verify", "--key", "keys"]);
        assert!(verdict.contains("All holds"), "{verdict}");
    }
    let ended = audit(&site, &["verify"]);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    let shown = printed(
        &site,
        &["show", "--partition", "issuing-ca", "--event", "seed"],
    );
    assert!(shown.lines().count() >= 3, "{shown}");
    assert!(shown.contains("48 bytes from sim (request "), "{shown}");
    daemon.stop();

    // On an auditor's machine: a copy, no configuration.
    let export = printed(&site, &["export", "--partition", "issuing-ca"]);
    let elsewhere = Site::new();
    elsewhere.write_secret("export.json", &export);
    let mut verify = qseed();
    verify.args(["audit", "verify", "export.json", "--key"]);
    let key = keys.lines().next().expect("a key");
    let ended = run(verify.arg(key).current_dir(elsewhere.folder()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
