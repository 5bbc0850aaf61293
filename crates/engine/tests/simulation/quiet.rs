//! A world in which nothing goes wrong: figures are exact.

use std::time::Duration;

use qseed_engine::{Combine, Limits, ModuleId, PartitionId, SourceId};

use crate::dice::Dice;
use crate::scenario::{Reach, SECOND, Scenario, TokenPlan};
use crate::world::World;

/// `count` equal partitions on one module and one source, for `periods` periods.
fn quiet(number: u64, count: u32, size: usize, period: Duration, periods: u32) -> Scenario {
    let mut scenario = Scenario::draw(number);
    let mut dice = Dice::new(number);
    scenario.faulty = false;
    scenario.lasts = period * periods + period / 2;
    let settings = &mut scenario.settings;
    settings.combine = Combine::Failover;
    settings.reserve = None;
    settings.record_first = false;
    settings.modules.truncate(1);
    settings.modules[0].concurrency = 8;
    settings.sources.truncate(1);
    settings.sources[0].limits = Limits::QRYPT;
    settings.sources[0].rate_limit = None;
    settings.sources[0].startup_bytes = 0;
    assert_eq!(settings.sources[0].id, SourceId(0));
    let mut partition = settings.partitions[0].clone();
    partition.module = ModuleId(0);
    partition.size = size;
    partition.period = period;
    settings.partitions = (0..count)
        .map(|number| qseed_engine::PartitionSettings {
            id: PartitionId(number),
            ..partition.clone()
        })
        .collect();
    scenario.tokens = (0..count)
        .map(|_| TokenPlan {
            module: ModuleId(0),
            latency: Duration::from_micros(200),
            pin: dice.next(),
        })
        .collect();
    let reach = |(token, plan): (usize, &TokenPlan)| Reach {
        token,
        login: false,
        pin: plan.pin,
    };
    scenario.reaches = scenario.tokens.iter().enumerate().map(reach).collect();
    scenario.slack = 4 * SECOND;
    scenario
}

#[test]
fn partitions_that_are_due_together_share_one_request() {
    let period = 10 * SECOND;
    for (number, count, size) in [(1, 1, 48), (2, 40, 48), (3, 500, 48), (4, 12, 4096)] {
        let summary = World::new(quiet(number, count, size, period, 100))
            .run()
            .expect("nothing goes wrong");
        assert_eq!(summary.seeds, 101 * u64::from(count), "{count} partitions");
        assert_eq!(summary.fetches, 101, "{count} partitions");
        assert!(summary.latest < 4 * SECOND, "{:?}", summary.latest);
    }
}

#[test]
fn a_year_of_seeds_does_not_drift() {
    let summary = World::new(quiet(9, 3, 48, Duration::from_secs(3600), 365 * 24))
        .run()
        .expect("nothing goes wrong");
    assert_eq!(summary.seeds, 3 * (365 * 24 + 1));
    assert_eq!(summary.fetches, 365 * 24 + 1);
    assert_eq!(summary.workers, 1);
}
