//! Logs in for a check. The PIN guard is the daemon's: the same file and the same key, written and
//! synced before a PIN is presented and again when the token has answered.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use qseed_config::Login;
use qseed_engine::guard::Contents;
use qseed_model::pins::{HeldBack, PinAnswer, PinTags, ProcessTag, Standing};
use qseed_tokens::ckr::Ckr;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, Open, ToWorker};

use super::partitions::Found;
use super::verdict::Subject;
use crate::exit::Code;
use crate::guard_file::{self, Entry, GuardFile};
use crate::module_worker::{ModuleFailure, ModuleWorker};
use crate::state_dir::{StateDir, StateDirError};

/// The PIN guard's file, for one command.
pub(super) struct PinGuard(Mutex<Access>);

enum Access {
    /// PINs are presented where the guard allows it.
    Presents(GuardFile),
    /// No PIN is presented, and nothing written.
    Reads(Contents),
}

/// Why a PIN was not presented.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    /// The guard holds it back; with the partition that presented it before.
    Back(HeldBack, Option<String>),
    /// The attempt could not be recorded.
    NotRecorded(String),
    /// The guard allows it, but this command presents none.
    NotWanted,
}

impl PinGuard {
    /// For presenting PINs. Opens the guard's file, and makes it if it is missing.
    ///
    /// # Errors
    /// Why nothing can be recorded, so that no PIN may be presented.
    pub(super) fn presenting(state_dir: &Path) -> Result<Self, String> {
        match StateDir::create(state_dir).and_then(GuardFile::open) {
            Ok(file) => Ok(Self(Mutex::new(Access::Presents(file)))),
            Err(StateDirError::NotOurs { path, owner, .. }) => {
                let path = path.display();
                Err(format!(
                    "{path} belongs to user {owner}; run the check as that user"
                ))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// For finding PINs that are held back; absent if none is. A file that cannot be read has a
    /// verdict of its own.
    pub(super) fn reading(state_dir: &Path) -> Option<Self> {
        let dir = guard_file::operators_dir(state_dir).ok()?;
        let contents = guard_file::read(&dir).ok()?;
        let records = &contents.records;
        let is_held = |standing: Standing| standing.held_back().is_some();
        let holds_back =
            records.lost().is_some() || records.iter().any(|it| it.standing.is_some_and(is_held));
        holds_back.then(|| Self(Mutex::new(Access::Reads(contents))))
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether PINs are presented where the guard allows it.
    pub(super) fn presents(&self) -> bool {
        matches!(*self.access(), Access::Presents(_))
    }

    /// Whether the guard's key may be made.
    pub(super) fn key_may_be_made(&self) -> bool {
        matches!(&*self.access(), Access::Presents(file) if file.key_may_be_made())
    }

    /// Whether a PIN may be presented. If so, the attempt is on the disk.
    fn judge(&self, tags: &PinTags, partition: &str) -> Result<(), Held> {
        let mut access = self.access();
        let judged = match &mut *access {
            Access::Presents(file) => {
                let held = file.append(&[Entry::Present(*tags, partition.to_owned())]);
                let held = held.map_err(|error| Held::NotRecorded(error.to_string()))?;
                held.into_iter().flatten().next()
            }
            Access::Reads(contents) => {
                let nobody = ProcessTag([0; 8]);
                let judged = contents.records.judge(tags, partition, nobody, |_| true);
                Some(judged.err().ok_or(Held::NotWanted)?)
            }
        };
        let Some(reason) = judged else { return Ok(()) };
        let contents = match &*access {
            Access::Presents(file) => file.contents(),
            Access::Reads(contents) => contents,
        };
        let mut records = contents.records.iter();
        let record = records.find(|record| record.tag == tags.tag);
        let presenter = record.map(|record| record.partition.clone());
        Err(Held::Back(reason, presenter))
    }

    /// Records what the token answered.
    fn record(&self, tags: &PinTags, answer: PinAnswer, ckr: Option<Ckr>) -> Result<(), String> {
        let Access::Presents(file) = &mut *self.access() else {
            return Ok(());
        };
        let said = ckr.map(|ckr| format!("C_Login: {ckr}"));
        let entry = Entry::Answer(tags.tag, answer, said);
        let recorded = file.append(&[entry]);
        recorded.map(drop).map_err(|error| error.to_string())
    }
}

/// Opens a partition, logs in if `open` says so and the guard allows it, and adds the verdicts.
///
/// # Errors
/// The module failed. A PIN that was being presented stays recorded as such.
pub(super) async fn open(
    worker: &mut ModuleWorker,
    guard: Option<&PinGuard>,
    found: &mut Found<'_>,
    open: Open,
) -> Result<(), ModuleFailure> {
    let mut asked = None;
    let mut held = None;
    worker.send(ToWorker::Open(open));
    loop {
        match worker.answer().await? {
            FromWorker::PinAsk {
                partition,
                ask,
                tags,
                ..
            } => {
                asked = Some(tags);
                let name = &found.partition.name;
                let judged = guard.map_or(Err(Held::NotWanted), |guard| guard.judge(&tags, name));
                held = judged.err();
                worker.send(ToWorker::Verdict {
                    partition,
                    ask,
                    held_back: held.as_ref().map(|held| match held {
                        Held::Back(reason, _) => *reason,
                        Held::NotRecorded(_) | Held::NotWanted => HeldBack::NotRecorded,
                    }),
                });
            }
            FromWorker::PinOutcome { answer, ckr, .. } => {
                if let Some((guard, tags)) = guard.zip(asked)
                    && let Err(why) = guard.record(&tags, answer, ckr)
                {
                    let text = format!("the token's answer could not be recorded: {why}");
                    let fix = "let qseed's user write to `state_dir`, then qseed guard --clear";
                    found.subject.fault_of(Code::Permission, "guard", text, fix);
                }
            }
            FromWorker::Opened { .. } => {
                found.is_open = true;
                if guard.is_some() {
                    let text = format!("logged in as {}", found.partition.login);
                    found.subject.ok("login", text);
                }
                return Ok(());
            }
            FromWorker::OpenFailed { failure, .. } => {
                match failure.class {
                    // The token's flags have a verdict of their own.
                    FailureClass::PinGuarded if asked.is_none() => {}
                    FailureClass::PinUnavailable if found.partition.login == Login::Protected => {}
                    _ => not_open(found, &failure, held),
                }
                return Ok(());
            }
            _ => {}
        }
    }
}

fn not_open(found: &mut Found<'_>, failure: &TokenFailure, held: Option<Held>) {
    const CHECK: &str = "login";
    match (held, failure.class) {
        (Some(Held::NotWanted), _) => {}
        (Some(Held::Back(_, presenter)), _) => found.failed(CHECK, failure, presenter),
        (Some(Held::NotRecorded(why)), _) => not_recorded(&mut found.subject, &why),
        (None, FailureClass::GuardKeyMissing) => {
            let text = format!("no PIN was presented: {failure}");
            let fix = "let qseed's user read and write `state_dir`; if the key is lost or damaged, see: \
                       qseed guard";
            found.subject.fault_of(Code::Permission, CHECK, text, fix);
        }
        (
            None,
            FailureClass::PinRefused
            | FailureClass::PinGuarded
            | FailureClass::PinUnavailable
            | FailureClass::AnotherLogin,
        ) => found.failed(CHECK, failure, None),
        (None, _) => found.failed("session", failure, None),
    }
}

/// No PIN was presented, since nothing can be recorded.
pub(super) fn not_recorded(subject: &mut Subject, why: &str) {
    let text = format!("no PIN was presented: cannot write to the PIN guard file: {why}");
    let fix = "let qseed's user write to `state_dir`";
    subject.fault_of(Code::Permission, "login", text, fix);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use qseed_model::pins::{HeldBack, PinAnswer, PinTags};
    use qseed_tokens::ckr::Ckr;

    use super::{Held, PinGuard};
    use crate::guard_file::tests::tags;

    fn folder() -> (tempfile::TempDir, PinTags) {
        let folder = tempfile::tempdir().expect("a folder");
        (folder, tags(7))
    }

    fn presenting(folder: &Path) -> PinGuard {
        PinGuard::presenting(folder).expect("a guard")
    }

    fn held(reason: HeldBack) -> Result<(), Held> {
        Err(Held::Back(reason, Some("ca".to_owned())))
    }

    #[test]
    fn the_next_command_holds_a_refused_pin_back_and_names_who_presented_it() {
        let (folder, tags) = folder();
        let first = presenting(folder.path());
        assert!(first.key_may_be_made());
        assert_eq!(first.judge(&tags, "ca"), Ok(()));
        let recorded = first.record(&tags, PinAnswer::Refused, Some(Ckr::PIN_INCORRECT));
        recorded.expect("recorded");
        let second = presenting(folder.path());
        assert!(!second.key_may_be_made());
        assert_eq!(second.judge(&tags, "renamed"), held(HeldBack::Refused));
    }

    #[test]
    fn a_command_that_was_killed_leaves_one_more_presentation() {
        let (folder, tags) = folder();
        for _ in 0..2 {
            assert_eq!(presenting(folder.path()).judge(&tags, "ca"), Ok(()));
        }
        let third = presenting(folder.path()).judge(&tags, "ca");
        assert_eq!(third, held(HeldBack::OutcomeUnknown));
    }

    #[test]
    fn an_answer_that_judges_nothing_leaves_what_was_known() {
        let (folder, tags) = folder();
        let guard = presenting(folder.path());
        for _ in 0..3 {
            assert_eq!(guard.judge(&tags, "ca"), Ok(()));
            let recorded = guard.record(&tags, PinAnswer::NotJudged, None);
            recorded.expect("recorded");
        }
    }

    #[test]
    fn without_a_file_no_pin_is_presented() {
        let (folder, _) = folder();
        let file = folder.path().join("state");
        std::fs::write(&file, "in the way").expect("written");
        assert!(PinGuard::presenting(&file).is_err());
    }
}
