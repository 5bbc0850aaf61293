//! SIGKILL at random instants, under load.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, intended};
use crate::support::daemon::is_event;
use crate::support::for_each_case;

/// How many kills there are: 100, or as many as `QSEED_KILLS` says.
fn kills() -> usize {
    let number = std::env::var("QSEED_KILLS").ok();
    number.map_or(100, |number| number.parse().expect("a number"))
}

type Counts = BTreeMap<String, usize>;

fn count(partitions: impl IntoIterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for partition in partitions {
        *counts.entry(partition).or_default() += 1;
    }
    counts
}

#[test]
fn a_kill_at_any_instant_leaves_a_ledger_that_verifies_and_has_each_acknowledged_seed() {
    const TOKENS: u32 = 10;
    const AT_ONCE: usize = 4;
    let cases = [
        ("required", 1),
        ("required", 2),
        ("best-effort", 3),
        ("best-effort", 4),
    ];
    let each = kills().div_ceil(cases.len());
    for_each_case(&cases, AT_ONCE, |(mode, seed)| {
        let required = *mode == "required";
        let rotate = json!({ "size": "64KiB", "keep": 1000 });
        let scene = Scene::new(TOKENS, &json!({ "mode": mode, "rotate": rotate }));
        let (mut dice, mut pushed) = (0x9e37_79b9_7f4a_7c15_u64 ^ seed, Vec::new());
        for kill in 0..each {
            let mut qseed = scene.site.start();
            // Starts, first seeds, and the full load of a second period.
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            std::thread::sleep(Duration::from_micros(dice % 1_500_000));
            qseed.signal(rustix::process::Signal::KILL);
            qseed.wait_exit();
            for line in qseed.log.to_the_end() {
                assert!(!line.contains("cannot be continued"), "kill {kill}: {line}");
                if is_event(&line, "seeded") {
                    let line: Value = serde_json::from_str(&line).expect("it was just read");
                    pushed.push(line["partition"].as_str().expect("a name").to_owned());
                }
            }
            if !scene.ledger.current().exists() {
                continue;
            }
            let checked = scene.ledger.check();
            assert_eq!(
                checked.records[0].seq, 0,
                "kill {kill}: the origin is another one"
            );
            if required {
                let recorded = count(checked.seeded());
                for (partition, pushed) in count(pushed.clone()) {
                    let recorded = recorded.get(&partition).copied().unwrap_or(0);
                    assert!(recorded >= pushed, "kill {kill}: {recorded} of {pushed}");
                }
            }
        }
        let ended = scene.site.once();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let checked = scene.ledger.check();
        let last = checked.records.last();
        assert!(checked.is_signed_to_the_end(), "{last:?}");
        let began = checked.events().iter().filter(|it| **it == "began").count();
        assert_eq!(began, 1, "one origin through all of it");
        let injected = count(
            scene
                .faulty
                .injected()
                .iter()
                .map(|it| format!("p{}", it.token)),
        );
        assert!(
            injected.values().sum::<usize>() > each,
            "there was some load"
        );
        if required {
            let intended = count(intended(&checked));
            for (partition, injected) in injected {
                assert!(intended[&partition] >= injected, "{partition}");
            }
        }
        let seen = (
            checked.seeded().len(),
            pushed.len(),
            scene.ledger.older().len(),
        );
        println!("{mode}: {each} kills, (recorded, logged, rotated) = {seen:?}");
    });
}
