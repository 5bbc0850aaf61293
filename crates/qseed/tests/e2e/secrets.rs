//! No seed, PIN or access token is anywhere but on its way.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use qseed_entropy_service::{EntropyService, Fault};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pins::RIGHT;
use crate::support::daemon::{Qseed, kill};
use crate::support::faulty::{Faulty, seeds_of};
use crate::support::ledger::Ledger;
use crate::support::site::Site;
use crate::support::{ACCESS_TOKEN, service};

/// The forms in which a secret would be found in a text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = |digits: fn(&u8) -> String| -> String { secret.iter().map(digits).collect() };
    vec![
        secret.to_vec(),
        hex(|byte| format!("{byte:02x}")).into_bytes(),
        hex(|byte| format!("{byte:02X}")).into_bytes(),
        BASE64_STANDARD
            .encode(secret)
            .trim_end_matches('=')
            .as_bytes()
            .to_vec(),
        BASE64_URL_SAFE
            .encode(secret)
            .trim_end_matches('=')
            .as_bytes()
            .to_vec(),
    ]
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(content) = std::fs::read(&path) {
            found.push((path.display().to_string(), content));
        }
    }
    found
}

#[test]
fn secrets_are_nowhere_to_be_found() {
    let (service, site) = (service(), Site::new());
    let pins = [
        "literal-31415926",
        "in-a-file-27182818",
        "in-the-environment-16180339",
        "wrong-14142135",
    ];
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 4;
        for (token, pin) in (0..3).zip(pins) {
            faults.token(token).user.pin = Some(pin.to_owned());
        }
    });
    let pin_file = site.write_secret("pin", pins[1]);
    let mut config = site.full(
        &service,
        &json!([
            faulty.partition_with_pin("literal", 0, pins[0]),
            faulty.partition_with_pin("file", 1, &format!("file:{}", pin_file.display())),
            faulty.partition_with_pin("environment", 2, "env:QSEED_TEST_PIN"),
            faulty.partition_with_pin("wrong", 3, pins[3]),
        ]),
    );
    config["sources"][0]["access_token"] = json!("env:QSEED_TEST_ACCESS_TOKEN");
    config["log"]["level"] = json!("debug");
    let signing_key = b"signing-key-31415926-27182818-16";
    let literal = BASE64_STANDARD.encode(signing_key);
    config["audit"] = json!({ "mode": "required", "signing_key": literal });
    site.configure_full(&config);
    let mut command = site.command();
    command
        .env("QSEED_TEST_PIN", pins[2])
        .env("QSEED_TEST_ACCESS_TOKEN", ACCESS_TOKEN);
    let qseed = Qseed::start(&mut command);
    faulty.wait(|record| (0..3).all(|token| seeds_of(record, token) >= 2));
    // Faults have texts, in which secrets must not be either.
    for fault in [Fault::WrongField, Fault::AllZero, Fault::Truncate] {
        let known = qseed.log.count();
        service.fault_next(fault, 1);
        qseed.event_from(known, "source-recovered");
    }

    let workers = qseed.workers();
    assert_eq!(workers.len(), 1);
    let of = |id: u32, name: &str| {
        let content = std::fs::read(format!("/proc/{id}/{name}"));
        (
            format!("/proc/{id}/{name}"),
            content.expect("the tests run as root"),
        )
    };
    let mut places = vec![of(qseed.id(), "cmdline"), of(workers[0], "cmdline")];
    let environment = of(workers[0], "environ");
    assert!(
        !environment.1.windows(10).any(|text| text == b"QSEED_TEST"),
        "the worker inherits it"
    );
    assert!(!environment.1.is_empty(), "it inherits nothing at all");
    places.push(environment);
    let errors = qseed.errors.clone();
    places.push(("the log".to_owned(), qseed.stop().join("\n").into_bytes()));
    places.push((
        "standard error".to_owned(),
        errors.to_the_end().join("\n").into_bytes(),
    ));
    places.extend(files(&site.state_dir()));

    let mut secrets: Vec<Vec<u8>> = pins.iter().map(|pin| pin.as_bytes().to_vec()).collect();
    secrets.push(ACCESS_TOKEN.as_bytes().to_vec());
    secrets.push(signing_key.to_vec());
    let seeds = faulty.injected();
    assert!(seeds.len() >= 6);
    // Part of a seed gives away as much, and so does a digest that anybody can compute.
    secrets.extend(seeds.iter().map(|seed| seed.bytes[..24].to_vec()));
    let digest = |bytes: &[u8]| qseed_ledger::record::line_hash(bytes).to_vec();
    secrets.extend(seeds.iter().map(|seed| digest(&seed.bytes)));
    let ledger = Ledger::new(&site.state_dir()).check();
    assert!(ledger.seeded().len() >= 6, "the ledger has the seeds");
    for (place, content) in &places {
        for secret in &secrets {
            for form in forms(secret) {
                let there = content.windows(form.len()).any(|window| window == form);
                assert!(!there, "{:?} is in {place}", String::from_utf8_lossy(&form));
            }
        }
    }
}

