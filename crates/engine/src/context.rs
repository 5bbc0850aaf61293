//! What the engine lends to its parts while they take in an event.

use std::collections::VecDeque;

use crate::action::{Action, Next};
use crate::fact::Fact;
use crate::random::Random;
use crate::time::Moment;
use crate::timers::Timers;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: Moment,
    /// Whether each partition is seeded once and then left alone.
    pub(crate) once: bool,
    /// No more seeds are made, and nothing is opened.
    pub(crate) stopping: bool,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) facts: VecDeque<Fact>,
}

impl Context {
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
