//! Whether seeds come once a period, judged by where they lie on the grid of periods.
//!
//! A busy machine makes any seed late, and a late one says nothing about the next. What stays is the grid:
//! most seeds lie at the same place of their period, or the cadence has drifted.

use std::time::Duration;

use super::faulty::Injected;

/// The period of all partitions here, in nanoseconds.
const PERIOD: u64 = 1_000_000_000;

/// How far apart in their periods seeds may lie that count as on one grid.
const WIDTH: u64 = PERIOD / 5;

/// Asserts that most of a token's seeds lie on one grid and that there are no more of them than periods.
/// The token's own record has the times. Returns the longest gap, which nothing is judged by.
pub fn assert_cadence(seeds: &[Injected], token: u32) -> Duration {
    let times: Vec<u64> = seeds
        .iter()
        .filter(|seed| seed.token == token)
        .map(|seed| seed.ns)
        .collect();
    assert!(times.len() > 10, "token {token}: {} seeds", times.len());
    // The first seed comes when it can; the cadence begins behind it.
    let (first, later) = (times[0], &times[1..]);
    let on_grid = on_one_grid(later);
    assert!(
        2 * on_grid > later.len(),
        "token {token}: {on_grid} of {} seeds lie on one grid: {later:?}",
        later.len()
    );
    let periods = (later[later.len() - 1] - first) / PERIOD;
    assert!(
        times.len() as u64 <= periods + 2,
        "token {token}: {} seeds in {periods} periods",
        times.len()
    );
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    Duration::from_nanos(gaps.max().unwrap_or_default())
}

/// The largest number of times that lie at the same place of their period.
fn on_one_grid(times: &[u64]) -> usize {
    let beside = |start: u64| {
        let place = |time: &u64| (time % PERIOD + PERIOD - start % PERIOD) % PERIOD;
        times.iter().filter(|time| place(time) < WIDTH).count()
    };
    let counts = times.iter().map(|start| beside(*start));
    counts.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{PERIOD, on_one_grid};

    /// Seeds whose next period begins `late` behind the seed before, and not on the grid.
    fn drifting(late: u64) -> Vec<u64> {
        (0..20).map(|number| number * (PERIOD + late)).collect()
    }

    #[test]
    fn late_seeds_and_missed_ones_leave_the_grid_alone() {
        let mut times = drifting(0);
        times[3] += PERIOD / 2;
        times[7] += PERIOD / 3;
        times.remove(11);
        assert_eq!(on_one_grid(&times), 17);
    }

    #[test]
    fn a_drift_is_seen() {
        for late in [PERIOD / 20, PERIOD * 2 / 5, PERIOD * 4 / 5] {
            let on_grid = on_one_grid(&drifting(late));
            assert!(2 * on_grid <= 20, "{late}: {on_grid}");
        }
    }
}
