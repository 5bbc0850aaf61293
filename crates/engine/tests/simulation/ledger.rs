//! The ledger's disk, and a judge of seeds that need its record first.

use std::collections::BTreeMap;
use std::time::Duration;

use qseed_engine::{Event, Injection, Intent, PartitionId};

use crate::Checked;
use crate::dice::Dice;
use crate::faults::{Fault, LedgerTrouble};
use crate::scenario::{HOUR, SECOND};
use crate::world::{Happening, World};

/// The ledger is tried again this often.
const RETRY: Duration = SECOND;

/// A seed that waits for its record, or to leave.
#[derive(Debug)]
struct Intended {
    intent: Intent,
    bytes: Vec<u8>,
    recorded: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) trouble: Option<LedgerTrouble>,
    /// The engine knows that it cannot be written.
    is_out: bool,
    intended: BTreeMap<PartitionId, Intended>,
    /// Intents on their way to the disk.
    on_the_way: Vec<Intent>,
}

impl Ledger {
    /// A seed leaves, which needs a record on the disk.
    pub(crate) fn leaves(&mut self, intent: Intent) -> Result<Vec<u8>, String> {
        let intended = self.intended.remove(&intent.partition);
        let intended = intended.filter(|it| it.intent == intent && it.recorded);
        match intended {
            Some(_) if self.is_out => Err(format!(
                "{intent:?} leaves while the ledger cannot be written"
            )),
            Some(intended) => Ok(intended.bytes),
            None => Err(format!("{intent:?} leaves without a record of it")),
        }
    }

    /// A seed is dropped.
    pub(crate) fn drops(&mut self, partition: PartitionId) -> Checked {
        match self.intended.remove(&partition) {
            Some(_) => Ok(()),
            None => Err(format!("{partition:?} loses a seed that it did not have")),
        }
    }

    /// The daemon died.
    pub(crate) fn forget_all(&mut self) {
        let trouble = self.trouble;
        *self = Self::default();
        self.trouble = trouble;
    }
}

impl World {
    pub(crate) fn plan_ledger_faults(&mut self, longest: Duration) {
        let mut dice = Dice::new(self.scenario.number ^ 0x001e_d6e8);
        for _ in 0..dice.between(0, 4) {
            let at = dice.duration(Duration::ZERO, self.scenario.lasts);
            let trouble = *dice.pick(&[LedgerTrouble::Fails, LedgerTrouble::Hangs]);
            let lasts = dice.magnitude(Duration::from_millis(10), longest.min(6 * HOUR));
            self.after_in_any_case(at, Happening::Begins(Fault::Ledger(trouble), lasts));
        }
    }

    pub(crate) fn intend(&mut self, partition: PartitionId, injection: &Injection) -> Checked {
        let job = injection.job;
        let (bytes, made_of) = (injection.bytes, &injection.made_of.portions);
        let intent = Intent { partition, job };
        self.summary.intents += 1;
        if self.ledger.is_out {
            return Err(format!(
                "{intent:?} is made while the ledger cannot be written"
            ));
        }
        let size = self.size_of(partition)?;
        if bytes != size {
            return Err(format!("P1: {bytes} bytes are intended instead of {size}"));
        }
        let bytes = self.bytes.seed(self.now, &self.settings, size, made_of)?;
        let intended = Intended {
            intent,
            bytes,
            recorded: false,
        };
        let before = self.ledger.intended.insert(partition, intended);
        if let Some(before) = before {
            return Err(format!("{:?} is forgotten", before.intent));
        }
        self.ledger.on_the_way.push(intent);
        if self.ledger.on_the_way.len() == 1 {
            self.ledger_takes_a_while();
        }
        Ok(())
    }

    fn ledger_takes_a_while(&mut self) {
        let takes = self
            .dice
            .magnitude(Duration::from_micros(50), Duration::from_millis(20));
        self.after(takes, Happening::LedgerWrites);
    }

    /// The disk is done, or has failed: what queued up shared one sync.
    pub(crate) fn ledger_writes(&mut self) -> Checked {
        if self.ledger.trouble == Some(LedgerTrouble::Hangs) {
            return Ok(());
        }
        let recorded = self.ledger.trouble.is_none();
        let intents = std::mem::take(&mut self.ledger.on_the_way);
        for intent in &intents {
            let intended = self.ledger.intended.get_mut(&intent.partition);
            if let Some(intended) = intended.filter(|it| it.intent == *intent) {
                intended.recorded = recorded;
            }
        }
        if !recorded {
            // Intents that are not recorded say it as well.
            let is_said = !intents.is_empty() && self.dice.one_in(4);
            if !std::mem::replace(&mut self.ledger.is_out, true) && !is_said {
                self.tell(Event::LedgerWritable(false))?;
            }
            self.after(RETRY, Happening::LedgerWrites);
        } else if std::mem::take(&mut self.ledger.is_out) {
            self.tell(Event::LedgerWritable(true))?;
        }
        if intents.is_empty() {
            return Ok(());
        }
        self.tell(Event::IntentsRecorded { intents, recorded })
    }

    pub(crate) fn ledger_fails(&mut self, trouble: LedgerTrouble, lasts: Duration) -> Checked {
        if self.ledger.trouble.is_some() {
            return Ok(());
        }
        self.ledger.trouble = Some(trouble);
        self.look_at_ledger()?;
        // A checkpoint finds it, if no seed does.
        self.after(30 * SECOND, Happening::LedgerWrites);
        self.after_in_any_case(lasts, Happening::Ends(Fault::Ledger(trouble)));
        Ok(())
    }

    pub(crate) fn ledger_heals(&mut self) -> Checked {
        self.ledger.trouble = None;
        self.ledger_takes_a_while();
        self.look_at_ledger()
    }

    /// Since when seeds can be recorded.
    pub(crate) fn look_at_ledger(&mut self) -> Checked {
        self.cadence.check_all(self.now)?;
        let works = self.ledger.trouble.is_none() || !self.settings.record_first;
        let known = self.cadence.ledger;
        self.cadence.ledger = works.then(|| known.unwrap_or(self.now + 2 * RETRY));
        Ok(())
    }
}
