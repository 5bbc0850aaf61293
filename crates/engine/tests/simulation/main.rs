//! The main proof of qseed's promises: a world without real time.
//!
//! Sources, modules, tokens, a disk, an operator and the daemon's own death, each with its faults,
//! are drawn from a seed number and driven through hours or years of simulated time. The engine
//! gets the world's events, the world carries out the engine's actions, and every promise is
//! judged at every step.
//!
//! - `QSEED_SIMULATION_SEED=123` replays one scenario, `QSEED_SIMULATION_TRACE=1` prints it.
//! - `QSEED_SIMULATION_RUNS=10000` runs that many, from `QSEED_SIMULATION_SEED` on where both are
//!   set.

mod actions;
mod announcements;
mod bytes;
mod cadence;
mod dice;
mod faults;
mod health;
mod ledger;
mod operator;
mod pins;
mod processes;
mod quiet;
mod scenario;
mod service;
mod summary;
mod tokens;
mod world;

use scenario::Scenario;
use summary::Summary;
use world::World;

/// Scenarios that `cargo test` runs.
const RUNS: u64 = 120;

/// A promise holds, or this is how it was broken.
pub(crate) type Checked = Result<(), String>;

/// Says how to replay a scenario in which something panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", replay(self.0));
        }
    }
}

fn replay(number: u64) -> String {
    format!(
        "simulation {number} failed; replay it with QSEED_SIMULATION_SEED={number} cargo test -p \
         qseed-engine --test simulation"
    )
}

fn run(number: u64) -> Result<Summary, String> {
    let _replay = Replay(number);
    World::new(Scenario::draw(number))
        .run()
        .map_err(|broken| format!("{}:\n{broken}", replay(number)))
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn promises_hold_whatever_fails() {
    let first = number_from("QSEED_SIMULATION_SEED");
    let runs =
        number_from("QSEED_SIMULATION_RUNS").unwrap_or(if first.is_some() { 1 } else { RUNS });
    let first = first.unwrap_or(0);
    let mut all = Summary::default();
    let mut broken = Vec::new();
    for number in first..first + runs {
        match run(number) {
            Ok(one) => all.add(&one),
            Err(how) => {
                eprintln!("{how}");
                broken.push(number);
            }
        }
    }
    println!("{runs} scenarios: {all:#?}");
    assert!(broken.is_empty(), "{}", replay(broken[0]));
}

#[test]
fn the_same_number_leads_to_the_same_actions() {
    for number in [3, 5, 8] {
        let hash = || run(number).map(|summary| summary.hash);
        assert_eq!(hash(), hash(), "{}", replay(number));
    }
}
