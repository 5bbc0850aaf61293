//! Facts by hand, and the records that they come to.

mod gathering;

use std::time::Duration;

use qseed_engine::checks::Check;
use qseed_engine::{
    Fact, Injection, JobId, MadeOf, ModuleId, Moment, Named, Next, PartitionFact, PartitionId,
    PartitionState, Portion, Process, RequestId, Returned, SourceFact, SourceId, TokenFailure,
    TokenFault, WorkerFact, WorkerFailure, WorkerId, WorkerRole,
};
use qseed_http::Link;
use qseed_ledger::record::{Body, Chain, MAX_LINE};
use qseed_model::Version;
use qseed_tokens::directory::TokenInfo;
use serde_json::{Value, json};

use super::{Records, ToRecord, configured};
use crate::assemble::{Numbers, Plan};
use crate::say::Tokens;

const MODULE: &str = "/usr/lib/vendor.so";

fn plan(partitions: usize, mode: &str) -> Plan {
    let names = (0..partitions).map(|number| format!("p{number}"));
    planned(names, mode, &mut Numbers::default())
}

fn planned(names: impl Iterator<Item = String>, mode: &str, numbers: &mut Numbers) -> Plan {
    let partitions: Vec<_> = names
        .enumerate()
        .map(|(slot, name)| json!({ "name": name, "slot": slot }))
        .collect();
    let text = json!({
        "sources": [
            { "name": "qrypt", "type": "qrypt", "access_token": "file:/t" },
            { "name": "card", "type": "device", "path": "/dev/qrandom0" },
        ],
        "audit": { "mode": mode },
        "defaults": { "module": MODULE, "login": "none" },
        "partitions": partitions,
    });
    let loaded = qseed_config::parse(&text.to_string(), "f").expect("a configuration");
    Plan::new(loaded.config, numbers)
}

/// A consumer with partitions, each with a token.
struct Stage {
    plan: Plan,
    records: Records,
    tokens: Tokens,
    now: Moment,
}

fn stage(partitions: usize, mode: &str) -> Stage {
    on(plan(partitions, mode))
}

fn on(plan: Plan) -> Stage {
    let token = |id: &PartitionId| TokenInfo {
        label: format!("token {}", id.0),
        serial: format!("{:08}", id.0),
        model: "Luna".to_owned(),
        firmware: Version { major: 7, minor: 4 },
        ..TokenInfo::default()
    };
    let mut records = Records::new(&plan);
    let link = Link {
        version: "TLSv1.3",
        group: "X25519MLKEM768".to_owned(),
        certificate_expires: None,
    };
    let sources = [("qrypt", Some(&link)), ("card", None)];
    for (name, link) in sources {
        let id = source(&plan, name);
        records.answered(id.id, link);
        let delivered = SourceFact::Delivered {
            request: RequestId(1),
            bytes: 96,
            checks: vec![Check::Length, Check::Repetition],
            duration: Duration::from_millis(20),
        };
        records.take(Moment::START, &Fact::Source(id, delivered), &Tokens::new());
    }
    Stage {
        records,
        tokens: plan.partitions.keys().map(|id| (*id, token(id))).collect(),
        plan,
        now: Moment::START,
    }
}

fn source(plan: &Plan, name: &str) -> Named<SourceId> {
    let mut sources = plan.sources.iter();
    let (id, _) = sources
        .find(|(_, it)| it.config.name == name)
        .expect("configured");
    let name = name.into();
    Named { id: *id, name }
}

impl Stage {
    fn partition(&self, number: usize) -> Named<PartitionId> {
        let mut partitions = self.plan.partitions.iter();
        let (id, partition) = partitions.nth(number).expect("configured");
        let name = partition.name.as_str().into();
        Named { id: *id, name }
    }

