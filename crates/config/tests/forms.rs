//! Both forms of the file: what they say arrives, and what they leave out has its default.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_config::{
    AuditMode, Auth, Budget, Combine, Config, Form, Host, Level, Loaded, Log, LogFormat, Login,
    Module, Output, Pin, PostQuantum, Rate, Reserve, Scheme, Seeds, SourceKind, TokenChoice, parse,
};
use qseed_model::uri::TokenUri;
use qseed_secrets::SecretRef;

const FLAT: &str = "\
qrypt_token: qrypttokenfromportal
size: 48                 # bytes, 1..65536, default 48
period: 10               # seconds, 1..31536000, default 10
cryptoki_lib: /usr/safenet/lunaclient/lib/libCryptoki2_64.so
cryptoki_slot_id: 824959035
cryptoki_user_pin: 1234  # a number or a string; leading zeros survive
";

const FULL: &str = "\
sources:
  - name: qrypt
    type: qrypt
    url: https://api-eus.qrypt.com
    access_token: file:/etc/qseed/access-token
  - name: rack-qrng
    type: qrng-open-api
    url: https://qrng.lab.example/v1
    auth: mtls
    tls:
      ca: /etc/qseed/ca.pem
      client_cert: /etc/qseed/client.pem
      client_key: file:/etc/qseed/client.key
      pin_sha256: [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]
      post_quantum: require
    timeout: 30s
    rate_limit: 5/1m
    budget: { bytes: 100MiB, resets_on: 15 }
    startup_bytes: 1024
  - name: old
    type: qrypt-kib
    url: http://10.1.2.3/base/
    insecure_http: true
  - name: card
    type: device
    path: /dev/qrandom0
combine: xor
reserve: { cover: 10m, max_age: 2h }
mix_local: true
partitions:
  - name: issuing-ca
    token: pkcs11:token=issuing-ca;serial=1234567890
    login: 0x80000001
    pin: credential:issuing-ca
    size: 32
    period: 5m
    chunk: 16
  - name: pad
    module: /usr/lib/pad.so
    slot: 7
    login: protected
  - name: nss
    token: pkcs11:token=nss?module-path=/usr/lib/softokn.so&pin-source=env:NSS_PIN
  - name: open
    slot: \"0\"
    login: none
defaults: { module: /usr/lib/luna.so, login: so, pin: file:/etc/qseed/pin, size: 64, period: 1h, chunk: 8 }
modules:
  - path: /usr/lib/softokn.so
    environment: { NSS_DEBUG: '', SOFTHSM2_CONF: /etc/softhsm2.conf }
    init_args: \"configdir='sql:/etc/nss'\"
    deadline: 5s
    concurrency: 1
  - path: /usr/lib/unused.so
