//! Every type of source against a real token: `SoftHSM` gets what was delivered, as it was delivered.

use qseed_entropy_service::{Api, EntropyService, Options};
use serde_json::{Value, json};

use crate::stage::{Stage, assert_in_order, config, delivered, good_answers, one_answer};
use crate::support::accounts::assert_delivered_once;
use crate::support::site::Site;
use crate::support::{ACCESS_TOKEN, for_each_case, service_with};
use qseed_real_tokens::{SPY, SoftHsm};

const API_KEY: &str = "end-to-end-api-key";

/// A type of source with one way to authenticate, and where it is asked.
struct Kind {
    name: &'static str,
    options: Options,
    /// The settings beside name and CA.
    settings: fn(&EntropyService) -> Value,
    path: &'static str,
    api: Api,
    /// The one header that shows who asks.
    header: Option<&'static str>,
}

fn open_api(service: &EntropyService, auth: &str, token: Option<&str>) -> Value {
    let mut source = json!({
        "type": "qrng-open-api",
        "url": service.open_api_url(),
        "auth": auth,
    });
    if let Some(token) = token {
        source["access_token"] = json!(token);
    }
    source
}

fn qrypt(service: &EntropyService, token: Option<&str>) -> Value {
    let mut source = json!({ "type": "qrypt", "url": service.url() });
    if let Some(token) = token {
        source["access_token"] = json!(token);
    }
    source
}

fn with_client_certificate(service: &EntropyService) -> Value {
    let mut source = open_api(service, "mtls", None);
    source["tls"] = json!({
        "client_cert": service.client_certificate_path(),
        "client_key": format!("file:{}", service.client_key_path().expect("TLS").display()),
    });
    source
}

fn kinds() -> Vec<Kind> {
    let with_token = || Options::default().token(ACCESS_TOKEN);
    vec![
        Kind {
            name: "qrypt",
            options: with_token().tls(),
            settings: |service| qrypt(service, Some(ACCESS_TOKEN)),
            path: "/api/v1/entropy",
            api: Api::Qrypt,
            header: Some("authorization"),
        },
        Kind {
            name: "qrypt-kib",
            options: with_token().tls(),
            settings: |service| {
                let mut source = qrypt(service, Some(ACCESS_TOKEN));
                source["type"] = json!("qrypt-kib");
                source
            },
            path: "/api/v1/quantum-entropy?size=1",
            api: Api::QryptKib,
            header: Some("authorization"),
        },
        Kind {
            name: "open api, bearer",
            options: with_token().tls(),
            settings: |service| open_api(service, "bearer", Some(ACCESS_TOKEN)),
            path: "/v1/entropy",
            api: Api::QrngOpenApi,
            header: Some("authorization"),
        },
        Kind {
            name: "open api, x-api-key, deep base path",
            options: Options::default()
                .tls()
                .api_key(API_KEY)
                .base("/qrng/eu-1/v2"),
            settings: |service| open_api(service, "x-api-key", Some(API_KEY)),
            path: "/qrng/eu-1/v2/entropy",
            api: Api::QrngOpenApi,
            header: Some("x-api-key"),
        },
        Kind {
            name: "open api, mtls",
            options: Options::default().require_client_certificate(),
            settings: with_client_certificate,
            path: "/v1/entropy",
            api: Api::QrngOpenApi,
            header: None,
        },
        Kind {
            name: "open api, none, no base path",
            options: Options::default().tls().base("/"),
            settings: |service| open_api(service, "none", None),
            path: "/entropy",
            api: Api::QrngOpenApi,
            header: None,
        },
        Kind {
            name: "appliance",
            options: Options::default(),
            settings: |service| qrypt(service, None),
            path: "/api/v1/entropy",
            api: Api::Qrypt,
            header: None,
        },
        Kind {
            name: "appliance with a token",
            options: with_token(),
            settings: |service| qrypt(service, Some(ACCESS_TOKEN)),
            path: "/api/v1/entropy",
            api: Api::Qrypt,
            header: Some("authorization"),
        },
    ]
}

/// A site whose only partition is a token of `SoftHSM` behind a spy.
fn site_of(hsm: &SoftHsm, source: &Value) -> Site {
    let site = Site::new();
    hsm.add_token("trust");
    let partition = json!({
        "name": "p",
        "module": SPY,
        "token": "pkcs11:token=trust",
        "login": "user",
        "pin": "1234",
        "period": "1s",
    });
    let mut config = config(&site, std::slice::from_ref(source), &[partition]);
    config["modules"] = json!([{ "path": SPY, "environment": hsm.environment() }]);
    site.configure_full(&config);
    site
}

#[test]
fn a_real_token_gets_what_each_kind_of_source_served() {
    for_each_case(&kinds(), 8, |kind| {
        let service = EntropyService::spawn(kind.options.clone()).expect("a service");
        let mut source = (kind.settings)(&service);
        source["name"] = json!("sim");
        source["timeout"] = json!("5s");
        if let Some(ca) = service.ca_path() {
            source["tls"]["ca"] = json!(ca);
        }
        let hsm = SoftHsm::new();
        let site = site_of(&hsm, &source);
        let qseed = site.start();
        qseed.wait_pushed(3);
        let log = qseed.stop().join("\n");

        let seeds = hsm.spy_log().seeds();
        println!("{}: {} seeds", kind.name, seeds.len());
        assert!(seeds.len() >= 3 && seeds.iter().all(|seed| seed.len() == 48));
        assert_in_order(&seeds, &delivered(&service));
        let served = service.served();
        let asked: Vec<_> = served.iter().filter(|answer| answer.is_good()).collect();
        for answer in &asked {
            assert_eq!(answer.api, Some(kind.api), "{}", kind.name);
            assert_eq!(answer.request.path, kind.path, "{}", kind.name);
            for header in ["authorization", "x-api-key"] {
                let shown = answer.request.header(header).is_some();
                assert_eq!(
                    shown,
                    kind.header == Some(header),
                    "{}: {header}",
                    kind.name
                );
            }
        }
        if kind.api == Api::QryptKib {
            assert_eq!(
                asked.len(),
                1,
                "the rest of a kibibyte seeds the next injections"
            );
        }
        let refused = served.iter().filter(|answer| answer.status != 200).count();
        assert_eq!(refused, 0, "{}: {served:?}", kind.name);
        for connection in service.connections() {
            let shown = connection
                .tls()
                .is_some_and(|facts| facts.client_certificate);
            assert_eq!(shown, kind.name == "open api, mtls", "{connection:?}");
        }
        assert!(
            !log.contains(ACCESS_TOKEN) && !log.contains(API_KEY),
            "{log}"
        );
    });
}

/// 21 seeds of 48 bytes are 1,008 of 1,024: what is over goes into the 22nd.
#[test]
fn a_kibibyte_serves_twenty_one_seeds() {
    let service = service_with(one_answer());
    let mut source = crate::stage::source("old", &service);
    source["type"] = json!("qrypt-kib");
    let stage = Stage::with_partitions(&[source], 7);
    let qseed = stage.site.start();
    // Three rounds of seven.
    qseed.wait_pushed(21);
    assert_eq!(service.log(good_answers), 1);
    service.set_rate_limit(None);
    qseed.wait_pushed(42);
    qseed.stop();
    let seeds = stage.seeds();
    assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
    let needed = (seeds.len() * 48).div_ceil(1024);
    let answers = service.log(good_answers);
    // One that was asked for when the end came may not have been used.
    assert!(
        (needed..=needed + 1).contains(&answers),
        "{answers} for {}",
        seeds.len()
    );
}
