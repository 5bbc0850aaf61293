//! Injections that share a record.

use std::collections::BTreeSet;
use std::time::Duration;

use qseed_engine::{Next, PartitionFact, TokenFault};
use serde_json::{Value, json};

use super::{failure, line, on, planned, stage};
use crate::assemble::Numbers;

#[test]
fn up_to_100_partitions_have_a_record_each_at_once() {
    let mut stage = stage(100, "best-effort");
    for number in 0..100 {
        stage.seeded(number, 1);
        assert_eq!(stage.line()["partition"], format!("p{number}"));
    }
    assert_eq!(stage.records.wake(), None);
}

#[test]
fn seeds_of_150_partitions_share_a_record_within_a_second() {
    let mut stage = stage(150, "best-effort");
    for number in 0..150 {
        stage.seeded(number, 1);
        stage.now = stage.now + Duration::from_millis(2);
    }
    assert_eq!(stage.lines(), Vec::<Value>::new());
    let due = stage.records.wake().expect("a second after the first");
    assert_eq!(due.since_start(), Duration::from_secs(1));
    stage.records.due(stage.now);
    assert_eq!(stage.lines(), Vec::<Value>::new());
    stage.records.due(due);
    let line = stage.line();
    let seeds = line["seeds"].as_array().expect("a list");
    let names: BTreeSet<_> = seeds
        .iter()
        .map(|it| it["partition"].clone().to_string())
        .collect();
    assert_eq!((seeds.len(), names.len()), (150, 150));
    assert_eq!(seeds[3]["ckr"], "CKR_OK");
    assert_eq!(seeds[3]["duration_us"], 1234);
    let id = stage.partition(3).id.0;
    assert_eq!(seeds[3]["serial"], format!("{id:08}"));
    assert_eq!(line["sources"][0]["request"], 1);
    assert_eq!(
        (&line["bytes"], &line["credited_bits"]),
        (&json!(48), &json!(0))
    );
    assert_eq!(line.get("partition"), None);
    assert_eq!(stage.records.wake(), None);
}

#[test]
fn what_is_not_the_same_does_not_share_a_record() {
    let mut stage = stage(150, "best-effort");
    for number in 0..150 {
        if number % 50 == 0 {
            let spent = stage.injection(1, 1, &[("qrypt", 48)]);
            let fault = failure(TokenFault::Device, "C_SeedRandom", 0x30);
            stage.take(
                number,
                PartitionFact::Failed {
                    spent: Some(spent),
                    failure: fault,
                    next: Next::GiveUp,
                    duration: Duration::ZERO,
                },
            );
        } else {
            stage.seeded(number, 1 + number as u64 / 100);
        }
    }
    stage.records.complete();
    let lines = stage.lines();
    let sizes = lines.iter().map(|line| {
        let seeds = line["seeds"].as_array().expect("several").len();
        (
            line["event"].to_string(),
            line["sources"][0]["request"].to_string(),
            seeds,
        )
    });
    let sizes: Vec<_> = sizes.collect();
    let of = |event: &str, request: &str, count| (format!("{event:?}"), request.to_owned(), count);
    assert_eq!(
        sizes,
        [
            of("refused", "1", 3),
            of("seed", "1", 98),
            of("seed", "2", 49)
        ]
    );
}

#[test]
fn a_record_has_500_injections_at_most_and_fits_into_a_line() {
    let mut stage = stage(1100, "required");
    for number in 0..1100 {
        let injection = stage.injection(number as u64, 1, &[("qrypt", 48)]);
        let partition = stage.partition(number);
        stage
            .records
            .intend(stage.now, &partition, &injection, &stage.tokens);
    }
    stage.records.complete_intents();
    let records = stage.records();
    let sizes: Vec<_> = records.iter().map(|it| it.intents.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1100);
    assert!(
        sizes.len() <= 4 && sizes.iter().all(|size| *size <= 500),
        "{sizes:?}"
    );
    for record in records {
        line(record.body);
    }

    let names = (0..300).map(|number| format!("{number:03}{}", "\u{1f600}".repeat(60)));
    let mut stage = on(planned(names, "best-effort", &mut Numbers::default()));
    for number in 0..300 {
        stage.seeded(number, 1);
    }
    stage.records.complete();
    let seeds = stage
        .lines()
        .into_iter()
        .map(|line| line["seeds"].as_array().map_or(1, Vec::len));
    assert_eq!(seeds.sum::<usize>(), 300);
}

#[test]
fn intents_wait_for_no_second() {
    let mut stage = stage(150, "required");
    stage.seeded(0, 1);
    stage.seeded(1, 1);
    for number in 2..150 {
        let injection = stage.injection(number as u64, 1, &[("qrypt", 48)]);
        let partition = stage.partition(number);
        stage
            .records
            .intend(stage.now, &partition, &injection, &stage.tokens);
    }
    stage.records.complete_intents();
    let intents: Vec<_> = stage
        .records()
        .into_iter()
        .flat_map(|it| it.intents)
        .collect();
    assert_eq!(intents.len(), 148);
    assert!(stage.records.wake().is_some(), "the outcomes still wait");
}
