//! Exit codes and what is said with them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::pins::RIGHT;
use crate::support::daemon::{Ended, QSEED, qseed, run};
use crate::support::faulty::Faulty;
use crate::support::service;
use crate::support::site::Site;

/// `qseed run --once` with the configuration as text.
fn once_with(site: &Site, text: &str) -> Ended {
    site.configure(text);
    site.once()
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    let good = site.full(&service, &json!([faulty.partition("p", 0)]));

    let missing = site.once();
    assert_eq!(missing.code, Some(78), "{missing:?}");
    assert!(missing.errors.contains("qseed_config.yml"), "{missing:?}");

    let text = "sources:\n  - { name: a, type: device, path: /dev/null }\n\
                  partitions:\n  - { name: p, module: m.so, slot: 0, login: none, perid: 4x }\n\
                  stat_dir: /tmp\n";
    let mistaken = once_with(&site, text);
    assert_eq!(mistaken.code, Some(78), "{mistaken:?}");
    for said in [
        "qseed_config.yml:4:",
        "qseed_config.yml:5:1",
        "period",
        "state_dir",
    ] {
        assert!(
            mistaken.errors.contains(said),
            "{said} is not in {}",
            mistaken.errors
        );
    }

    site.configure_full(&good);
    assert_eq!(site.once().code, Some(0));
    for usage in [
        vec!["--nonsense"],
        vec!["nonsense"],
        vec!["run", "--once=7"],
    ] {
        let ended = run(qseed().args(&usage));
        assert_eq!(ended.code, Some(64), "{usage:?}: {ended:?}");
        assert!(
            ended.output.is_empty() && !ended.errors.is_empty(),
            "{ended:?}"
        );
    }

    let mut nowhere = good.clone();
    nowhere["partitions"][0]["token"] = json!("pkcs11:token=nowhere");
    site.configure_full(&nowhere);
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    // What is there is said, so that the operator can mend the name.
    assert!(ended.errors.contains("faulty-0"), "{ended:?}");

    service.stop();
    site.configure_full(&good);
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.errors.contains("sim: "), "{ended:?}");
}

#[test]
fn a_configuration_that_others_can_read_is_refused() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    site.configure_full(&site.full(&service, &json!([faulty.partition("p", 0)])));
    let open = |mode| {
        let permissions = Permissions::from_mode(mode);
        std::fs::set_permissions(site.config_path(), permissions).expect("it is ours");
    };
    open(0o644);
    let refused = site.once();
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(refused.errors.contains("chmod"), "{refused:?}");
    assert!(service.requests().is_empty());
    let allowed = run(site.command().args(["--once", "--allow-readable-secrets"]));
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert!(allowed.output.contains("chmod"), "{allowed:?}");

    // One that qseed's own user can't read.
    open(0o000);
    let mut stranger = if rustix::process::geteuid().is_root() {
        let program = site.path("qseed");
        std::fs::copy(QSEED, &program).expect("copied");
        std::fs::set_permissions(site.folder(), Permissions::from_mode(0o755)).expect("ours");
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program);
        setpriv
    } else {
        qseed()
    };
    let unreadable = run(stranger
        .args(["run", "--once", "--config"])
        .arg(site.config_path()));
    assert_eq!(unreadable.code, Some(77), "{unreadable:?}");
}

#[test]
fn help_and_version_are_asked_for() {
    let help = run(qseed().arg("--help"));
    assert_eq!(help.code, Some(0));
    for command in ["run", "check", "slots", "guard"] {
        let mut lines = help.output.lines().map(str::trim_start);
        let listed = lines.any(|line| line.starts_with(&format!("{command} ")));
        assert!(listed, "{command} is not in {}", help.output);
    }
    for said in ["--config", "--once", "78"] {
        assert!(
            help.output.contains(said),
            "{said} is not in {}",
            help.output
        );
    }
    let version = run(qseed().arg("--version"));
    assert_eq!(
        version.output,
        format!("qseed {}", env!("CARGO_PKG_VERSION"))
    );
    assert!(version.errors.is_empty());
}

#[test]
fn partitions_that_name_one_token_with_excluding_logins_are_named_at_the_start() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| ());
    let mut officer = faulty.partition_with_pin("officer", 0, "5678");
    officer["login"] = json!("so");
    let partitions = json!([
        faulty.partition_with_pin("user", 0, "1234"),
        faulty.partition("open", 0),
        officer,
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    let told = qseed.event("configuration");
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.starts_with("user and officer are the same token"),
        "{message}"
    );
    qseed.stop();
}

#[test]
fn a_state_directory_in_which_somebody_else_could_plant_files_is_refused() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    std::fs::create_dir(site.state_dir()).expect("made");
    std::fs::write(site.state_dir().join("pin-guard.key"), [7; 32]).expect("planted");
    // A budget can be forged as well, so a PIN makes no difference.
    for partition in [
        faulty.partition_with_pin("p", 0, RIGHT),
        faulty.partition("p", 0),
    ] {
        site.configure_full(&site.full(&service, &json!([partition])));
        for (owner, mode, fix) in [(0, 0o777, "chmod go-w"), (4321, 0o700, "chown 0")] {
            std::os::unix::fs::chown(site.state_dir(), Some(owner), None).expect("chown");
            std::fs::set_permissions(site.state_dir(), Permissions::from_mode(mode))
                .expect("chmod");
            let ended = site.once();
            assert_eq!(ended.code, Some(77), "{ended:?}");
            assert!(ended.errors.contains(fix), "{ended:?}");
        }
    }
    assert_eq!(faulty.presentations(0), 0);
}

#[test]
fn a_file_of_the_state_directory_that_somebody_else_could_have_written_is_refused() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let partition = faulty.partition_with_pin("p", 0, RIGHT);
    site.configure_full(&site.full(&service, &json!([partition])));
    let seeded = site.once();
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    let fixes = [
        ("pin-guard.jsonl", 0o622, "chmod go-w"),
        ("pin-guard.seal", 0o622, "chmod go-w"),
        ("pin-guard.key", 0o622, "chmod go-rwx"),
        ("pin-guard.key", 0o640, "chmod go-rwx"),
        ("usage.jsonl", 0o622, "chmod go-w"),
    ];
    for (name, mode, fix) in fixes {
        let file = site.state_dir().join(name);
        for (owner, mode, fix) in [(0, mode, fix), (4321, 0o600, "chown 0")] {
            std::os::unix::fs::chown(&file, Some(owner), None).expect("chown");
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("chmod");
            let ended = site.once();
            assert_eq!(ended.code, Some(77), "{name}: {ended:?}");
            assert!(ended.errors.contains(fix), "{name}: {ended:?}");
        }
        std::os::unix::fs::chown(&file, Some(0), None).expect("chown");
    }
    let seeded = site.once();
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
}
