//! The operator: mends PINs, and changes the configuration.

use std::time::Duration;

use qseed_engine::{Event, PartitionId, SourceId};
use qseed_model::pins::{PinAnswer, PinTag, ProcessTag};

use crate::Checked;
use crate::faults::{HUNG_AT_MOST, TokenTrouble};
use crate::health::name_of;
use crate::pins::Presenter;
use crate::scenario::SECOND;
use crate::tokens::tags_of;
use crate::world::{Happening, World};

impl World {
    /// The operator puts the right PIN into the configuration, or clears it where it was right.
    pub(crate) fn mends(&mut self, token: usize) -> Checked {
        self.tokens[token].operator_comes = false;
        let right = self.tokens[token].pin;
        let device = tags_of(token, right).device;
        let reached: Vec<_> = self
            .reaches
            .iter()
            .filter(|(_, reach)| reach.token == token)
            .map(|(id, reach)| (*id, reach.pin != right))
            .collect();
        self.pins.clear(device);
        self.tell(Event::GuardChanged {
            device: Some(device),
        })?;
        for (id, changes) in reached {
            if let Some(reach) = self.reaches.get_mut(&id) {
                reach.pin = right;
            }
            if changes && self.settings.partitions.iter().any(|p| p.id == id) {
                self.tell(Event::PinChanged(id))?;
            }
        }
        let healthy_from = &mut self.tokens[token].healthy_from;
        *healthy_from = (*healthy_from).max(self.now + HUNG_AT_MOST);
        self.look_at_all_tokens()
    }

    /// `qseed check --login` presents a token's PIN beside the daemon, by the same file.
    pub(crate) fn checks(&mut self, token: usize) -> Checked {
        let reach = self
            .reaches
            .iter()
            .find(|(_, reach)| reach.token == token && reach.login);
        let Some((id, reach)) = reach else {
            return Ok(());
        };
        let (name, tags) = (name_of(*id), tags_of(token, reach.pin));
        let right = reach.pin == self.tokens[token].pin;
        let check = ProcessTag(self.dice.next().to_le_bytes());
        self.pins.checks.insert(check);
        let held = self.pins.judge(&name, &tags, Some(check), self.disk_works);
        if held.is_some() {
            self.pins.checks.remove(&check);
            return Ok(());
        }
        self.summary.checks += 1;
        self.pins.present(tags.tag, Presenter::Check(check))?;
        self.look_at_device(tags.tag)?;
        let answer = match self.tokens[token].trouble {
            Some(TokenTrouble::Missing) => Some(PinAnswer::NotJudged),
            Some(TokenTrouble::LoginIsUnclear) => Some(PinAnswer::Unclear),
            // It is killed, or crashes with its module.
            Some(TokenTrouble::LoginHangs | TokenTrouble::LoginCrashesModule) => None,
            _ if self.dice.one_in(6) => None,
            _ if right => Some(PinAnswer::Accepted),
            _ => Some(PinAnswer::Refused),
        };
        let takes = self.dice.magnitude(Duration::from_millis(1), 5 * SECOND);
        let ends = Happening::CheckEnds(token, check, tags.tag, answer);
        self.after_in_any_case(takes, ends);
        Ok(())
    }

    pub(crate) fn check_ends(
        &mut self,
        token: usize,
        check: ProcessTag,
        tag: PinTag,
        answer: Option<PinAnswer>,
    ) -> Checked {
        match answer.filter(|_| self.disk_works) {
            Some(answer) => {
                self.pins.answered(tag, answer);
                self.pins.record(tag, answer, true);
                self.pins.checks.remove(&check);
            }
            None => self.pins.check_died(check),
        }
        let healthy_from = &mut self.tokens[token].healthy_from;
        *healthy_from = (*healthy_from).max(self.now + HUNG_AT_MOST);
        let device = self.pins.file.get(tag).map(|record| record.device);
        self.tell(Event::GuardChanged { device })?;
        self.look_at_device(tag)
    }

    pub(crate) fn reconfigures(&mut self) -> Checked {
        self.cadence.check_all(self.now)?;
        self.summary.reconfigurations += 1;
        for _ in 0..self.dice.between(1, 3) {
            self.change_something();
        }
        let kept = self.settings.partitions.iter().map(|p| p.id).collect();
        self.cadence.retain(&kept);
        self.configure_cadence();
        self.look_at_sources()?;
        self.look_at_ledger()?;
        self.tell(Event::Configured(self.settings.clone()))
    }

    fn change_something(&mut self) {
        match self.dice.below(8) {
            0 if self.settings.partitions.len() > 1 => {
                let index = self.dice.index(self.settings.partitions.len());
                self.removed.push(self.settings.partitions.remove(index));
            }
            // One comes back: with a number of its own, or the very same.
            1 if !self.removed.is_empty() => {
                let mut back = self.removed.swap_remove(0);
                if self.dice.one_in(2) {
                    let reach = self.reaches[&back.id].clone();
                    let last = self.reaches.keys().next_back().map_or(0, |id| id.0);
                    back.id = PartitionId(last + 1);
                    self.reaches.insert(back.id, reach);
                }
                self.settings.partitions.push(back);
            }
            0 | 1 => {
                let index = self.dice.index(self.settings.partitions.len());
                let partition = &mut self.settings.partitions[index];
                partition.period *= 2;
            }
            2 => {
                let index = self.dice.index(self.settings.partitions.len());
                let partition = &mut self.settings.partitions[index];
                partition.size = 1 + self.dice.index(partition.size);
            }
            3 => {
                let index = self.dice.index(self.settings.sources.len());
                let source = &mut self.settings.sources[index];
                source.revision += 1;
                let id = source.id;
                self.abandon(id);
            }
            4 => {
                let index = self.dice.index(self.settings.sources.len());
                let source = &mut self.settings.sources[index];
                source.startup_bytes = 0;
                source.limits.max_count *= 2;
                if let Some(service) = self.services.get_mut(&source.id) {
                    service.limits = source.limits;
                    service.settings = source.clone();
                }
            }
            7 => self.settings.record_first = !self.settings.record_first,
            5 => {
                let index = self.dice.index(self.settings.modules.len());
                self.settings.modules[index].revision += 1;
            }
            _ => {
                let index = self.dice.index(self.settings.modules.len());
                self.settings.modules[index].concurrency += 1;
            }
        }
    }

    /// The adapter of a source is replaced: what it was asked is given up.
    fn abandon(&mut self, id: SourceId) {
        let given_up = self.bytes.abandon(id);
        self.abandoned.extend(given_up);
    }
}
