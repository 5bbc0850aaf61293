//! One turn of the engine: the time, and what leaves.

use std::collections::VecDeque;

use crate::action::{Action, Next};
use crate::fact::Fact;
use crate::random::Random;
use crate::time::Moment;
use crate::timers::Timers;

/// What the engine lends to its parts while they take in an event.
pub(crate) struct Turn<'a> {
    pub(crate) now: Moment,
    /// Whether each partition is seeded once and then left alone.
    pub(crate) once: bool,
    pub(crate) random: &'a mut Random,
    pub(crate) timers: &'a mut Timers,
    pub(crate) actions: &'a mut VecDeque<Action>,
    pub(crate) facts: &'a mut VecDeque<Fact>,
}

impl Turn<'_> {
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn emit(&mut self, fact: Fact) {
        self.facts.push_back(fact);
    }

    /// With `once`, nothing that failed by itself is tried again.
    pub(crate) fn once_or(&self, next: Next) -> Next {
        if self.once { Next::GiveUp } else { next }
    }
}
