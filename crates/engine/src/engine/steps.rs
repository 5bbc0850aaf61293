//! No event costs more where there are more partitions.

use std::time::Duration;

use qseed_entropy::Entropy;

use super::{Engine, Start};
use crate::{
    Action, CallEvent, Combine, Event, Intent, Limits, ModuleId, ModuleSettings, Moment,
    PartitionId, PartitionSettings, PartitionState, Settings, SourceId, SourceSettings,
};

fn settings(partitions: u32, record_first: bool) -> Settings {
    let partition = |number| PartitionSettings {
        id: PartitionId(number),
        name: format!("p{number}").into(),
        module: ModuleId(0),
        size: 48,
        period: Duration::from_secs(10),
    };
    Settings {
        sources: vec![SourceSettings {
            id: SourceId(0),
            name: "source".into(),
            limits: Limits::QRYPT,
            rate_limit: None,
            service: 0,
            startup_bytes: 0,
            revision: 0,
        }],
        combine: Combine::Failover,
        mix_local: false,
        record_first,
        reserve: None,
        modules: vec![ModuleSettings {
            id: ModuleId(0),
            name: "module".into(),
            deadline: Duration::from_secs(30),
            concurrency: 16,
            revision: 0,
        }],
        partitions: (0..partitions).map(partition).collect(),
    }
}

/// Seeds every partition twice. Returns the seeds, and the partitions that walks came by, once the
/// configuration was taken in.
fn seed(partitions: u32, record_first: bool) -> (usize, usize) {
    let mut now = Moment::START;
    let settings = settings(partitions, record_first);
    let mut engine = Engine::new(Start {
        settings,
        now,
        seed: 1,
        good_pins: Vec::new(),
        once: false,
        sent_before: Vec::new(),
    });
    let configured = engine.fleet.partitions().steps();
    let (mut seeds, mut delivered, mut reached) = (0, 0_u64, false);
    while now < Moment::new(Duration::from_secs(15)) {
        while let Some(action) = engine.next_action() {
            let event = match action {
                Action::StartWorker { worker, .. } => Event::WorkerReady(worker),
                Action::Open { worker, partition } => Event::Call {
                    worker,
                    partition,
                    event: CallEvent::Opened(Ok(())),
                },
                Action::Seed {
                    worker,
                    partition,
                    job,
                    ..
                } => {
                    seeds += 1;
                    Event::Call {
                        worker,
                        partition,
                        event: CallEvent::Seeded {
                            job,
                            result: Ok(()),
                        },
                    }
                }
                Action::Fetch {
                    source,
                    request,
                    shape,
                    ..
                } => {
                    let blocks = (0..=shape.bytes() / 8).map(|block| {
                        let number = delivered + block as u64 + 1;
                        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
                    });
                    let mut bytes: Vec<_> = blocks.flat_map(u64::to_le_bytes).collect();
                    bytes.truncate(shape.bytes());
                    delivered += 1 << 20;
                    Event::Fetched {
                        source,
                        request,
                        entropy: Entropy::new(bytes),
                        sent: 1,
                    }
                }
                Action::RecordIntent {
                    partition,
                    injection,
                } => {
                    let job = injection.job;
                    Event::IntentsRecorded {
                        intents: vec![Intent { partition, job }],
                        recorded: true,
                    }
                }
                _ => continue,
            };
            engine.handle(now, event);
            // As the daemon does after each event.
            reached |= engine.count(PartitionState::Seeded) == partitions as usize;
            while engine.next_fact().is_some() {}
        }
        now = engine.wake().expect("partitions are due again").max(now);
        engine.handle(now, Event::Tick);
    }
    assert!(reached);
    (seeds, engine.fleet.partitions().steps() - configured)
}

#[test]
fn starting_and_seeding_ten_thousand_partitions_walks_over_none_of_them() {
    for partitions in [100, 10_000] {
        for record_first in [false, true] {
            let (seeds, steps) = seed(partitions, record_first);
            assert_eq!(seeds, 2 * partitions as usize);
            assert_eq!(steps, 0, "{partitions} partitions");
        }
    }
}