/// The configuration of a source and a partition that refer to these files.
fn referring(site: &Site, service: &EntropyService, faulty: &Faulty, files: [&Path; 2]) -> Value {
    let [token, pin] = files.map(|path| format!("file:{}", path.display()));
    let partition = faulty.partition_with_pin("ca", 0, &pin);
    let mut config = site.full(service, &json!([partition]));
    config["sources"][0]["access_token"] = json!(token);
    config
}

#[test]
fn a_secret_that_others_can_read_after_the_start_is_warned_of_when_it_is_read() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let token = site.write_secret("token", ACCESS_TOKEN);
    let pin = site.write_secret("pin", RIGHT);
    site.configure_full(&referring(&site, &service, &faulty, [&token, &pin]));
    let qseed = site.start();
    faulty.wait_seeds(0, 1);

    let open = |path: &Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(path, mode).expect("chmod");
    };
    let warned_of = |from: usize, what: &str| {
        let said = qseed.event_from(from, "secret-exposed");
        let message = said["message"].as_str().expect("a message");
        assert!(
            message.contains(what) && message.contains("chmod"),
            "{message}"
        );
    };
    assert!(
        !qseed.log.all().concat().contains("secret-exposed"),
        "nobody else can read them"
    );
    let known = qseed.log.count();
    open(&token);
    warned_of(known, "the access token of source");
    let known = qseed.log.count();
    open(&pin);
    kill(qseed.workers()[0], Signal::KILL);
    warned_of(known, "the PIN of partition ca");
}

#[test]
fn pipes_devices_and_folders_as_secrets_are_faults_that_hold_nobody_up() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 2);
    let [pipe, folder] = ["pipe", "folder"].map(|name| site.path(name));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
    std::fs::create_dir(&folder).expect("made");
    let good = site.write_secret("token", ACCESS_TOKEN);
    for bad in [&pipe, &folder, Path::new("/dev/zero")] {
        let mut config = referring(&site, &service, &faulty, [bad, bad]);
        let sources = config["sources"].as_array_mut().expect("a list");
        let mut healthy = sources[0].clone();
        healthy["name"] = json!("healthy");
        healthy["access_token"] = json!(format!("file:{}", good.display()));
        sources.push(healthy);
        let partitions = config["partitions"].as_array_mut().expect("a list");
        partitions.push(faulty.partition("neighbour", 1));
        site.configure_full(&config);
        let qseed = site.start();
        faulty.wait_next_seed(1);
        for event in ["source-failed", "partition-failed"] {
            let said = qseed.event(event).to_string();
            assert!(
                said.contains("it is a ") && !said.contains("chmod"),
                "{said}"
            );
        }
        assert_eq!(qseed.workers().len(), 1, "nobody's worker was killed");
        qseed.stop();
    }
    assert_eq!(faulty.presentations(0), 0);
}
