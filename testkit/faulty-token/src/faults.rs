//! The steering file: which tokens there are and what is wrong with them.
//!
//! The file is a patch over [`Faults::default`]: what it does not mention is as it is there, and
//! what it says of one token (`tokens`) is a patch over what it says of all (`defaults`). An
//! unknown name is an error, so a misspelt fault does not pass for a healthy token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Function, Rule, TokenSettings};

/// Everything that the steering file says. The default is one healthy token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// How many slots there are, each with a token; tokens are numbered from 0.
    pub slots: u32,
    /// The slot id of token 0; token n sits in slot `first_slot_id` + n unless it says otherwise.
    pub first_slot_id: u64,
    /// When the module notices tokens that came.
    pub slot_list: SlotList,
    /// Sessions that can be open at once in a process, over all tokens; none: no limit.
    pub max_sessions: Option<u32>,
    /// The string that `C_Initialize` wants as NSS's library parameters; without it or with
    /// another it answers `CKR_ARGUMENTS_BAD`. None: any string is refused.
    pub init_args: Option<String>,
    /// A thread that the module runs from `C_Initialize` to `C_Finalize`.
    pub thread: Option<BackgroundThread>,
    /// How long calls take at least, in microseconds, by function.
    pub latency_us: BTreeMap<Function, u64>,
    /// Records every call, not only those of interest ([`crate::Call`]).
    pub record_all: bool,
    /// The library's manufacturer (`CK_INFO`), at most 32 bytes.
    pub manufacturer: String,
    /// The library's description (`CK_INFO`), at most 32 bytes.
    pub description: String,
    /// What holds for every token.
    pub defaults: TokenSettings,
    /// What holds for a token of this number instead.
    pub tokens: BTreeMap<u32, TokenSettings>,
    /// Faults of functions.
    pub rules: Vec<Rule>,
}

/// When a module notices a token that came (one that went is noticed at once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotList {
    /// At once.
    Live,
    /// When `C_GetSlotList` is called with a null list, as PKCS#11 2.40 section 5.5 has it.
    OnNullList,
    /// At `C_Initialize` alone: the application must finalize first.
    OnInitialize,
}

/// A thread of the module's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundThread {
    /// What it writes to standard error, as it is; empty: nothing.
    #[serde(default)]
    pub stderr: String,
    /// How often, in milliseconds (at least 1).
    #[serde(default = "a_second")]
    pub every_ms: u64,
}

fn a_second() -> u64 {
    1000
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            slots: 1,
            first_slot_id: 0,
            slot_list: SlotList::Live,
            max_sessions: None,
            init_args: None,
            thread: None,
            latency_us: BTreeMap::new(),
            record_all: false,
            manufacturer: "qseed".to_owned(),
            description: "faulty token".to_owned(),
            defaults: TokenSettings::default(),
            tokens: BTreeMap::new(),
            rules: Vec::new(),
        }
    }
}

