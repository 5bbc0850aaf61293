//! The steering file made ready for use: what is in which slot, and the rules with their counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::state::{StateFile, TokenKey};
use crate::{Ckr, Error, Faults, Function, Rule, SlotList, TokenSettings};

/// One reading of the steering file. It never changes; a new reading is a new plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) faults: Faults,
    /// Each slot and the token in it that the module knows of, by slot id.
    slots: BTreeMap<u64, Option<u32>>,
    slot_of_token: HashMap<u32, u64>,
    rules: Vec<CountedRule>,
}

/// A token where it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'p> {
    pub(crate) number: u32,
    pub(crate) settings: &'p TokenSettings,
}

impl Token<'_> {
    pub(crate) fn key(&self) -> TokenKey {
        TokenKey {
            token: self.number,
            generation: self.settings.generation,
        }
    }

    /// One of the token's texts, with its number filled in.
    pub(crate) fn text(&self, template: &str) -> String {
        fill_in(template, u64::from(self.number))
    }
}

/// Puts a number where a text of the steering file has `{n}`.
pub(crate) fn fill_in(template: &str, number: u64) -> String {
    template.replace("{n}", &number.to_string())
}

#[derive(Debug)]
struct CountedRule {
    rule: Rule,
    /// Shared with the plan before and after, as long as the rule stays the same.
    calls: Arc<AtomicU64>,
    /// The rule's name in `state.json`, where it counts across processes.
    name: Option<String>,
}

impl Plan {
    /// The first plan of a process.
    ///
    /// # Errors
    /// [`Error::Steering`] where two tokens would be in one slot.
    pub(crate) fn new(faults: Faults) -> Result<Self, Error> {
        Self::place(faults, None, None)
    }

    /// The plan after this one, for a changed steering file: a stale module knows of no token
    /// that came with it, and the rules' counts go on.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub(crate) fn followed_by(&self, faults: Faults) -> Result<Self, Error> {
        let known = Some(self).filter(|_| faults.slot_list != SlotList::Live);
        Self::place(faults, known, Some(self))
    }

    /// The same plan after the module has listed its slots again.
    pub(crate) fn refreshed(&self) -> Self {
        Self::place(self.faults.clone(), None, Some(self)).expect("its tokens are placed already")
    }

    fn place(faults: Faults, known: Option<&Plan>, before: Option<&Plan>) -> Result<Self, Error> {
        let mut slots: BTreeMap<u64, Option<u32>> = (0..u64::from(faults.slots))
            .map(|n| (faults.first_slot_id + n, None))
            .collect();
        let mut placed = HashMap::new();
        for number in 0..faults.slots {
            let slot = faults.slot_of(number);
            if let Some(other) = placed.insert(slot, number) {
                let both = format!("tokens {other} and {number} are both in slot {slot}");
                return Err(Error::Steering(both));
            }
            let settings = faults.settings(number);
            let noticed = known.is_none_or(|plan| plan.knows(number, slot, settings));
            let token = (settings.present && noticed).then_some(number);
            slots.insert(slot, token);
        }
        if let Some(plan) = known {
            slots.retain(|slot, _| plan.slots.contains_key(slot));
        }
        let slot_of_token = slots
            .iter()
            .filter_map(|(&slot, &token)| Some((token?, slot)))
            .collect();
        let rules = faults
            .rules
            .iter()
            .map(|rule| CountedRule::new(rule, before))
            .collect();
        Ok(Self {
            faults,
            slots,
            slot_of_token,
            rules,
        })
    }

    fn knows(&self, number: u32, slot: u64, settings: &TokenSettings) -> bool {
        self.slot_of_token.get(&number) == Some(&slot)
            && self.faults.settings(number).generation == settings.generation
    }

    /// The slots in ascending order; only those with a token, if wished.
    pub(crate) fn slots(&self, with_token: bool) -> Vec<u64> {
        let wanted = self
            .slots
            .iter()
            .filter(|(_, token)| !with_token || token.is_some());
        wanted.map(|(&slot, _)| slot).collect()
    }

    /// The token in a slot, or the return value if there is no such slot or no token.
    pub(crate) fn token_in(&self, slot: u64) -> Result<Token<'_>, Ckr> {
        let number = self.slots.get(&slot).ok_or(Ckr::SLOT_ID_INVALID)?;
        number
            .map(|number| self.token(number))
            .ok_or(Ckr::TOKEN_NOT_PRESENT)
    }

    /// Token `number`'s settings, wherever it is.
    pub(crate) fn token(&self, number: u32) -> Token<'_> {
        Token {
            number,
            settings: self.faults.settings(number),
        }
    }

    /// How much longer every call of `function` takes, in microseconds.
    pub(crate) fn latency_us(&self, function: Function) -> u64 {
        self.faults.latency_us.get(&function).copied().unwrap_or(0)
    }

    /// The rules that hit this call, in the file's order. Counts the call.
    ///
    /// # Errors
    /// Where a count across processes cannot be written.
    pub(crate) fn hits(&self, call: &RuledCall, state: &StateFile) -> Result<Vec<&Rule>, Error> {
        let mut hits = Vec::new();
        for counted in &self.rules {
            if call.is_matter_of(&counted.rule) && counted.rule.hits(counted.count(state)?) {
                hits.push(&counted.rule);
            }
        }
        Ok(hits)
    }

    /// Whether this rule is still in force.
    pub(crate) fn has(&self, rule: &Rule) -> bool {
        self.faults.rules.contains(rule)
    }
}

