//! What a seed number stands for: a configuration, tokens, how long it lasts and what goes wrong.

use std::time::Duration;

use qseed_engine::{
    Combine, Limits, ModuleId, ModuleSettings, PartitionId, PartitionSettings, Rate, Reserve,
    Settings, SourceId, SourceSettings,
};

use crate::dice::Dice;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// The slowest answer of a healthy source.
pub(crate) const SLOWEST_ANSWER: Duration = Duration::from_secs(3);
/// An exchange that hangs is given up after this time.
pub(crate) const EXCHANGE_TIME_OUT: Duration = Duration::from_secs(10);

/// What the operator configured of a partition beside what the engine knows.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// Its token's place in [`Scenario::tokens`].
    pub(crate) token: usize,
    /// Whether it logs in.
    pub(crate) login: bool,
    /// The PIN in the configuration.
    pub(crate) pin: u64,
}

/// A token in a module's reach.
#[derive(Clone, Debug)]
pub(crate) struct TokenPlan {
    pub(crate) module: ModuleId,
    /// How long one call takes.
    pub(crate) latency: Duration,
    pub(crate) pin: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) number: u64,
    pub(crate) settings: Settings,
    pub(crate) summaries: bool,
    pub(crate) reaches: Vec<Reach>,
    pub(crate) tokens: Vec<TokenPlan>,
    pub(crate) lasts: Duration,
    /// Whether anything goes wrong.
    pub(crate) faulty: bool,
    /// What a seed may be late by while nothing is wrong with whatever serves its partition.
    pub(crate) slack: Duration,
}

impl Scenario {
    pub(crate) fn draw(number: u64) -> Self {
        let mut dice = Dice::new(number.wrapping_mul(0x9e37_79b9) ^ 0x5eed);
        let count = match dice.below(20) {
            0 => 1,
            1 => dice.between(800, 3000),
            2..=5 => dice.between(40, 300),
            _ => dice.between(2, 40),
        };
        let modules = modules(&mut dice);
        let sources = sources(&mut dice);
        let mut partitions = partitions(&mut dice, count, &modules);
        slow_down(&mut partitions, &sources);
        let (tokens, reaches) = tokens(&mut dice, &partitions, &modules);
        let combine = if sources.len() > 1 && dice.one_in(2) {
            Combine::Xor
        } else {
            Combine::Failover
        };
        let reserve = dice.one_in(3).then(|| Reserve {
            cover: dice.magnitude(5 * SECOND, 20 * MINUTE),
            max_age: dice.magnitude(MINUTE, 2 * HOUR),
        });
        let settings = Settings {
            sources,
            combine,
            mix_local: false,
            // From dice of its own, so that the rest of a scenario stays what it was.
            record_first: Dice::new(number ^ 0x001e_d6e7).one_in(3),
            reserve,
            modules,
            partitions,
        };
        let summaries = dice.one_in(2);
        let lasts = lasts(&mut dice, &settings);
        let faulty = !dice.one_in(8);
        let slack = slack(&settings);
        Self {
            number,
            settings,
            summaries,
            reaches,
            tokens,
            lasts,
            faulty,
            slack,
        }
    }
}

fn modules(dice: &mut Dice) -> Vec<ModuleSettings> {
    let count = dice.between(1, 5);
    (0..count)
        .map(|number| ModuleSettings {
            id: ModuleId(u32::try_from(number).expect("five at most")),
            name: format!("module{number}.so").into(),
            deadline: *dice.pick(&[5 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND]),
            concurrency: u16::try_from(dice.between(1, 16)).expect("16 at most"),
            revision: 0,
        })
        .collect()
}

fn sources(dice: &mut Dice) -> Vec<SourceSettings> {
    let count = dice.between(1, 3);
    (0..count)
        .map(|number| SourceSettings {
            id: SourceId(u32::try_from(number).expect("three at most")),
            name: format!("source{number}").into(),
            limits: *dice.pick(&[
                Limits::QRYPT,
                Limits::QRYPT,
                Limits::QRYPT_KIB,
                Limits {
                    max_count: 3,
                    ..Limits::QRYPT_KIB
                },
                Limits {
                    min_size: 1,
                    max_size: 512,
                    min_count: 1,
                    max_count: 16,
                },
                Limits {
                    min_size: 1,
                    max_size: 65_536,
                    min_count: 1,
                    max_count: 1,
                },
                Limits {
                    min_size: 32,
                    max_size: 256,
                    min_count: 3,
                    max_count: 64,
                },
            ]),
            rate_limit: *dice.pick(&[
                None,
                Some(rate(30, 10)),
                Some(rate(30, 10)),
                Some(rate(5, 10)),
                Some(rate(2, 5)),
                Some(rate(1, 2)),
            ]),
            service: 0,
            startup_bytes: *dice.pick(&[0, 0, 0, 256, 1024]),
            revision: 0,
        })
        .collect()
}

fn rate(requests: u32, secs: u64) -> Rate {
    Rate {
        requests,
        per: Duration::from_secs(secs),
    }
}

