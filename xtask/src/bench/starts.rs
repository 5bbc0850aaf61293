//! From start to the first injection.

use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Row, client, median, millis};
use crate::daemon::{Program, seeded};
use crate::failure::Failure;

/// Starts of each; the middle one counts.
const TIMES: usize = 21;

/// qseed until its first seed is in the token, and the client until it has its bytes, is logged
/// in and has called the generator once. Both of the client's programs count as one.
pub(super) async fn compare(stage: &Stage) -> Result<Row, Failure> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        ours.push(first_injection(stage).await?);
        let request = client::request(stage).await?.wall;
        let tokens = client::use_token(stage).await?.wall;
        theirs.push((request + tokens).saturating_sub(client::start_only().await?.wall));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    Ok(Row {
        what: format!(
            "start to first injection; client: to its bytes and one call of the generator, logged in; median of {TIMES}"
        ),
        qseed: millis(ours),
        compared_with: millis(theirs),
        verdict: format!("{ratio:.2} of the client's (at most 1)"),
        good: ratio <= 1.0,
    })
}

async fn first_injection(stage: &Stage) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut qseed = Program::start(stage.qseed(0).arg("--once"))?;
    let mut first = None;
    while let Some(line) = qseed.line().await? {
        if first.is_none() && seeded(&line).is_some() {
            first = Some(began.elapsed());
        }
    }
    qseed.ended().await?;
    first.ok_or_else(|| Failure::said("qseed --once seeded nothing"))
}
