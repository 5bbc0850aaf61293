//! Logging in for a check, guarded as the daemon guards its logins: by the same file and the same
//! key, written and synced before a PIN is presented and again when the token has answered.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use qseed_engine::PinTag;
use qseed_engine::guard::{HeldBack, Standing};
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, Open, PinOutcome, ToWorker, Verdict};

use super::configuration::would_be_anothers;
use crate::guard_file::{Device, Entry, GuardFile, Known, Record, Taken};
use crate::pin_outcome;
use crate::visit::{Lost, Visit};

/// Why a PIN is not presented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Held {
    #[error("the token refused this very PIN before")]
    Refused,
    #[error("this very PIN was presented before, and its outcome was never learnt")]
    OutcomeUnknown,
    #[error("that it is presented cannot be written down: {0}")]
    NotRecorded(String),
    #[error(
        "the device, which may count wrong PINs of several tokens together, has refused another \
         partition's, and this PIN was never accepted"
    )]
    DeviceInDoubt,
    /// It was only to be seen what the guard would say.
    #[error("it was not to be presented")]
    NotWanted,
}

impl From<HeldBack> for Held {
    fn from(reason: HeldBack) -> Self {
        match reason {
            HeldBack::Refused => Self::Refused,
            HeldBack::OutcomeUnknown => Self::OutcomeUnknown,
            HeldBack::NotRecorded => Self::NotRecorded("the system refused".to_owned()),
            HeldBack::DeviceInDoubt => Self::DeviceInDoubt,
        }
    }
}

/// The PIN guard's file, for one command.
#[derive(Debug)]
pub(super) struct PinBook {
    file: Result<GuardFile, String>,
    /// Whether no PIN is presented, whatever is known of it.
    only_asks: bool,
    /// What was known of the PINs that are being presented.
    before: HashMap<PinTag, Option<Standing>>,
}

impl PinBook {
    /// Opens the guard's file, and makes it where it is missing, unless that would leave a file
    /// that the daemon's user cannot use.
    pub(super) fn open(state_dir: &Path) -> Self {
        let file = match would_be_anothers(state_dir) {
            Some(owner) => Err(format!(
                "{} belongs to user {owner}, who could not use a file that this user makes there; \
                 run the check as that user",
                state_dir.display()
            )),
            None => GuardFile::open(state_dir).map_err(|error| error.to_string()),
        };
        Self {
            file,
            only_asks: false,
            before: HashMap::new(),
        }
    }

    /// The guard's file as it was read, to hear what it says of PINs without presenting any.
    pub(super) fn asking_only(file: GuardFile) -> Self {
        Self {
            file: Ok(file),
            only_asks: true,
            before: HashMap::new(),
        }
    }

    /// Why nothing can be written down, where that is so.
    fn unusable(&self) -> Option<Held> {
        self.file.as_ref().err().cloned().map(Held::NotRecorded)
    }

    /// Whether PINs are presented where the guard allows it.
    pub(super) fn presents(&self) -> bool {
        !self.only_asks
    }

    /// Whether the guard holds no PIN back: only then may its key be made anew.
    pub(super) fn key_may_be_made(&self) -> bool {
        self.presents() && self.file.as_ref().is_ok_and(GuardFile::key_may_be_made)
    }

    /// Whether a PIN may be presented. If so, that it is has been written and synced.
    fn judge(&mut self, tag: PinTag, device: Device, partition: &str) -> Result<(), Held> {
        let file = self
            .file
            .as_mut()
            .map_err(|why| Held::NotRecorded(why.clone()))?;
        file.refresh()
            .map_err(|error| Held::NotRecorded(error.to_string()))?;
        let before = file.standing(tag);
        let standing = Standing::when_presented(before)?;
        if self.only_asks {
            return Err(Held::NotWanted);
        }
        let record = record(tag, device, partition, Some(standing), None);
        let taken = file
            .append(vec![Entry {
                record,
                presents: true,
            }])
            .map_err(|error| Held::NotRecorded(error.to_string()))?;
        match taken[..] {
            [Taken::Written] => {}
            [Taken::DeviceInDoubt] => return Err(Held::DeviceInDoubt),
            // Another process presents it at this moment.
            _ => return Err(Held::OutcomeUnknown),
        }
        self.before.insert(tag, before);
        Ok(())
    }

