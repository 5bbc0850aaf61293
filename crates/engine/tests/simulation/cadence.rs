//! Judges promises 5 and 6: whoever is served by what is healthy is seeded once a period.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use qseed_engine::{ModuleId, Moment, PartitionId, PartitionSettings};

use crate::Checked;
use crate::scenario::MINUTE;

/// Partitions that take down their worker delay the others by no more than this.
const DISTURBED_AT_MOST: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
struct Rhythm {
    period: Duration,
    size: usize,
    token: usize,
    module: ModuleId,
    /// Since when it is configured like this, or its worker came back.
    since: Moment,
    /// Since when it is configured like this, however often its worker went down.
    configured: Moment,
    /// Its last seed that the daemon knows of.
    last_seed: Option<Moment>,
}

/// Since when each part has been healthy; none: it is not.
#[derive(Debug)]
pub(crate) struct Cadence {
    slack: Duration,
    rhythms: BTreeMap<PartitionId, Rhythm>,
    pub(crate) entropy: Option<Moment>,
    /// The ledger, where seeds need it.
    pub(crate) ledger: Option<Moment>,
    pub(crate) modules: BTreeMap<ModuleId, Option<Moment>>,
    pub(crate) tokens: Vec<Option<Moment>>,
    pub(crate) longest: Duration,
}

impl Cadence {
    pub(crate) fn new(slack: Duration, tokens: usize) -> Self {
        Self {
            slack,
            rhythms: BTreeMap::new(),
            entropy: Some(Moment::START),
            ledger: Some(Moment::START),
            modules: BTreeMap::new(),
            tokens: vec![Some(Moment::START); tokens],
            longest: Duration::ZERO,
        }
    }

    pub(crate) fn configure(&mut self, settings: &PartitionSettings, token: usize, now: Moment) {
        self.modules.entry(settings.module).or_insert(Some(now));
        let known = self.rhythms.get(&settings.id);
        let same_period = known.is_some_and(|rhythm| rhythm.period == settings.period);
        // With another period, whoever is not overdue is due on the new grid.
        let last_seed = known.and_then(|rhythm| match rhythm.last_seed {
            Some(last) if same_period => Some(last),
            Some(last) => (last.next_multiple(rhythm.period) > now).then_some(now),
            None => None,
        });
        let rhythm = Rhythm {
            period: settings.period,
            size: settings.size,
            token,
            module: settings.module,
            since: known.filter(|_| same_period).map_or(now, |r| r.since),
            configured: known.filter(|_| same_period).map_or(now, |r| r.configured),
            last_seed,
        };
        self.rhythms.insert(settings.id, rhythm);
    }

    pub(crate) fn retain(&mut self, configured: &BTreeSet<PartitionId>) {
        self.rhythms.retain(|id, _| configured.contains(id));
    }

    /// A new daemon seeds everything at its start.
    pub(crate) fn begin_anew(&mut self, now: Moment) {
        for rhythm in self.rhythms.values_mut() {
            rhythm.since = now;
            rhythm.configured = now;
            rhythm.last_seed = None;
        }
    }

    /// Its worker went down without its doing: that is a fault until it is gone.
    pub(crate) fn disturb(&mut self, id: PartitionId, until: Moment) {
        if let Some(rhythm) = self.rhythms.get_mut(&id) {
            rhythm.since = rhythm.since.max(until);
        }
    }

    /// The bytes that partitions need for seeds that are due by `by`.
    pub(crate) fn bytes_due(&self, by: Moment) -> usize {
        self.rhythms
            .values()
            .filter(|rhythm| {
                rhythm
                    .last_seed
                    .is_none_or(|last| last.next_multiple(rhythm.period) <= by)
            })
            .map(|rhythm| rhythm.size)
            .sum()
    }

    pub(crate) fn smallest(&self) -> usize {
        self.rhythms.values().map(|r| r.size).min().unwrap_or(0)
    }

    /// When the partition must have been seeded, if everything stays healthy: a worker that goes
    /// down again and again, because of others, is no excuse for long.
    fn due(&self, rhythm: &Rhythm) -> Option<Moment> {
        let token = self.tokens[rhythm.token]?;
        let module = self.modules[&rhythm.module]?;
        let healthy = self.entropy?.max(self.ledger?).max(token).max(module);
        let due = |since: Moment| {
            let on_the_grid = rhythm
                .last_seed
                .map_or(since, |last| last.next_multiple(rhythm.period));
            on_the_grid.max(healthy.max(since) + MINUTE)
        };
        Some(due(rhythm.since).min(due(rhythm.configured) + DISTURBED_AT_MOST))
    }

    /// Whether the partition has what it was promised, up to now.
    pub(crate) fn check(&self, id: PartitionId, now: Moment) -> Checked {
        let Some(rhythm) = self.rhythms.get(&id) else {
            return Ok(());
        };
        match self.due(rhythm) {
            Some(due) if now > due + self.slack => Err(format!(
                "P5/P6: {id:?} was not seeded by {:?}, due {due:?}, slack {:?}: {rhythm:?}, token \
                 {:?}, module {:?}, entropy {:?}, ledger {:?}",
                due + self.slack,
                self.slack,
                self.tokens[rhythm.token],
                self.modules[&rhythm.module],
                self.entropy,
                self.ledger,
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_all(&self, now: Moment) -> Checked {
        self.rhythms.keys().try_for_each(|id| self.check(*id, now))
    }

    pub(crate) fn check_token(&self, token: usize, now: Moment) -> Checked {
        self.rhythms
            .iter()
            .filter(|(_, rhythm)| rhythm.token == token)
            .try_for_each(|(id, _)| self.check(*id, now))
    }

    pub(crate) fn check_module(&self, module: ModuleId, now: Moment) -> Checked {
        self.rhythms
            .iter()
            .filter(|(_, rhythm)| rhythm.module == module)
            .try_for_each(|(id, _)| self.check(*id, now))
    }

    /// The daemon learns that a seed was injected.
    pub(crate) fn seeded(&mut self, id: PartitionId, now: Moment) -> Checked {
        self.check(id, now)?;
        let Some(rhythm) = self.rhythms.get_mut(&id) else {
            return Ok(());
        };
        if let Some(last) = rhythm.last_seed {
            let next = last.next_multiple(rhythm.period);
            if now < next {
                return Err(format!("P6: {id:?} seeded twice for {next:?}: {rhythm:?}"));
            }
            self.longest = self.longest.max(now.since(next));
        }
        rhythm.last_seed = Some(now);
        Ok(())
    }
}