fn partitions(dice: &mut Dice, count: u64, modules: &[ModuleSettings]) -> Vec<PartitionSettings> {
    let size = |dice: &mut Dice| match dice.below(40) {
        0 => dice.between(1, 16),
        1..=3 => dice.between(1, 512),
        4 if count < 100 => dice.between(1, 8192),
        5 if count < 10 => dice.between(1, 65_536),
        _ => 48,
    };
    let period = |dice: &mut Dice| {
        let shortest = if count > 300 { 10 * SECOND } else { SECOND };
        let drawn = dice.magnitude(shortest, DAY).as_secs();
        *dice.pick(&[drawn, 10, 10, 60, 3600])
    };
    let (usual_size, usual_period) = (size(dice), period(dice));
    (0..count)
        .map(|number| PartitionSettings {
            id: PartitionId(u32::try_from(number).expect("thousands")),
            name: format!("partition{number}").into(),
            module: dice.pick(modules).id,
            size: usize::try_from(if dice.one_in(5) {
                size(dice)
            } else {
                usual_size
            })
            .expect("64 KiB at most"),
            period: Duration::from_secs(if dice.one_in(5) {
                period(dice)
            } else {
                usual_period
            }),
        })
        .collect()
}

/// Bytes and requests that a source can serve: what one request brings, and how long it takes.
fn service(source: &SourceSettings) -> (u64, Duration) {
    let limits = source.limits;
    let bytes = u64::from(limits.max_size) * u64::from(limits.max_count);
    let spacing = source
        .rate_limit
        .map_or(Duration::ZERO, |rate| 2 * rate.per / rate.requests);
    (bytes, spacing.max(SLOWEST_ANSWER))
}

/// The time in which each source can bring a seed for every partition.
fn time_for_all(partitions: &[PartitionSettings], source: &SourceSettings) -> Duration {
    let all: u64 = partitions.iter().map(|p| p.size as u64).sum();
    let (bytes, spacing) = service(source);
    // Sizes that differ take a request more now and then.
    spacing * u32::try_from(all / bytes + 3).unwrap_or(u32::MAX)
}

/// Lengthens the periods until every source alone can serve them all: what happens when it cannot
/// is a question of fairness, not of promises.
fn slow_down(partitions: &mut [PartitionSettings], sources: &[SourceSettings]) {
    let load = |partitions: &[PartitionSettings], source: &SourceSettings| {
        let (bytes, spacing) = service(source);
        let a_day: u64 = partitions
            .iter()
            .map(|p| p.size as u64 * (86_400 / p.period.as_secs().max(1) + 1))
            .sum();
        (a_day / bytes + 1) * u64::try_from(spacing.as_millis()).expect("seconds")
    };
    while sources
        .iter()
        .any(|source| load(partitions, source) > 86_400_000 / 4)
    {
        for partition in partitions.iter_mut() {
            partition.period *= 2;
        }
    }
}

fn tokens(
    dice: &mut Dice,
    partitions: &[PartitionSettings],
    modules: &[ModuleSettings],
) -> (Vec<TokenPlan>, Vec<Reach>) {
    let mut tokens: Vec<TokenPlan> = Vec::new();
    let mut reaches = Vec::new();
    for partition in partitions {
        let siblings: Vec<_> = (0..tokens.len())
            .filter(|token| tokens[*token].module == partition.module)
            .collect();
        let shared = (!siblings.is_empty() && dice.one_in(15)).then(|| *dice.pick(&siblings));
        let token = shared.unwrap_or_else(|| {
            tokens.push(TokenPlan {
                module: partition.module,
                latency: Duration::ZERO,
                pin: dice.next(),
            });
            tokens.len() - 1
        });
        reaches.push(Reach {
            token,
            login: !dice.one_in(4),
            pin: tokens[token].pin,
        });
    }
    for module in modules {
        // So fast that the module keeps up, and that opening all takes seconds, not minutes.
        let members = partitions.iter().filter(|p| p.module == module.id);
        let load: f64 = members
            .clone()
            .map(|p| 0.2 + 1.0 / p.period.as_secs_f64())
            .sum();
        let fastest = f64::from(module.concurrency) / (8.0 * load.max(0.01));
        let slowest = Duration::from_secs_f64(fastest.clamp(0.000_2, 0.2));
        for token in tokens.iter_mut().filter(|token| token.module == module.id) {
            token.latency = dice.duration(Duration::from_micros(100), slowest);
        }
    }
    (tokens, reaches)
}

fn lasts(dice: &mut Dice, settings: &Settings) -> Duration {
    let injections = match dice.below(40) {
        0 => 400_000.0,
        1..=5 => 60_000.0,
        _ => 8_000.0,
    };
    let a_second = |of: &dyn Fn(&PartitionSettings) -> f64| -> f64 {
        let rates = settings.partitions.iter();
        rates.map(|p| of(p) / p.period.as_secs_f64()).sum()
    };
    let by_count = injections / a_second(&|_| 1.0);
    #[expect(clippy::cast_precision_loss, reason = "64 KiB at most")]
    let by_bytes = 48e6 / a_second(&|p| p.size as f64);
    let seconds = by_count.min(by_bytes).clamp(300.0, 6.0 * 365.0 * 86_400.0);
    Duration::from_secs_f64(seconds)
}

fn slack(settings: &Settings) -> Duration {
    let fetching = settings.sources.iter().map(|source| {
        let rate = source.rate_limit.map_or(Duration::ZERO, |rate| rate.per);
        2 * time_for_all(&settings.partitions, source)
            + 2 * rate
            + EXCHANGE_TIME_OUT
            + SLOWEST_ANSWER
    });
    // Opening everything, a worker that is asked to end before, the rest.
    fetching.sum::<Duration>() + 45 * SECOND
}
