//! Logging in for a check, guarded as the daemon guards its logins: by the same file and the same
//! key, written and synced before a PIN is presented and again when the token has answered.

use std::path::Path;

use qseed_model::pins::{HeldBack, PinTags, ProcessTag};
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, Open, PinOutcome, ToWorker, Verdict};

use super::configuration::belongs_to_other_user;
use crate::guard_file::{Contents, Entry, GuardFile};
use crate::visit::{Lost, Visit};

/// Why a PIN is not presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The guard's file says so.
    Guard(HeldBack),
    /// The attempt could not be recorded.
    NotRecorded(String),
    /// It was only asked what the guard would say.
    NotWanted,
}

/// The PIN guard's file, for one command.
#[derive(Debug)]
pub(super) enum PinBook {
    /// To present PINs; or why that cannot be.
    Presents(Result<GuardFile, String>),
    /// To hear what the guard would say, and present none.
    Asks(Contents),
}

impl PinBook {
    /// Opens the guard's file, and makes it where it is missing, unless that would leave a file
    /// that the daemon's user cannot use.
    pub(super) fn open(state_dir: &Path) -> Self {
        let file = match belongs_to_other_user(state_dir) {
            Some(owner) => Err(format!(
                "{} belongs to user {owner}, who could not use a file that this user makes there; \
                 run the check as that user",
                state_dir.display()
            )),
            None => GuardFile::open(state_dir).map_err(|error| error.to_string()),
        };
        Self::Presents(file)
    }

    /// Why nothing can be recorded, where that is so.
    fn unusable(&self) -> Option<Held> {
        match self {
            Self::Presents(Err(why)) => Some(Held::NotRecorded(why.clone())),
            Self::Presents(Ok(_)) | Self::Asks(_) => None,
        }
    }

    /// Whether PINs are presented where the guard allows it.
    pub(super) fn presents(&self) -> bool {
        matches!(self, Self::Presents(_))
    }

    /// Whether the guard's key may be made.
    pub(super) fn key_may_be_made(&self) -> bool {
        matches!(self, Self::Presents(Ok(file)) if file.key_may_be_made())
    }

    /// Whether a PIN may be presented. If so, the attempt is on the disk.
    fn judge(&mut self, tags: &PinTags, partition: &str) -> Result<(), Held> {
        let file = match self {
            Self::Presents(file) => file
                .as_mut()
                .map_err(|why| Held::NotRecorded(why.clone()))?,
            Self::Asks(contents) => {
                let nobody = ProcessTag([0; 8]);
                let judged = contents.records.judge(tags, partition, nobody, |_| true);
                return Err(judged.map_or_else(Held::Guard, |_| Held::NotWanted));
            }
        };
        let entry = Entry::Present(*tags, partition.to_owned());
        let held = file.append(&[entry]);
        let held = held.map_err(|error| Held::NotRecorded(error.to_string()))?;
        held.into_iter()
            .flatten()
            .next()
            .map_or(Ok(()), |reason| Err(Held::Guard(reason)))
    }

    /// Records what the token answered.
    fn answered(&mut self, tags: &PinTags, outcome: PinOutcome) -> Result<(), String> {
        let Self::Presents(file) = self else {
            return Ok(());
        };
        let file = file.as_mut().map_err(|why| why.clone())?;
        let entry = Entry::Answer(tags.tag, outcome.answer(), outcome.said());
        file.append(&[entry])
            .map(drop)
            .map_err(|error| error.to_string())
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
                tags,
                ..
            } => {
                presented = Some(tags);
                held = locked().judge(&tags, partition).err();
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
                let written = presented.map(|tags| locked().answered(&tags, outcome));
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
    use qseed_model::pins::{HeldBack, PinTags};
    use qseed_tokens::ckr::Ckr;
    use qseed_tokens::wire::PinOutcome;

    use super::{Held, PinBook};
    use crate::guard_file::tests::tags;

    const WRONG: PinOutcome = PinOutcome::Refused(Ckr::PIN_INCORRECT);

    fn folder() -> (tempfile::TempDir, PinTags) {
        let folder = tempfile::tempdir().expect("a folder");
        (folder, tags(7))
    }

    #[test]
    fn a_refused_pin_is_held_back_by_the_next_command() {
        let (folder, tags) = folder();
        let mut first = PinBook::open(folder.path());
        assert!(first.key_may_be_made());
        assert_eq!(first.judge(&tags, "ca"), Ok(()));
        first.answered(&tags, WRONG).expect("recorded");
        let mut second = PinBook::open(folder.path());
        assert!(!second.key_may_be_made());
        assert_eq!(
            second.judge(&tags, "ca"),
            Err(Held::Guard(HeldBack::Refused))
        );
    }

    #[test]
    fn a_command_that_was_killed_leaves_one_more_presentation() {
        let (folder, tags) = folder();
        for _ in 0..2 {
            assert_eq!(PinBook::open(folder.path()).judge(&tags, "ca"), Ok(()));
        }
        let third = PinBook::open(folder.path()).judge(&tags, "ca");
        assert_eq!(third, Err(Held::Guard(HeldBack::OutcomeUnknown)));
    }

    #[test]
    fn an_answer_that_judges_nothing_leaves_what_was_known() {
        let (folder, tags) = folder();
        let mut book = PinBook::open(folder.path());
        for _ in 0..3 {
            assert_eq!(book.judge(&tags, "ca"), Ok(()));
            book.answered(&tags, PinOutcome::AlreadyLoggedIn)
                .expect("recorded");
        }
    }

    #[test]
    fn without_a_file_no_pin_is_presented() {
        let (folder, tags) = folder();
        let file = folder.path().join("state");
        std::fs::write(&file, "in the way").expect("written");
        let judged = PinBook::open(&file).judge(&tags, "ca");
        assert!(matches!(judged, Err(Held::NotRecorded(_))));
    }
}