/// What rules look at in a call.
#[derive(Debug)]
pub(crate) struct RuledCall {
    pub(crate) function: Function,
    pub(crate) token: Option<u32>,
    /// Milliseconds since `C_Initialize` began.
    pub(crate) age_ms: u64,
}

impl RuledCall {
    fn is_matter_of(&self, rule: &Rule) -> bool {
        rule.function
            .is_none_or(|function| function == self.function)
            && (rule.tokens.is_empty()
                || self.token.is_some_and(|token| rule.tokens.contains(&token)))
            && self.age_ms >= rule.after_ms
    }
}

impl CountedRule {
    fn new(rule: &Rule, before: Option<&Plan>) -> Self {
        let same = before.and_then(|plan| plan.rules.iter().find(|counted| counted.rule == *rule));
        let calls = same.map_or_else(Arc::default, |counted| Arc::clone(&counted.calls));
        let name = rule
            .across_processes
            .then(|| serde_json::to_string(rule).expect("a rule came from JSON"));
        Self {
            rule: rule.clone(),
            calls,
            name,
        }
    }

    /// The call's number, from 1.
    fn count(&self, state: &StateFile) -> Result<u64, Error> {
        match &self.name {
            Some(name) => state.update(|state| state.count_call(name)),
            None => Ok(self.calls.fetch_add(1, Ordering::Relaxed) + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, RuledCall};
    use crate::state::StateFile;
    use crate::{Action, Faults, Function, Rule, SlotList};

    fn plan(faults: &Faults) -> Plan {
        Plan::new(faults.clone()).expect("a plan")
    }

    fn next(plan: &Plan, faults: &Faults) -> Plan {
        plan.followed_by(faults.clone()).expect("a plan")
    }

    fn three_tokens(slot_list: SlotList) -> Faults {
        Faults {
            slots: 3,
            first_slot_id: 10,
            slot_list,
            ..Faults::default()
        }
    }

    #[test]
    fn a_stale_module_notices_removed_but_not_new_tokens() {
        let mut faults = three_tokens(SlotList::OnInitialize);
        faults.remove(1);
        let first = plan(&faults);
        assert_eq!(
            (first.slots(true), first.slots(false)),
            (vec![10, 12], vec![10, 11, 12])
        );
        faults.insert(1);
        faults.remove(2);
        faults.slots = 4;
        let stale = next(&first, &faults);
        assert_eq!(
            (stale.slots(true), stale.slots(false)),
            (vec![10], vec![10, 11, 12])
        );
        faults.insert(2);
        faults.reinitialize(0);
        let staler = next(&stale, &faults);
        assert!(staler.slots(true).is_empty());
        assert_eq!(staler.refreshed().slots(true), [10, 11, 12, 13]);
        faults.slot_list = SlotList::Live;
        assert_eq!(next(&stale, &faults).slots(true), [10, 11, 12, 13]);
    }

    #[test]
    fn a_moved_token_leaves_its_slot_empty_and_shares_none() {
        let mut faults = three_tokens(SlotList::Live);
        faults.token(0).slot = Some(99);
        let moved = plan(&faults);
        assert_eq!(
            (moved.slots(true), moved.slots(false)),
            (vec![11, 12, 99], vec![10, 11, 12, 99])
        );
        faults.token(0).slot = Some(11);
        assert!(Plan::new(faults).is_err());
    }

    #[test]
    fn a_rule_keeps_its_count_until_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFile::new(folder.path());
        let call = RuledCall {
            function: Function::SeedRandom,
            token: Some(2),
            age_ms: 5,
        };
        let hits = |plan: &Plan| plan.hits(&call, &state).expect("counted").len();

        let mut faults = three_tokens(SlotList::Live);
        faults.rules.push(
            Rule::new(Function::SeedRandom, Action::Hang)
                .token(2)
                .times(1),
        );
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Abort).token(1));
        faults.rules.push(Rule::new(Function::Login, Action::Abort));
        faults
            .rules
            .push(Rule::everywhere(Action::Abort).after_ms(6));
        let first = plan(&faults);
        assert_eq!([hits(&first), hits(&first)], [1, 0]);
        faults.slots = 2;
        let second = next(&first, &faults);
        assert_eq!(hits(&second), 0);
        faults.rules[0].times = Some(3);
        assert_eq!(hits(&next(&second, &faults)), 1);

        faults.rules = vec![Rule::everywhere(Action::Abort).times(1).across_processes()];
        assert_eq!([hits(&plan(&faults)), hits(&plan(&faults))], [1, 0]);
    }
}