    /// A seed of 48 bytes of these sources, each with the bytes that it gave.
    fn injection(&self, job: u64, request: u64, of: &[(&str, usize)]) -> Injection {
        let portion = |(name, bytes): &(&str, usize)| Portion {
            source: source(&self.plan, name).id,
            request: RequestId(request),
            offset: 0,
            bytes: *bytes,
        };
        Injection {
            job: JobId(job),
            bytes: 48,
            made_of: MadeOf {
                portions: of.iter().map(portion).collect(),
                mix_local: false,
            },
        }
    }

    fn take(&mut self, number: usize, fact: PartitionFact) -> bool {
        let fact = Fact::Partition(self.partition(number), fact);
        self.records.take(self.now, &fact, &self.tokens)
    }

    fn seeded(&mut self, number: usize, request: u64) -> bool {
        let injection = self.injection(number as u64, request, &[("qrypt", 48)]);
        self.take(number, seeded(injection))
    }

    fn records(&mut self) -> Vec<ToRecord> {
        std::iter::from_fn(|| self.records.next()).collect()
    }

    /// The records as they stand in the file, without what the chain adds.
    fn lines(&mut self) -> Vec<Value> {
        let records = self.records();
        records.into_iter().map(|it| line(it.body)).collect()
    }

    fn line(&mut self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

fn line(body: Body) -> Value {
    let text = Chain::new().next("2024-02-29T15:49:11.050Z", body);
    assert!(text.len() <= MAX_LINE, "{} bytes", text.len());
    let mut line: Value = serde_json::from_str(&text).expect("JSON");
    let fields = line.as_object_mut().expect("an object");
    for of_the_chain in ["seq", "time", "prev"] {
        fields.remove(of_the_chain);
    }
    line
}

fn seeded(injection: Injection) -> PartitionFact {
    PartitionFact::Seeded {
        injection,
        duration: Duration::from_micros(1234),
        gap: None,
        was_late: false,
    }
}

fn failure(fault: TokenFault, function: &'static str, value: u64) -> TokenFailure {
    TokenFailure {
        fault,
        text: "it failed".to_owned(),
        returned: Some(Returned { function, value }),
    }
}

#[test]
fn a_seed_is_a_record_with_all_that_is_known_of_it() {
    let mut stage = stage(1, "best-effort");
    let injection = stage.injection(7, 1, &[("qrypt", 48)]);
    assert!(
        !stage.take(0, seeded(injection)),
        "the log waits for nothing"
    );
    let id = stage.partition(0).id.0;
    assert_eq!(
        stage.line(),
        json!({
            "event": "seed", "partition": "p0", "module": MODULE,
            "token": {
                "label": format!("token {id}"), "serial": format!("{id:08}"),
                "model": "Luna", "firmware": "7.4",
            },
            "sources": [{
                "name": "qrypt", "request": 1, "bytes": 48,
                "tls_version": "TLSv1.3", "tls_group": "X25519MLKEM768",
            }],
            "mix_local": false, "bytes": 48,
            "checks": ["form", "base64", "length", "repetition"],
            "function": "C_SeedRandom", "ckr": "CKR_OK", "duration_us": 1234,
            "credited_bits": 0,
        })
    );
}

#[test]
fn failover_and_xor_and_mix_local_tell_the_truth() {
    let mut stage = stage(1, "best-effort");
    let mut origins = |of: &[(&str, usize)], mix_local| {
        let mut injection = stage.injection(1, 1, of);
        injection.made_of.mix_local = mix_local;
        stage.take(0, seeded(injection));
        let line = stage.line();
        let sources = line["sources"].as_array().expect("a list").iter();
        let sources: Vec<_> = sources
            .map(|it| {
                (
                    it["name"].clone(),
                    it["bytes"].clone(),
                    it["tls_group"].clone(),
                )
            })
            .collect();
        (sources, line["mix_local"].clone(), line["checks"].clone())
    };
    let group = json!("X25519MLKEM768");
    let (sources, mixed, checks) = origins(&[("qrypt", 40), ("card", 8)], false);
    let of = |name: &str, bytes: usize, group: &Value| (json!(name), json!(bytes), group.clone());
    assert_eq!(
        sources,
        [of("qrypt", 40, &group), of("card", 8, &Value::Null)]
    );
    assert_eq!(mixed, json!(false));
    assert_eq!(
        checks,
        json!(["length", "repetition"]),
        "the card's bytes had no form and no base64"
    );
    let (sources, mixed, _) = origins(&[("qrypt", 48), ("card", 48)], true);
    assert_eq!(
        sources,
        [of("qrypt", 48, &group), of("card", 48, &Value::Null)]
    );
    assert_eq!(mixed, json!(true));
}

#[test]
fn a_seed_of_more_requests_than_fit_into_a_line_still_names_each_source() {
    let mut stage = stage(1, "best-effort");
    let mut injection = stage.injection(1, 1, &[("qrypt", 32), ("card", 32)]);
    let portions = injection.made_of.portions.clone();
    injection.made_of.portions = (0..1024).flat_map(|_| portions.clone()).collect();
    stage.take(0, seeded(injection));
    let line = stage.line();
    let sources = line["sources"].as_array().expect("a list").iter();
    let bytes: u64 = sources.map(|it| it["bytes"].as_u64().expect("bytes")).sum();
    assert_eq!(bytes, 65_536);
}

#[test]
fn a_refusal_names_the_function_and_its_return_value() {
    let mut stage = stage(1, "best-effort");
    let spent = stage.injection(3, 1, &[("qrypt", 48)]);
    let failed = |spent, failure| PartitionFact::Failed {
        spent,
        failure,
        next: Next::TryAgain(Duration::from_secs(1)),
        duration: Duration::from_millis(2),
    };
    let of_seed = failure(TokenFault::SeedingRefused, "C_SeedRandom", 0x120);
    stage.take(0, failed(Some(spent), of_seed));
    let line = stage.line();
    assert_eq!(line["event"], "refused");
    assert_eq!(line["function"], "C_SeedRandom");
    assert_eq!(line["ckr"], "CKR_RANDOM_SEED_NOT_SUPPORTED");
    assert_eq!(
        (&line["bytes"], &line["duration_us"]),
        (&json!(48), &json!(2000))
    );
    assert_eq!(line["sources"][0]["request"], 1);
    assert_eq!(line["reason"], "seeding-refused");

    stage.take(
        0,
        failed(None, failure(TokenFault::PinRefused, "C_Login", 0xa0)),
    );
    let line = stage.line();
    assert_eq!(line["function"], "C_Login");
    assert_eq!(line["ckr"], "CKR_PIN_INCORRECT");
    assert_eq!((&line["bytes"], &line["sources"]), (&json!(0), &json!([])));
    assert_eq!(line["checks"], json!([]));
}

#[test]
fn a_seed_without_an_answer_is_recorded_as_such() {
    let mut stage = stage(1, "required");
    for (given, reason, function) in [
        (true, "no-answer", json!("C_SeedRandom")),
        (false, "dropped", Value::Null),
    ] {
        let injection = stage.injection(5, 1, &[("qrypt", 48)]);
        stage.take(0, PartitionFact::SeedLost { injection, given });
        let line = stage.line();
        assert_eq!(line["event"], "refused");
        assert_eq!((&line["reason"], &line["job"]), (&json!(reason), &json!(5)));
        assert_eq!((&line["ckr"], &line["function"]), (&Value::Null, &function));
    }
}

#[test]
fn in_required_mode_an_intent_and_its_outcome_share_a_number_and_the_log_waits() {
    let mut stage = stage(1, "required");
    let injection = stage.injection(9, 1, &[("qrypt", 48)]);
    let partition = stage.partition(0);
    stage
        .records
        .intend(stage.now, &partition, &injection, &stage.tokens);
    let intent = stage.records().remove(0);
    assert_eq!(intent.intents.len(), 1);
    assert_eq!(
        (intent.intents[0].partition, intent.intents[0].job),
        (partition.id, JobId(9))
    );
    let intent = line(intent.body);
    assert_eq!(
        (&intent["event"], &intent["job"]),
        (&json!("intent"), &json!(9))
    );
    assert!(intent["token"]["serial"].is_string());
    assert_eq!(intent.get("ckr"), None);

    assert!(stage.take(0, seeded(injection)));
    let seed = stage.records().remove(0);
    assert!(matches!(
        &seed.facts[..],
        [Fact::Partition(_, PartitionFact::Seeded { .. })]
    ));
    assert_eq!(line(seed.body)["job"], 9);
}

#[test]
fn states_openings_rejections_and_workers_have_records() {
    let mut stage = stage(1, "best-effort");
    let changed = |before| PartitionFact::StateChanged {
        state: PartitionState::Late,
        before,
    };
    stage.take(0, changed(None));
    assert_eq!(
        stage.lines(),
        Vec::<Value>::new(),
        "a new partition changed nothing"
    );
    stage.take(0, changed(Some(PartitionState::Seeded)));
    let late = json!({ "event": "state", "partition": "p0", "state": "late", "before": "seeded" });
    assert_eq!(stage.line(), late);

    let duration = Duration::from_millis(3);
    stage.take(0, PartitionFact::Opened { duration });
    let line = stage.line();
    assert_eq!(
        (&line["event"], &line["module"]),
        (&json!("opened"), &json!(MODULE))
    );
    assert_eq!(line["token"]["model"], "Luna");

    let rejected = SourceFact::DeliveryRejected {
        request: RequestId(4),
        check: Check::SeenBefore,
        bytes: 96,
        in_a_row: 1,
        next: Next::GiveUp,
    };
    let fact = Fact::Source(source(&stage.plan, "qrypt"), rejected);
    stage.records.take(stage.now, &fact, &stage.tokens);
    let rejected = json!({
        "event": "rejected", "source": "qrypt", "request": 4, "check": "seen-before", "bytes": 96,
    });
    assert_eq!(stage.line(), rejected);

    let process = Process {
        module: Named {
            id: ModuleId(1),
            name: MODULE.into(),
        },
        role: WorkerRole::Common,
        worker: WorkerId(1),
    };
    let failed = WorkerFact::Failed {
        failure: WorkerFailure::Hung {
            partition: Some(stage.partition(0)),
            deadline: Duration::from_secs(30),
        },
        next: Next::RestartWorker,
    };
    let fact = Fact::Worker(process, failed);
    stage.records.take(stage.now, &fact, &stage.tokens);
    let line = stage.line();
    assert_eq!(
        (&line["event"], &line["state"]),
        (&json!("worker"), &json!("failed"))
    );
    assert_eq!(line["because"], "a call for p0 took longer than 30 s");
}

#[test]
fn a_partition_that_a_reload_removed_still_has_its_module() {
    let mut numbers = Numbers::default();
    let names = |count: usize| (0..count).map(|number| format!("p{number}"));
    let mut stage = on(planned(names(2), "required", &mut numbers));
    let gone = stage.partition(1);
    let injection = stage.injection(1, 1, &[("qrypt", 48)]);
    let plan = planned(names(1), "required", &mut numbers);
    stage.records.configure(&plan);
    let lost = PartitionFact::SeedLost {
        injection,
        given: false,
    };
    let fact = Fact::Partition(gone.clone(), lost);
    stage.records.take(stage.now, &fact, &stage.tokens);
    assert_eq!(stage.line()["module"], MODULE);
    let fact = Fact::Partition(gone, PartitionFact::Removed);
    stage.records.take(stage.now, &fact, &stage.tokens);
    assert_eq!(stage.records.modules.len(), 1);
}

#[test]
fn the_configuration_is_recorded_without_its_secrets() {
    assert_eq!(
        line(configured(&plan(3, "required"))),
        json!({
            "event": "configured", "partitions": 3, "combine": "failover", "mix_local": false,
            "sources": [
                { "name": "qrypt", "url": "https://api-eus.qrypt.com" },
                { "name": "card", "url": "/dev/qrandom0" },
            ],
        })
    );
}