impl Faults {
    /// Reads a steering file's text.
    ///
    /// # Errors
    /// [`Error::Steering`] where it is no JSON, or names something that is not there.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |error: serde_json::Error| Error::Steering(error.to_string());
        let to_value = |value| serde_json::to_value(value).map_err(wrong);
        let mut whole = to_value(Self::default())?;
        patch(&mut whole, serde_json::from_str(text).map_err(wrong)?);
        let defaults = whole["defaults"].clone();
        if let Some(tokens) = whole.get_mut("tokens").and_then(Value::as_object_mut) {
            for token in tokens.values_mut() {
                let mut settings = defaults.clone();
                patch(&mut settings, token.take());
                *token = settings;
            }
        }
        serde_json::from_value(whole).map_err(wrong)
    }

    /// What holds for token `number`.
    #[must_use]
    pub fn settings(&self, number: u32) -> &TokenSettings {
        self.tokens.get(&number).unwrap_or(&self.defaults)
    }

    /// Token `number`'s own settings, to change; until now those of all.
    pub fn token(&mut self, number: u32) -> &mut TokenSettings {
        self.tokens
            .entry(number)
            .or_insert_with(|| self.defaults.clone())
    }

    /// The slot that token `number` sits in.
    #[must_use]
    pub fn slot_of(&self, number: u32) -> u64 {
        self.settings(number)
            .slot
            .unwrap_or(self.first_slot_id + u64::from(number))
    }

    /// Pulls a token out: its sessions die, even if it is put back before anyone looks.
    pub fn remove(&mut self, number: u32) {
        self.token(number).present = false;
        self.lose_sessions(number);
    }

    /// Puts a token back in.
    pub fn insert(&mut self, number: u32) {
        self.token(number).present = true;
    }

    /// Lets two tokens change places.
    pub fn swap(&mut self, one: u32, other: u32) {
        let (slot_of_one, slot_of_other) = (self.slot_of(one), self.slot_of(other));
        self.token(one).slot = Some(slot_of_other);
        self.token(other).slot = Some(slot_of_one);
    }

    /// Initialises a token again: its sessions end, and its PIN counter starts from 0.
    pub fn reinitialize(&mut self, number: u32) {
        self.token(number).generation += 1;
    }

    /// Kills a token's sessions.
    pub fn lose_sessions(&mut self, number: u32) {
        self.token(number).session_epoch += 1;
    }
}

/// Lays `with` over `value`: objects member by member, anything else whole.
fn patch(value: &mut Value, with: Value) {
    match (value, with) {
        (Value::Object(members), Value::Object(patches)) => {
            for (name, with) in patches {
                patch(members.entry(name).or_insert(Value::Null), with);
            }
        }
        (value, with) => *value = with,
    }
}

#[cfg(test)]
mod tests {
    use super::Faults;
    use crate::{Action, Ckr, Function, PinPad, PinSettings, Rule, User};

    fn parse(text: &str) -> Faults {
        Faults::parse(text).expect("a steering file")
    }

    #[test]
    fn an_empty_file_is_one_healthy_token() {
        assert_eq!(parse("{}"), Faults::default());
    }

    #[test]
    fn a_token_is_a_patch_over_all_tokens_and_these_over_the_default() {
        let faults = parse(
            r#"{"slots": 3,
                "defaults": {"user": {"tries": 3}, "model": "M"},
                "tokens": {"1": {"user": {"flags": false}, "pin_pad": "wrong"}}}"#,
        );
        let one = faults.settings(1);
        assert_eq!(
            one.user,
            PinSettings {
                pin: Some("1234".to_owned()),
                tries: Some(3),
                flags: false,
            }
        );
        assert_eq!(
            (one.model.as_str(), one.pin_pad),
            ("M", Some(PinPad::Wrong))
        );
        assert!(faults.settings(2).user.flags);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut faults = Faults {
            slots: 5,
            ..Faults::default()
        };
        faults.swap(0, 3);
        faults
            .token(2)
            .vendor_users
            .insert(User(0x8000_0001), PinSettings::new("crypto"));
        faults.latency_us.insert(Function::SeedRandom, 3);
        faults.rules.push(
            Rule::answer(Function::Login, Ckr(0x8000_0011))
                .from(2)
                .token(1),
        );
        faults.rules.push(
            Rule::everywhere(Action::Exit(3))
                .after_work()
                .across_processes(),
        );
        let text = serde_json::to_string(&faults).expect("JSON");
        assert_eq!(parse(&text), faults);
        assert_eq!((faults.slot_of(0), faults.slot_of(3)), (3, 0));
    }

    #[test]
    fn unknown_names_are_refused() {
        for wrong in [
            r#"{"slot": 3}"#,
            r#"{"defaults": {"labels": "x"}}"#,
            r#"{"tokens": {"0": {"user": {"try": 1}}}}"#,
            r#"{"defaults": {"set_flags": ["CKF_NONSENSE"]}}"#,
            r#"{"latency_us": {"C_Seed": 1}}"#,
            "[]",
        ] {
            assert!(Faults::parse(wrong).is_err(), "{wrong}");
        }
    }
}
