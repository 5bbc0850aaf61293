//! How fast the delivery checks are, compared with a plain SHA-256 of the same bytes, and whether good
//! bytes raise an alarm. `cargo xtask bench` runs it; the one argument is the number of bytes.
//!
//! CPU time is what counts, and the two take turns on each delivery, so that whatever else the
//! machine does slows both alike.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use qseed_engine::checks::{Checks, SeenBefore};
use qseed_engine::{Shape, SourceId};
use qseed_entropy::Entropy;
use rustix::time::{ClockId, clock_gettime};

/// Bytes a block: the seed that qseed takes by default.
const BLOCK: u32 = 48;

/// Blocks a delivery: the most that Qrypt's interface gives in an answer.
const BLOCKS: u32 = 512;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).and_then(|bytes| bytes.parse().ok());
    let Some(wanted) = wanted else {
        eprintln!("usage: checks-speed BYTES");
        return ExitCode::from(64);
    };
    let result = measure(wanted);
    println!("{result}");
    ExitCode::SUCCESS
}

/// Examines at least `wanted` bytes.
fn measure(wanted: u64) -> serde_json::Value {
    let mut checks = Checks::default();
    let mut seen = SeenBefore::new(random_key());
    let shape = Shape {
        block_size: BLOCK,
        block_count: BLOCKS,
    };
    let (mut bytes, mut alarms) = (0_u64, 0_u64);
    let (mut digesting, mut checking) = (Duration::ZERO, Duration::ZERO);
    while bytes < wanted {
        let delivery = delivery(shape.bytes());
        let began = cpu_time();
        black_box(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            black_box(&delivery),
        ));
        digesting += cpu_time().saturating_sub(began);

        let length = delivery.len();
        let delivery = Entropy::new(delivery);
        let began = cpu_time();
        let result = black_box(checks.examine(delivery, shape, SourceId(0), &mut seen));
        checking += cpu_time().saturating_sub(began);
        alarms += u64::from(result.is_err());
        bytes += length as u64;
    }
    serde_json::json!({
        "bytes": bytes,
        "alarms": alarms,
        "sha256_seconds": digesting.as_secs_f64(),
        "checks_seconds": checking.as_secs_f64(),
    })
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("CPU time is not negative")
}

/// A good delivery: bytes of the local kernel's making, stretched by a generator.
fn delivery(bytes: usize) -> Vec<u8> {
    let mut delivery = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut delivery).expect("the system's generator does not fail");
    delivery
}

fn random_key() -> u64 {
    let mut key = [0; 8];
    aws_lc_rs::rand::fill(&mut key).expect("the system's generator does not fail");
    u64::from_le_bytes(key)
}

#[cfg(test)]
mod tests {
    #[test]
    fn good_bytes_raise_no_alarm() {
        let result = super::measure(1_000_000);
        assert_eq!(result["alarms"], 0);
        assert!(result["bytes"].as_u64() >= Some(1_000_000));
    }
}
