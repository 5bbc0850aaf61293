use std::collections::BTreeMap;

use super::{
    Began, Body, Chain, Checkpoint, Head, Injection, Intent, Outcome, Partitions, Record,
    RecordError, Refused, Seed, Source, Token, line_hash,
};
use crate::tree::Frontier;

const TIME: &str = "2024-02-29T15:49:11.050Z";

fn outcome(partition: &str, job: Option<u64>) -> Outcome {
    Outcome {
        partition: partition.to_owned(),
        ckr: Some("CKR_OK".to_owned()),
        duration_us: Some(1234),
        job,
    }
}

fn injection(partitions: Partitions) -> Injection {
    Injection {
        partitions,
        module: "/usr/lib/softhsm/libsofthsm2.so".to_owned(),
        sources: vec![Source {
            name: "qrypt".to_owned(),
            request: 7,
            bytes: 48,
            tls_version: Some("TLS 1.3".to_owned()),
            tls_group: Some("X25519MLKEM768".to_owned()),
        }],
        mix_local: false,
        bytes: 48,
        checks: vec!["length".to_owned(), "repetition".to_owned()],
        function: Some("C_SeedRandom".to_owned()),
    }
}

fn one() -> Injection {
    injection(Partitions::One {
        token: Some(Token {
            label: "My \"First\" Token".to_owned(),
            serial: "1234".to_owned(),
            model: "SoftHSM v2".to_owned(),
            firmware: None,
        }),
        outcome: outcome("issuing-ca", None),
    })
}

fn many() -> Injection {
    injection(Partitions::Many(vec![
        (outcome("a", Some(1)), Some("77".to_owned())),
        (outcome("b", Some(2)), None),
    ]))
}

fn record(body: Body) -> Record {
    Record {
        seq: 41,
        time: TIME.to_owned(),
        body,
        prev: Some(line_hash(b"the line before")),
    }
}

#[test]
fn a_seed_has_the_fields_that_auditors_know() {
    let line = record(Body::Seed(Seed(one()))).line();
    let prev = "aa4f1c4e";
    assert_eq!(
        line.replace(&line[line.len() - 66..line.len() - 2], prev),
        concat!(
            r#"{"seq":41,"time":"2024-02-29T15:49:11.050Z","event":"seed","partition":"issuing-ca","#,
            r#""module":"/usr/lib/softhsm/libsofthsm2.so","#,
            r#""token":{"label":"My \"First\" Token","serial":"1234","model":"SoftHSM v2","firmware":null},"#,
            r#""sources":[{"name":"qrypt","request":7,"bytes":48,"tls_version":"TLS 1.3","tls_group":"X25519MLKEM768"}],"#,
            r#""mix_local":false,"bytes":48,"checks":["length","repetition"],"function":"C_SeedRandom","#,
            r#""ckr":"CKR_OK","duration_us":1234,"credited_bits":0,"prev":"aa4f1c4e"}"#
        )
    );
}

#[test]
fn seeds_that_share_a_record_say_what_they_share_once() {
    let line = record(Body::Seed(Seed(many()))).line();
    assert!(line.contains(concat!(
        r#""function":"C_SeedRandom","seeds":["#,
        r#"{"partition":"a","serial":"77","ckr":"CKR_OK","duration_us":1234,"job":1},"#,
        r#"{"partition":"b","serial":null,"ckr":"CKR_OK","duration_us":1234,"job":2}],"credited_bits":0,"#
    )));
    assert_eq!(line.matches("\"sources\"").count(), 1);
    assert!(!line.contains("\"token\""));
}

#[test]
fn an_intent_says_nothing_of_an_outcome() {
    for injection in [one(), many()] {
        let line = record(Body::Intent(Intent(injection))).line();
        assert!(
            !line.contains("ckr") && !line.contains("duration_us"),
            "{line}"
        );
        assert!(!line.contains("credited_bits"), "{line}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let refused = |injection| Refused {
        injection,
        reason: "device".to_owned(),
        because: "C_SeedRandom: CKR_DEVICE_ERROR".to_owned(),
    };
    let began = Began {
        origin: "host/qseed/0123456789abcdef".to_owned(),
        keys: vec!["key".to_owned()],
        version: "0.1.0".to_owned(),
        hardening: BTreeMap::from([("memory".to_owned(), "locked".to_owned())]),
        because: "no ledger yet".to_owned(),
        previous: None,
    };
    let checkpoint = Checkpoint {
        size: 41,
        root: [7; 32],
        note: "host\n41\n…\n\n— host …\n".to_owned(),
    };
    for body in [
        Body::Seed(Seed(one())),
        Body::Seed(Seed(many())),
        Body::Refused(refused(one())),
        Body::Refused(refused(many())),
        Body::Began(began),
        Body::Checkpoint(checkpoint),
    ] {
        let record = record(body);
        let read = Record::parse(record.line().as_bytes()).expect("a record");
        assert_eq!(read, record);
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let good = record(Body::Seed(Seed(one()))).line();
    assert!(Record::parse(good.as_bytes()).is_ok());
    for (what, with) in [
        ("\"credited_bits\":0", "\"credited_bits\":384"),
        ("\"credited_bits\":0,", ""),
        ("\"seq\":41", "\"seq\":41,\"seq\":41"),
        ("\"seq\":41", "\"seq\":-1"),
        ("2024-02-29T15:49:11.050Z", "2024-02-29T15:49:11.050+01:00"),
        ("2024-02-29T15:49:11.050Z", "2024-02-29 15:49:11.050Z"),
        ("2024-02-29T15:49:11.050Z", "2024-02-29T15:49:11.Z"),
        ("\"prev\":\"", "\"prev\":\"0"),
        ("\"partition\":\"issuing-ca\",", ""),
        ("\"event\":\"seed\"", "\"event\":\"refused\""),
        ("}", ""),
    ] {
        assert!(good.contains(what));
        let bad = good.replacen(what, with, 1);
        assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn an_event_of_a_later_version_has_a_readable_head() {
    let line =
        format!(r#"{{"seq":3,"time":"{TIME}","event":"moon-landing","eagle":1,"prev":null}}"#);
    let head = Head::parse(line.as_bytes()).expect("a head");
    assert_eq!((head.seq, head.event.as_str()), (3, "moon-landing"));
    let error = Record::parse(line.as_bytes());
    assert!(matches!(error, Err(RecordError::Event(_))), "{error:?}");
}

#[test]
fn each_line_follows_the_one_before() {
    let mut chain = Chain::new();
    let first = chain.next(TIME, Body::Seed(Seed(one())));
    let copy = chain.clone();
    let second = chain.next(TIME, Body::Seed(Seed(many())));
    let (head, next) = (
        Head::parse(first.as_bytes()),
        Head::parse(second.as_bytes()),
    );
    assert_eq!(head.expect("a head").prev, None);
    let next = next.expect("a head");
    assert_eq!(
        (next.seq, next.prev),
        (1, Some(line_hash(first.as_bytes())))
    );
    assert_eq!(chain.seq(), 2);
    assert_eq!(Some(&line_hash(second.as_bytes())), chain.prev());

    let mut frontier = Frontier::new();
    frontier.append(crate::tree::leaf_hash(first.as_bytes()));
    let mut resumed = Chain::after(frontier, copy.prev().copied());
    assert_eq!(resumed.next(TIME, Body::Seed(Seed(many()))), second);
    assert_eq!(resumed.frontier().root(), chain.frontier().root());
}
