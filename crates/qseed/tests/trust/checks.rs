//! Services that lie now and then: nothing that failed a check is ever injected, and what is good
//! in between is.

use qseed_entropy_service::{Fault, Log};
use serde_json::json;

use crate::stage::{SIZE, Stage, events, source};
use crate::support::accounts::assert_delivered_once;
use crate::support::{PATIENCE, for_each_case, service};

/// One liar: the size of its seeds, how many partitions there are, and its lies in turn.
struct Liar {
    size: usize,
    partitions: u32,
    lies: Vec<Fault>,
}

fn liars() -> Vec<Liar> {
    vec![
        // Single seeds, in which a lie has little room.
        Liar {
            size: SIZE,
            partitions: 1,
            lies: vec![
                Fault::AllZero,
                Fault::Replay,
                Fault::Text,
                Fault::Biased(100),
                Fault::RepeatedBlock,
            ],
        },
        // Shared answers: one block a seed.
        Liar {
            size: SIZE,
            partitions: 20,
            lies: vec![
                Fault::RepeatedBlock,
                Fault::Biased(60),
                Fault::Replay,
                Fault::AllZero,
                Fault::Text,
            ],
        },
        // Long seeds of several blocks.
        Liar {
            size: 4096,
            partitions: 1,
            lies: vec![
                Fault::Biased(50),
                Fault::Text,
                Fault::ShortBlock,
                Fault::RepeatedBlock,
                Fault::Replay,
            ],
        },
    ]
}

/// Rounds through all lies.
const ROUNDS: usize = 2;

#[test]
fn nothing_that_failed_a_check_is_ever_injected() {
    for_each_case(&liars(), 3, |liar| {
        let service = service();
        let stage =
            Stage::with_partitions(&[source("sim", &service)], liar.partitions).with(|config| {
                for partition in config["partitions"].as_array_mut().expect("a list") {
                    partition["size"] = json!(liar.size);
                }
            });
        let qseed = stage.site.start();
        stage.wait_more_seeds(1);
        for lie in (0..ROUNDS).flat_map(|_| &liar.lies) {
            let lied = |log: &Log| {
                let answers = log.served().iter();
                answers.filter(|answer| !answer.faults.is_empty()).count()
            };
            let before = service.log(lied);
            let known = qseed.log.count();
            service.fault_next(lie.clone(), 1);
            assert!(
                service.wait_for(|log| lied(log) > before, PATIENCE),
                "{lie:?}"
            );
            // Noticed and over, with a seed of a good answer, before the next lie.
            qseed.event_from(known, "source-recovered");
            stage.wait_more_seeds(1);
        }
        let log = qseed.stop();
        let seeds = stage.seeds();
        assert!(seeds.iter().all(|seed| seed.len() == liar.size));
        assert_delivered_once(&service, seeds.iter().map(Vec::as_slice));
        let said: Vec<_> = events(&log, "check-failed")
            .iter()
            .map(|line| line["check"].as_str().unwrap_or_default().to_owned())
            .collect();
        println!("{} seeds of {} bytes: {said:?}", seeds.len(), liar.size);
    });
}
