//! CPU, memory and growth of running daemons, compared with a client that opens a connection for each request.

use std::time::{Duration, Instant};

use super::procfs::{Family, Holdings};
use super::stage::{self, DAEMONS, PARTITIONS, Stage};
use super::{Row, client, millis};
use crate::daemon::{Program, seeded};
use crate::failure::Failure;

/// Requests of the client over the window, and as many starts of it without a request.
const CLIENT_REQUESTS: u32 = 100;

/// How many times cheaper an injection has to be than the client's request.
const CHEAPER: f64 = 50.0;

/// Memory of a daemon and its worker stays below this, in MB.
const MEMORY: f64 = 12.0;

/// A daemon that runs, with its worker.
struct Running {
    program: Program,
    family: Family,
    /// CPU time until each partition had its first seed: with it, the connection stands.
    cpu: Duration,
    /// What they held when everything had been used once.
    holdings: Option<Holdings>,
    /// Seeds since then.
    seeds: u32,
}

/// Runs both for `window`.
pub(super) async fn compare(stage: &Stage, window: Duration) -> Result<Vec<Row>, Failure> {
    println!("Measuring for {} s …", window.as_secs());
    let mut daemons = Vec::new();
    for number in 0..=DAEMONS {
        daemons.push(Running::start(stage, number).await?);
    }
    let end = Instant::now() + window;
    let watched = all(daemons.iter_mut().map(|daemon| daemon.watch(end)));
    let (watched, theirs) = tokio::join!(watched, client_cost(stage, end));
    watched?;
    let theirs = theirs?;
    let (alone, together) = daemons.split_at(DAEMONS);
    let (cpu, seeds) = spent(alone)?;
    let each = format!("{seeds} injections of {DAEMONS} daemons, each its own request");
    let mut rows = vec![cost_row(&each, cpu, seeds, theirs, Some(CHEAPER))];
    let (cpu, seeds) = spent(together)?;
    let each = format!("{seeds} injections of one daemon, {PARTITIONS} a request");
    rows.push(cost_row(&each, cpu, seeds, theirs, None));
    rows.extend(holdings_rows(&alone[0], window)?);
    for daemon in &mut daemons {
        daemon.program.interrupt();
        daemon.program.ended().await?;
    }
    Ok(rows)
}

/// CPU time and seeds since the beginning.
fn spent(daemons: &[Running]) -> Result<(Duration, u32), Failure> {
    let (mut cpu, mut seeds) = (Duration::ZERO, 0);
    for daemon in daemons {
        cpu += daemon.family.cpu()?.saturating_sub(daemon.cpu);
        seeds += daemon.seeds;
    }
    Ok((cpu, seeds))
}

impl Running {
    /// Starts one and waits for the first seeds, with which the connection stands.
    async fn start(stage: &Stage, number: usize) -> Result<Self, Failure> {
        let mut program = Program::start(&mut stage.qseed(number))?;
        let mut waits_for = stage::partitions(number);
        while waits_for > 0 {
            let line = program.line().await?;
            let line = line.ok_or_else(|| Failure::said("qseed ended before it seeded"))?;
            waits_for -= usize::from(seeded(&line).is_some());
        }
        let gone = || Failure::said("qseed ended as soon as it had seeded");
        let family = Family::of(program.id().ok_or_else(gone)?)?;
        if family.len() != 2 {
            return Err(Failure::said("qseed has not the one worker it should have"));
        }
        Ok(Self {
            cpu: family.cpu()?,
            holdings: None,
            seeds: 0,
            program,
            family,
        })
    }

