//! Logging in: every kind of user, PINs from everywhere, byte for byte.

use std::fmt::Write;

use qseed_faulty_token::{Ckr, Faults, PinPad, PinSettings, User};
use rustix::process::Signal;
use serde_json::json;

use crate::pins::{RIGHT, wait_failed};
use crate::support::daemon::run;
use crate::support::faulty::{Faulty, seeds_of};
use crate::support::service;
use crate::support::site::Site;

#[test]
fn every_kind_of_login_seeds() {
    let (service, site) = (service(), Site::new());
    let vendor = User(0x8000_0001);
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 5;
        faults.defaults.seeding.needs_login = true;
        faults
            .token(2)
            .vendor_users
            .insert(vendor, PinSettings::new("crypto"));
        faults.token(3).pin_pad = Some(PinPad::Right);
        faults.token(4).seeding.needs_login = false;
    });
    let with = |number, login: &str, pin: Option<&str>| {
        let mut partition = faulty.partition(login, number);
        partition["login"] = json!(login);
        if let Some(pin) = pin {
            partition["pin"] = json!(pin);
        }
        partition
    };
    let mut vendors = with(2, "vendor", Some("crypto"));
    vendors["login"] = json!(0x8000_0001_u32);
    let partitions = json!([
        with(0, "user", Some(RIGHT)),
        with(1, "so", Some("5678")),
        vendors,
        with(3, "protected", None),
        with(4, "none", None),
    ]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    faulty.wait(|record| (0..5).all(|token| seeds_of(record, token) >= 1));
    qseed.stop();
    let mut logins = faulty.token.logins().expect("a record");
    logins.sort_by_key(|login| login.call.token);
    let seen: Vec<_> = logins
        .iter()
        .map(|login| (login.call.user, login.call.pin.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some(User::USER), Some(RIGHT.as_bytes())),
            (Some(User::SO), Some(b"5678".as_slice())),
            (Some(vendor), Some(b"crypto".as_slice())),
            (Some(User::USER), None),
        ]
    );
}

fn unquoted(pin: &str) -> &str {
    pin.trim_matches(['\'', '"'])
}

#[test]
fn pins_reach_the_token_byte_for_byte() {
    let pins = [
        "0012",
        "1e10",
        "true",
        "0x1F",
        "pä$$",
        "user:password",
        "1234",
        "'null'",
        "\"~\"",
        "1_000",
    ];
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = u32::try_from(pins.len()).expect("few") + 3;
        for (token, pin) in (0..).zip(pins) {
            faults.token(token).user.pin = Some(unquoted(pin).to_owned());
        }
    });
    let next = u32::try_from(pins.len()).expect("few");
    let file = site.write_secret("pin", "1234\n");
    site.write_secret("credential", "1234");
    // YAML as people write it: without quotes where they can be left out.
    let mut text = format!(
        "sources:\n  - name: sim\n    type: qrypt\n    url: {}\n    access_token: {}\n    \
         tls: {{ ca: {} }}\nstate_dir: {}\nlog: {{ format: json }}\ndefaults: {{ module: {} }}\npartitions:\n",
        service.url(),
        crate::support::ACCESS_TOKEN,
        service.ca_path().expect("TLS").display(),
        site.state_dir().display(),
        faulty.module.display(),
    );
    let file = format!("file:{}", file.display());
    let references = [file.as_str(), "env:QSEED_TEST_PIN", "credential:credential"];
    for (number, pin) in pins.iter().chain(&references).enumerate() {
        writeln!(
            text,
            "  - name: p{number}\n    token: pkcs11:serial=FT{number}\n    pin: {pin}"
        )
        .expect("a string grows");
    }
    site.configure(&text);
    let mut command = site.command();
    command
        .env("QSEED_TEST_PIN", RIGHT)
        .env("CREDENTIALS_DIRECTORY", site.folder());
    let ended = run(command.arg("--once"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let presented = faulty.token.logins().expect("a record");
    for (token, pin) in (0..)
        .zip(pins.map(unquoted))
        .chain((next..).zip([RIGHT; 3]))
    {
        let of_token: Vec<_> = presented
            .iter()
            .filter(|login| login.call.token == Some(token))
            .collect();
        let [login] = of_token[..] else {
            panic!("{pin}: {of_token:?}")
        };
        assert_eq!(login.call.pin.as_deref(), Some(pin.as_bytes()));
        assert_eq!(login.judged, Some(Ckr::OK), "{pin}");
    }
}

#[test]
fn a_reinitialised_token_is_found_and_seeded() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.defaults.user.tries = Some(3));
    let partitions = json!([faulty.partition_with_pin("p", 0, RIGHT)]);
    site.configure_full(&site.full(&service, &partitions));
    let qseed = site.start();
    faulty.wait_seeds(0, 2);
    faulty
        .token
        .set(|faults| faults.reinitialize(0))
        .expect("written");
    faulty.wait_next_seed(0);
    // This time it has got another PIN: the known one is refused, once.
    let another_pin = |faults: &mut Faults| {
        faults.reinitialize(0);
        faults.token(0).user.pin = Some("new".to_owned());
    };
    faulty.token.set(another_pin).expect("written");
    wait_failed(&qseed, "p", "pin-refused");
    let refused = faulty.presentations(0);
    let text = std::fs::read_to_string(site.config_path()).expect("written");
    site.configure(&text.replace("\"1234\"", "\"new\""));
    qseed.signal(Signal::HUP);
    faulty.wait_next_seed(0);
    assert_eq!(faulty.presentations(0), refused + 1);
    qseed.stop();
}