    /// Writes down what the token answered.
    fn answered(
        &mut self,
        tag: PinTag,
        device: Device,
        partition: &str,
        outcome: PinOutcome,
    ) -> Result<(), String> {
        let file = self.file.as_mut().map_err(|why| why.clone())?;
        let before = self.before.remove(&tag).flatten();
        let standing = Standing::when_answered(before, pin_outcome::answer(outcome));
        let answer = pin_outcome::for_people(outcome);
        let record = record(tag, device, partition, standing, answer);
        let entry = Entry {
            record,
            presents: false,
        };
        file.append(vec![entry])
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn record(
    tag: PinTag,
    device: Device,
    partition: &str,
    standing: Option<Standing>,
    answer: Option<String>,
) -> Record {
    Record {
        tag: tag.0,
        standing: standing.map(Known::from),
        partition: partition.to_owned(),
        since: Timestamp::now(),
        answer,
        device: Some(device),
    }
}

/// How opening a partition ended.
#[derive(Debug)]
pub(super) struct Opening {
    /// The token, or why it is not open.
    pub(super) result: Result<TokenInfo, TokenFailure>,
    /// Whether the guard was asked: until then, the token's flags said nothing against it.
    pub(super) asked: bool,
    /// Why the PIN was held back, where it was.
    pub(super) held: Option<Held>,
    /// Why the outcome of a presentation could not be written down.
    pub(super) unwritten: Option<String>,
}

/// Opens a partition, and logs in where `open` says so and the guard allows it.
///
/// # Errors
/// [`Lost`]; a PIN that was being presented then stays written down as such.
pub(super) async fn open(
    visit: &mut Visit,
    book: &std::sync::Mutex<PinBook>,
    partition: &str,
    open: Open,
) -> Result<Opening, Lost> {
    let locked = || {
        book.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    let mut presented = None;
    let mut held = None;
    let mut unwritten = None;
    visit.send(ToWorker::Open(open));
    loop {
        match visit.message().await? {
            FromWorker::PinAsk {
                partition: number,
                ask,
                tag,
                device,
                ..
            } => {
                let (tag, device) = (PinTag(tag.0), Device::from(device));
                presented = Some((tag, device));
                held = locked().judge(tag, device, partition).err();
                let verdict = if held.is_none() {
                    Verdict::Go
                } else {
                    Verdict::Hold
                };
                visit.send(ToWorker::Verdict {
                    partition: number,
                    ask,
                    verdict,
                });
            }
            FromWorker::PinOutcome { outcome, .. } => {
                let written = presented
                    .map(|(tag, device)| locked().answered(tag, device, partition, outcome));
                unwritten = written.and_then(Result::err);
            }
            FromWorker::Opened { token, .. } => {
                return Ok(Opening {
                    result: Ok(token),
                    asked: presented.is_some(),
                    held,
                    unwritten,
                });
            }
            FromWorker::OpenFailed { failure, .. } => {
                // A key that could not be made is missing for want of a place for it.
                let no_key = failure.class == FailureClass::GuardKeyMissing;
                return Ok(Opening {
                    result: Err(failure),
                    asked: presented.is_some(),
                    held: held.or_else(|| locked().unusable().filter(|_| no_key)),
                    unwritten,
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use qseed_engine::PinTag;
    use qseed_engine::guard::Standing;
    use qseed_tokens::ckr::Ckr;
    use qseed_tokens::wire::PinOutcome;

    use super::{Held, PinBook};
    use crate::guard_file::Device;

    const TAG: PinTag = PinTag([7; 32]);
    const DEVICE: Device = Device {
        id: [1; 32],
        token: [2; 32],
    };
    const WRONG: PinOutcome = PinOutcome::Refused(Ckr::PIN_INCORRECT);

    /// A book in a folder, opened anew as by another command.
    fn book(folder: &tempfile::TempDir) -> PinBook {
        PinBook::open(folder.path())
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_refused_pin_is_held_back_by_the_next_command() {
        let folder = folder();
        let mut first = book(&folder);
        assert!(first.key_may_be_made());
        assert_eq!(first.judge(TAG, DEVICE, "ca"), Ok(()));
        first.answered(TAG, DEVICE, "ca", WRONG).expect("written");
        let mut second = book(&folder);
        assert!(!second.key_may_be_made());
        assert_eq!(second.judge(TAG, DEVICE, "ca"), Err(Held::Refused));
    }

    #[test]
    fn an_outcome_that_was_never_learnt_counts_as_refused() {
        let folder = folder();
        assert_eq!(book(&folder).judge(TAG, DEVICE, "ca"), Ok(()));
        assert_eq!(
            book(&folder).judge(TAG, DEVICE, "ca"),
            Err(Held::OutcomeUnknown)
        );
    }

    #[test]
    fn a_pin_that_was_right_is_presented_once_more_after_a_crash() {
        let folder = folder();
        let mut first = book(&folder);
        assert_eq!(first.judge(TAG, DEVICE, "ca"), Ok(()));
        first
            .answered(TAG, DEVICE, "ca", PinOutcome::Accepted)
            .expect("written");
        assert_eq!(book(&folder).judge(TAG, DEVICE, "ca"), Ok(()));
        assert_eq!(book(&folder).judge(TAG, DEVICE, "ca"), Ok(()));
        assert_eq!(
            book(&folder).judge(TAG, DEVICE, "ca"),
            Err(Held::OutcomeUnknown)
        );
    }

    #[test]
    fn an_answer_that_judges_nothing_leaves_what_was_known() {
        let folder = folder();
        let mut first = book(&folder);
        for _ in 0..3 {
            assert_eq!(first.judge(TAG, DEVICE, "ca"), Ok(()));
            first
                .answered(TAG, DEVICE, "ca", PinOutcome::AlreadyLoggedIn)
                .expect("written");
        }
        let file = first.file.as_ref().expect("a file");
        assert_eq!(file.standing(TAG), None);
    }

    #[test]
    fn an_unclear_answer_allows_one_more_presentation() {
        let folder = folder();
        let unclear = PinOutcome::Unclear(Ckr::GENERAL_ERROR);
        let mut book = book(&folder);
        for _ in 0..2 {
            assert_eq!(book.judge(TAG, DEVICE, "ca"), Ok(()));
            book.answered(TAG, DEVICE, "ca", unclear).expect("written");
        }
        assert_eq!(book.judge(TAG, DEVICE, "ca"), Err(Held::OutcomeUnknown));
        let file = book.file.as_ref().expect("a file");
        assert_eq!(file.standing(TAG), Some(Standing::Presented));
    }

    #[test]
    fn without_a_file_no_pin_is_presented() {
        let folder = folder();
        let file = folder.path().join("state");
        std::fs::write(&file, "in the way").expect("written");
        let mut book = PinBook::open(&file);
        assert!(matches!(
            book.judge(TAG, DEVICE, "ca"),
            Err(Held::NotRecorded(_))
        ));
    }
}