    /// Counts its seeds until `end`. What it holds counts from a tenth of that time on, when
    /// everything was used once.
    async fn watch(&mut self, end: Instant) -> Result<(), Failure> {
        let settled = Instant::now() + end.saturating_duration_since(Instant::now()) / 10;
        let over = tokio::time::sleep_until(end.into());
        tokio::pin!(over);
        loop {
            tokio::select! {
                line = self.program.line() => match line? {
                    Some(line) => self.seeds += u32::from(seeded(&line).is_some()),
                    None => return Err(Failure::said("qseed ended while it was measured")),
                },
                () = &mut over => return Ok(()),
            }
            if self.holdings.is_none() && Instant::now() >= settled {
                // Only root may look; without it the rows are missing, and say so.
                self.holdings = self.family.holdings().ok();
            }
        }
    }
}

/// Drives several things at once on this one thread.
async fn all<F: Future<Output = Result<(), Failure>>>(
    several: impl Iterator<Item = F>,
) -> Result<(), Failure> {
    let mut waiting: Vec<_> = several.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let mut failed = None;
        waiting.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(Ok(())) => false,
            std::task::Poll::Ready(Err(failure)) => {
                failed = Some(failure);
                false
            }
        });
        match failed {
            Some(failure) => std::task::Poll::Ready(Err(failure)),
            None if waiting.is_empty() => std::task::Poll::Ready(Ok(())),
            None => std::task::Poll::Pending,
        }
    })
    .await
}

/// CPU time of one of the client's requests, spread over the window; its start is taken off.
async fn client_cost(stage: &Stage, end: Instant) -> Result<Duration, Failure> {
    let pause = end.saturating_duration_since(Instant::now()) / (CLIENT_REQUESTS + 1);
    let (mut requests, mut starts) = (Duration::ZERO, Duration::ZERO);
    let mut turn = tokio::time::interval(pause);
    for _ in 0..CLIENT_REQUESTS {
        turn.tick().await;
        requests += client::request(stage).await?.cpu;
        starts += client::start_only().await?.cpu;
    }
    Ok(requests.saturating_sub(starts) / CLIENT_REQUESTS)
}

fn cost_row(each: &str, cpu: Duration, seeds: u32, theirs: Duration, wanted: Option<f64>) -> Row {
    let ours = cpu / seeds.max(1);
    let cheaper = theirs.as_secs_f64() / ours.as_secs_f64();
    let at_most = wanted.map_or(String::new(), |wanted| format!(" (at most 1/{wanted:.0})"));
    Row {
        what: format!("CPU per injection over TLS: {each}"),
        qseed: millis(ours),
        compared_with: format!("{} ({CLIENT_REQUESTS} requests)", millis(theirs)),
        verdict: format!("1/{cheaper:.0} of the client's{at_most}"),
        good: wanted.is_none_or(|wanted| cheaper >= wanted),
    }
}

fn holdings_rows(daemon: &Running, window: Duration) -> Result<Vec<Row>, Failure> {
    let root = "; as root only, since qseed lets nobody else look into its memory";
    let Some(before) = daemon.holdings else {
        return Err(Failure::said(format!("memory cannot be measured{root}")));
    };
    let after = daemon.family.holdings()?;
    let seconds = window.as_secs();
    let megabytes = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 976.6;
    let memory = megabytes(after.memory);
    let grown = megabytes(after.memory.saturating_sub(before.memory));
    let descriptors = after.descriptors.saturating_sub(before.descriptors);
    let threads = after.threads.saturating_sub(before.threads);
    Ok(vec![
        Row {
            what: format!("memory (PSS) of daemon and worker after {seconds} s"),
            qseed: format!("{memory:.1} MB"),
            compared_with: String::new(),
            verdict: format!("below {MEMORY:.0} MB"),
            good: memory < MEMORY,
        },
        Row {
            what: format!("growth over the last nine tenths of {seconds} s"),
            qseed: format!("{grown:.2} MB, {descriptors} descriptors, {threads} threads"),
            compared_with: String::new(),
            verdict: "none; of memory at most 0.5 MB".to_owned(),
            good: descriptors == 0 && threads == 0 && grown < 0.5,
        },
    ])
}