state_dir: /srv/qseed
audit: { file: ledger.jsonl, signing_key: file:/etc/qseed/audit.key, mode: required, rotate: { size: 1MiB, keep: 3 },
  witnesses: [{ url: https://witness.example/submit, key: witness.example/w1+7e136b5c+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f, tls: { post_quantum: require } },
    { url: 'http://witness.example', key: witness.example/w2+d57fc94c+BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g, insecure_http: true }],
  anchor: [/usr/local/bin/anchor, --log, \"\"] }
listen: 127.0.0.1:9464
control_socket: /tmp/qseed.sock
log: { format: json, level: debug, seeds: summary }
";

fn read(text: &str) -> Loaded {
    parse(text, "f").unwrap_or_else(|report| panic!("{report}"))
}

fn config(text: &str) -> Config {
    read(text).config
}

#[test]
fn the_flat_form_is_one_source_and_one_partition() {
    let Loaded { config, warnings } = read(FLAT);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.form, Form::Flat);
    let [source] = &config.sources[..] else {
        panic!("one source")
    };
    assert_eq!(source.name, "qrypt");
    assert_eq!(
        source.rate_limit,
        Some(Rate {
            requests: 30,
            per: Duration::from_secs(10)
        })
    );
    let SourceKind::Qrypt { http } = &source.kind else {
        panic!("Qrypt's interface")
    };
    assert_eq!(http.url.to_string(), "https://api-eus.qrypt.com");
    assert_eq!(http.timeout, Duration::from_secs(10));
    let token = http
        .access_token
        .as_ref()
        .expect("a token")
        .read()
        .expect("a literal");
    assert_eq!(token.expose_str(), Some("qrypttokenfromportal"));
    let [partition] = &config.partitions[..] else {
        panic!("one partition")
    };
    assert_eq!(partition.name, "default");
    assert_eq!(partition.token, TokenChoice::Slot(824_959_035));
    assert_eq!(partition.login, Login::User);
    assert_eq!(
        (partition.size, partition.period),
        (48, Duration::from_secs(10))
    );
    assert_eq!(partition.position.line, 4);
    let library = PathBuf::from("/usr/safenet/lunaclient/lib/libCryptoki2_64.so");
    assert_eq!(config.modules, [Module::new(library)]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "qrypt_token: t\ncryptoki_lib: l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: 1\n";
    let config = config(text);
    assert_eq!(
        (config.partitions[0].size, config.partitions[0].chunk),
        (48, None)
    );
    assert_eq!(config.partitions[0].period, Duration::from_secs(10));
    assert_eq!(
        (config.combine, config.mix_local),
        (Combine::Failover, false)
    );
    assert_eq!((config.reserve, config.listen), (None, None));
    assert_eq!(config.audit, None);
    assert_eq!(config.state_dir, Path::new("/var/lib/qseed"));
    assert_eq!(config.control_socket, Path::new("/run/qseed/control.sock"));
    assert_eq!(
        config.log,
        Log {
            format: LogFormat::Text,
            level: Level::Info,
            seeds: None
        }
    );
    let module = &config.modules[0];
    assert_eq!(
        (
            module.deadline,
            module.concurrency,
            module.output,
            module.network
        ),
        (Duration::from_secs(30), 8, Output::Count, true)
    );
}

#[test]
fn general_keys_are_allowed_in_the_flat_form() {
    let general = "qrypt_url: https://qrypt.example:8443\nlisten: '[::1]:9464'\naudit: {}\n\
        state_dir: state\nlog: {level: warn}\nmodules: [{path: l.so, concurrency: 2, output: log,\n        network: false}]\n\
        control_socket: s\nreserve: {cover: 2h}\nmix_local: true\n";
    let text =
        "size: 1\nqrypt_token: t\ncryptoki_lib: l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: 1\n";
    let config = config(&format!("{text}{general}"));
    assert_eq!(
        config.sources[0].kind.http().expect("a server").url.port,
        8443
    );
    assert_eq!(config.listen.map(|address| address.port()), Some(9464));
    let audit = config.audit.expect("a ledger");
    assert_eq!(
        (audit.file.as_path(), audit.signing_key),
        (Path::new("audit.jsonl"), None)
    );
    assert_eq!(audit.mode, AuditMode::BestEffort);
    assert_eq!((audit.rotate.size, audit.rotate.keep), (256 << 20, 12));
    assert!(audit.witnesses.is_empty() && audit.anchor.is_none());
    assert_eq!(config.log.level, Level::Warn);
    assert_eq!(config.modules.len(), 1);
    assert_eq!(config.modules[0].concurrency, 2);
    assert_eq!(config.modules[0].output, Output::Log);
    assert!(!config.modules[0].network);
    let two_hours = Duration::from_secs(7_200);
    assert_eq!(
        config.reserve,
        Some(Reserve {
            cover: two_hours,
            max_age: two_hours
        })
    );
}

#[test]
fn sources_of_the_full_form_arrive() {
    let config = config(FULL);
    assert_eq!(config.form, Form::Full);
    let types: Vec<_> = config
        .sources
        .iter()
        .map(|source| source.kind.type_name())
        .collect();
    assert_eq!(types, ["qrypt", "qrng-open-api", "qrypt-kib", "device"]);
    let rack = &config.sources[1];
    let SourceKind::QrngOpenApi { http } = &rack.kind else {
        panic!("the open API")
    };
    assert_eq!((http.auth, http.url.path.as_str()), (Auth::Mtls, "/v1"));
    assert_eq!(http.url.host, Host::Name("qrng.lab.example".to_owned()));
    assert_eq!(
        http.tls.client_key,
        Some(SecretRef::File("/etc/qseed/client.key".into()))
    );
    assert_eq!(http.tls.pin_sha256[0][..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(http.tls.post_quantum, PostQuantum::Require);
    assert_eq!(http.timeout, Duration::from_secs(30));
    assert_eq!(
        rack.rate_limit,
        Some(Rate {
            requests: 5,
            per: Duration::from_secs(60)
        })
    );
    assert_eq!(
        rack.budget,
        Some(Budget {
            bytes: 100 << 20,
            resets_on: 15
        })
    );
    assert_eq!(rack.startup_bytes, 1_024);
    let old = config.sources[2].kind.http().expect("a server");
    assert_eq!((old.url.scheme, old.url.port), (Scheme::Http, 80));
    assert!(old.insecure_http && old.access_token.is_none());
    assert!(matches!(&old.url.host, Host::V4(address) if IpAddr::from(*address).is_ipv4()));
    let SourceKind::Device { path, .. } = &config.sources[3].kind else {
        panic!("a device")
    };
    assert_eq!(
        (path.as_path(), config.sources[3].rate_limit),
        (Path::new("/dev/qrandom0"), None)
    );
}

#[test]
fn partitions_of_the_full_form_arrive_with_their_defaults() {
    let config = config(FULL);
    let [issuing, pad, nss, open] = &config.partitions[..] else {
        panic!("four partitions")
    };
    let uri = TokenUri {
        token: Some("issuing-ca".to_owned()),
        serial: Some("1234567890".to_owned()),
        ..TokenUri::default()
    };
    let uri = TokenChoice::Uri(Box::new(uri));
    assert_eq!(
        (&issuing.token, issuing.login),
        (&uri, Login::Vendor(0x8000_0001))
    );
    assert_eq!(
        issuing.pin,
        Pin::Given(SecretRef::Credential("issuing-ca".to_owned()))
    );
    assert_eq!((issuing.size, issuing.chunk), (32, Some(16)));
    assert_eq!(issuing.period, Duration::from_secs(300));
    assert_eq!(issuing.module, Path::new("/usr/lib/luna.so"));
    assert_eq!((pad.login, &pad.pin), (Login::Protected, &Pin::Absent));
    assert_eq!(pad.module, Path::new("/usr/lib/pad.so"));
    assert_eq!((pad.size, pad.chunk), (64, Some(8)));
    assert_eq!(
        (nss.login, &nss.pin),
        (
            Login::So,
            &Pin::Given(SecretRef::Environment("NSS_PIN".into()))
        )
    );
    assert_eq!(nss.module, Path::new("/usr/lib/softokn.so"));
    assert_eq!(
        (&open.token, &open.pin),
        (&TokenChoice::Slot(0), &Pin::Absent)
    );
    assert_eq!(config.secret_variables(), ["NSS_PIN"]);
}

#[test]
fn general_settings_of_the_full_form_arrive() {
    let Loaded { config, warnings } = read(FULL);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["f:54:5: no partition uses the module /usr/lib/unused.so"]
    );
    assert_eq!((config.combine, config.mix_local), (Combine::Xor, true));
    let (cover, max_age) = (Duration::from_secs(600), Duration::from_secs(7_200));
    assert_eq!(config.reserve, Some(Reserve { cover, max_age }));
    let paths: Vec<_> = config
        .modules
        .iter()
        .map(|module| module.path.to_str())
        .collect();
    let expected = ["/usr/lib/softokn.so", "/usr/lib/luna.so", "/usr/lib/pad.so"];
    assert_eq!(paths, expected.map(Some));
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        variable("NSS_DEBUG", ""),
        variable("SOFTHSM2_CONF", "/etc/softhsm2.conf"),
    ];
    assert_eq!(config.modules[0].environment, expected);
    assert_eq!(
        config.modules[0].init_args.as_deref(),
        Some("configdir='sql:/etc/nss'")
    );
    let audit = config.audit.expect("a ledger");
    assert_eq!(audit.file, Path::new("ledger.jsonl"));
    assert_eq!(audit.mode, AuditMode::Required);
    assert_eq!((audit.rotate.size, audit.rotate.keep), (1 << 20, 3));
    let [first, second] = &audit.witnesses[..] else {
        panic!("two witnesses")
    };
    assert_eq!(first.url.to_string(), "https://witness.example/submit");
    assert_eq!(first.key.name(), "witness.example/w1");
    assert_eq!(first.tls.post_quantum, PostQuantum::Require);
    assert!(second.insecure_http && !first.insecure_http);
    let anchor = audit.anchor.expect("a command");
    assert_eq!(anchor.program, Path::new("/usr/local/bin/anchor"));
    assert_eq!(anchor.arguments, ["--log", ""]);
    let log = Log {
        format: LogFormat::Json,
        level: Level::Debug,
        seeds: Some(Seeds::Summary),
    };
    assert_eq!(config.log, log);
}

#[test]
fn ways_of_writing_that_yaml_offers_make_no_difference() {
    let expected = config(FLAT);
    let quoted = FLAT
        .replace("size: 48", "\"size\": '48'")
        .replace("period: 10 ", "period: \"10s\" ");
    for text in [
        FLAT.replace('\n', "\r\n"),
        format!("\u{feff}{FLAT}"),
        format!("%YAML 1.2\n---\n{FLAT}...\n"),
        quoted,
    ] {
        let mut config = config(&text);
        config.partitions[0].position = expected.partitions[0].position;
        assert_eq!(config, expected, "{text}");
    }
}

#[test]
fn a_session_serves_a_partition_that_moves_or_changes_its_size_and_period_alone() {
    let (here, moved) = (config(FLAT), config(&format!("# a comment\n{FLAT}")));
    assert_ne!(here, moved);
    let same = |text: &str| here.partitions[0].is_same_session(&config(text).partitions[0]);
    assert!(same(&format!("# a comment\n{FLAT}")));
    assert!(same(
        &FLAT
            .replace("size: 48", "size: 47")
            .replace("period: 10 ", "period: 9 ")
    ));
    assert!(!same(&FLAT.replace("1234", "1235")));
    assert!(!same(&FLAT.replace("824959035", "824959036")));
}

/// Each example of the reference is a configuration.
#[test]
fn the_examples_of_the_reference_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let reference = std::fs::read_to_string(path).expect("the reference");
    let examples: Vec<_> = reference
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert!(examples.len() >= 3);
    for example in examples {
        assert!(read(example).warnings.is_empty(), "{example}");
    }
}
