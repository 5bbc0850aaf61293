//! Rules: what a function does wrong, at which of its calls.

use serde::{Deserialize, Serialize};

use crate::{Attempt, Ckr, Function};

/// What a call does instead of its work, or in addition to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Returns this value. Before the work, the work is not done (a token that says
    /// [`Ckr::OK`] and does nothing); after it, it is done and its outcome hidden.
    Answer(Ckr),
    /// Takes this many milliseconds longer.
    DelayMs(u64),
    /// Does not return until the steering file no longer has the rule.
    Hang,
    /// Ends the process as a stray pointer does: a true SIGSEGV.
    Segfault,
    /// Ends the process by `abort()`: SIGABRT.
    Abort,
    /// Ends the process by `exit()` with this status, as some vendors' libraries do.
    Exit(i32),
    /// Ends the process by SIGKILL.
    Kill,
    /// Writes this text to standard output, as it is.
    Stdout(String),
    /// Writes this text to standard error, as it is.
    Stderr(String),
    /// Sends these bytes over the Unix socket that its process has, as often as this: what a
    /// hostile library in qseed's worker does.
    Send {
        /// The bytes.
        bytes: Vec<u8>,
        /// How often.
        times: u32,
    },
    /// Tries these things one after the other, and records how each went.
    Try(Vec<Attempt>),
}

/// Whether a rule acts before the function's work or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before anything was done.
    #[default]
    Before,
    /// When it is done and recorded: the PIN judged, the seed mixed in.
    After,
}

/// One fault: an [`Action`] at certain calls.
///
/// Calls are counted a rule and process, from 1, among those that the rule is about (its function,
/// tokens and `after_ms`). The count goes on when the steering file changes, as long as the
/// rule itself stays the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The function; absent: every function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Function>,
    /// The numbers of the tokens; empty: every call, also one that is about no token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
    /// The first call that is hit, from 1.
    #[serde(default = "one")]
    pub from: u64,
    /// From there on every n-th call is hit: 1 is each one, 3 each third.
    #[serde(default = "one")]
    pub every: u64,
    /// How many calls are hit; absent: as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Calls count only when `C_Initialize` began so many milliseconds ago: a module that
    /// dies some seconds after each start.
    #[serde(default)]
    pub after_ms: u64,
    /// Counts over all processes together, in `state.json`: a module that crashes once
    /// and not again when it is restarted.
    #[serde(default)]
    pub across_processes: bool,
    /// Before or after the work.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub action: Action,
}

fn one() -> u64 {
    1
}

impl Rule {
    /// `action` at every call of `function`, before its work.
    #[must_use]
    pub fn new(function: Function, action: Action) -> Self {
        Self {
            function: Some(function),
            ..Self::everywhere(action)
        }
    }

    /// `action` at every call of any function, before its work.
    #[must_use]
    pub fn everywhere(action: Action) -> Self {
        Self {
            function: None,
            tokens: Vec::new(),
            from: 1,
            every: 1,
            times: None,
            after_ms: 0,
            across_processes: false,
            when: When::Before,
            action,
        }
    }

    /// Every call of `function` returns `code` and does nothing.
    #[must_use]
    pub fn answer(function: Function, code: Ckr) -> Self {
        Self::new(function, Action::Answer(code))
    }

    /// Only calls about this token, or about these if it is called several times.
    #[must_use]
    pub fn token(mut self, number: u32) -> Self {
        self.tokens.push(number);
        self
    }

    /// From the `n`-th call on, counted from 1.
    #[must_use]
    pub fn from(mut self, n: u64) -> Self {
        self.from = n;
        self
    }

    /// At most `k` calls are hit.
    #[must_use]
    pub fn times(mut self, k: u64) -> Self {
        self.times = Some(k);
        self
    }

    /// Only each `n`-th call is hit.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n;
        self
    }

    /// Only calls that come so many milliseconds after `C_Initialize`.
    #[must_use]
    pub fn after_ms(mut self, milliseconds: u64) -> Self {
        self.after_ms = milliseconds;
        self
    }

    /// Acts when the work is done.
    #[must_use]
    pub fn after_work(mut self) -> Self {
        self.when = When::After;
        self
    }

    /// Counts calls over all processes together.
    #[must_use]
    pub fn across_processes(mut self) -> Self {
        self.across_processes = true;
        self
    }

    /// Whether the `n`-th call, counted from 1, is hit.
    pub(crate) fn hits(&self, n: u64) -> bool {
        let Some(behind) = n.checked_sub(self.from) else {
            return false;
        };
        let every = self.every.max(1);
        behind.is_multiple_of(every) && self.times.is_none_or(|times| behind / every < times)
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Rule};

    fn hit(rule: &Rule) -> Vec<u64> {
        (1..=10).filter(|&n| rule.hits(n)).collect()
    }

    #[test]
    fn the_calls_that_are_hit() {
        let rule = Rule::everywhere(Action::Hang);
        assert_eq!(hit(&rule), (1..=10).collect::<Vec<_>>());
        assert_eq!(hit(&rule.clone().from(9)), [9, 10]);
        assert_eq!(hit(&rule.clone().from(3).times(1)), [3]);
        assert_eq!(hit(&rule.clone().from(2).every(3)), [2, 5, 8]);
        assert_eq!(hit(&rule.clone().from(2).every(3).times(2)), [2, 5]);
        assert!(hit(&rule.times(0)).is_empty());
    }

    #[test]
    fn a_rule_is_short_to_write_and_misspellings_are_refused() {
        let rule: Rule =
            serde_json::from_str(r#"{"function": "C_Login", "action": "hang"}"#).expect("a rule");
        assert_eq!(rule, Rule::new(crate::Function::Login, Action::Hang));
        for wrong in [
            r#"{"function": "C_Logon", "action": "hang"}"#,
            r#"{"function": "C_Login", "action": {"answer": "CKR_NO"}}"#,
            r#"{"function": "C_Login", "action": "hang", "form": 3}"#,
        ] {
            assert!(serde_json::from_str::<Rule>(wrong).is_err(), "{wrong}");
        }
    }
}
