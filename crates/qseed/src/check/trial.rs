//! What was tried on a partition's token, and what came of it.

use qseed_config::Partition;
use qseed_model::Login;
use qseed_model::pins::HeldBack;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, Open, PinSource, ToWorker};

use super::pins::{Held, Opening};
use super::probe::Probe;
use super::verdict::{Subject, Verdict};
use crate::advice;
use crate::exit::Code;
use crate::visit::{Lost, Visit};

/// What was tried on a partition, and what came of it.
#[derive(Default)]
pub(super) struct Trial {
    pub(super) opening: Option<Opening>,
    /// Why a session without a login could not be had.
    pub(super) no_session: Option<TokenFailure>,
    pub(super) probe: Option<Probe>,
    /// Why the module was lost in the middle of it.
    pub(super) lost: Option<Lost>,
    /// The module was lost too often before.
    pub(super) not_tried: bool,
}

/// Opens a partition that is not logged in to.
pub(super) async fn open_without_login(
    visit: &mut Visit,
    open: Open,
) -> Result<Result<(), TokenFailure>, Lost> {
    visit.send(ToWorker::Open(Open {
        login: Login::None,
        pin: PinSource::None,
        // The probe tries whole lengths.
        chunk: None,
        ..open
    }));
    loop {
        match visit.message().await? {
            FromWorker::Opened { .. } => return Ok(Ok(())),
            FromWorker::OpenFailed { failure, .. } => return Ok(Err(failure)),
            _ => {}
        }
    }
}

impl Trial {
    /// Whether the token took a seed.
    pub(super) fn took_seeds(&self) -> bool {
        self.probe.as_ref().is_some_and(Probe::took_any)
    }

    pub(super) fn verdicts(
        &self,
        subject: &Subject,
        partition: &Partition,
        presents_pin: bool,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        if self.not_tried {
            let text = "not tried, since the module hung or crashed again and again before";
            verdicts.push(subject.fault("session", text, "see the partitions before it"));
        }
        if let Some(opening) = &self.opening {
            verdicts.extend(opened(subject, partition, opening));
        }
        if let Some(failure) = &self.no_session {
            verdicts.push(no_session(subject, failure));
        }
        if let Some(lost) = &self.lost {
            let (check, text) = match (&self.opening, presents_pin) {
                (Some(_), _) => ("seeding", lost.to_string()),
                (None, false) => ("session", lost.to_string()),
                (None, true) => (
                    "login",
                    format!(
                        "{lost}; if the PIN was being presented, it is presented once more and then held back"
                    ),
                ),
            };
            verdicts.push(subject.fault(check, text, lost.fix(&partition.module)));
        }
        let probe = self.probe.as_ref();
        verdicts.extend(probe.map(|probe| probe.verdict(subject, partition)));
        verdicts
    }
}

fn opened(subject: &Subject, partition: &Partition, opening: &Opening) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    match &opening.result {
        Ok(_) => {
            let login = partition.login;
            verdicts.push(subject.ok("login", format!("logged in as {login}")));
        }
        Err(_) if opening.held == Some(Held::NotWanted) => {}
        // The token's flags have a verdict of their own, if they were like this before.
        Err(failure) if failure.class == FailureClass::PinGuarded && !opening.asked => {}
        Err(failure) if failure.class == FailureClass::PinGuarded => {
            let fix =
                "log in once with the vendor's tool, or have the security officer reset the PIN";
            verdicts.push(subject.fault("login", failure.to_string(), fix));
        }
        Err(failure) => verdicts.push(not_open(subject, partition, failure, opening)),
    }
    if let Some(why) = &opening.unwritten {
        let text = format!("what the token answered could not be written down: {why}");
        let fix = "let qseed's user write to `state_dir`, then qseed guard --clear";
        verdicts.push(subject.fault_of(Code::Permission, "guard", text, fix));
    }
    verdicts
}

fn not_open(
    subject: &Subject,
    partition: &Partition,
    failure: &TokenFailure,
    opening: &Opening,
) -> Verdict {
    let name = &partition.name;
    match (&opening.held, failure.class) {
        (Some(Held::NotRecorded(why)), _) => subject.fault_of(
            Code::Permission,
            "login",
            format!("no PIN was presented: cannot write to the PIN guard file: {why}"),
            "let qseed's user write to `state_dir`",
        ),
        (Some(Held::Guard(reason)), _) => {
            let fix = match reason {
                HeldBack::Refused | HeldBack::OutcomeUnknown => format!(
                    "put the right PIN into the configuration or, if it is right and the token was \
                     mended instead, run: qseed guard --clear {name}"
                ),
                HeldBack::DeviceInDoubt => {
                    "fix the other partition first, or run qseed guard --clear for it; qseed guard \
                     lists it"
                        .to_owned()
                }
                HeldBack::GuardLost => "run: qseed guard --reset".to_owned(),
                HeldBack::InFlight | HeldBack::NotRecorded => "run this check again".to_owned(),
            };
            let text = format!("no PIN was presented: {}", advice::held_back(*reason));
            subject.fault("login", text, fix)
        }
        (None, FailureClass::PinRefused) => subject.fault(
            "login",
            format!("{failure}; this PIN will not be presented to this token again"),
            format!(
                "put the right PIN into the configuration, or, if the token was mended instead, \
                 run: qseed guard --clear {name}"
            ),
        ),
        (None, FailureClass::PinUnavailable) => subject.fault(
            "login",
            failure.to_string(),
            "correct `pin` in the configuration",
        ),
        (None, FailureClass::GuardKeyMissing) => subject.fault_of(
            Code::Permission,
            "login",
            format!("no PIN was presented: {failure}"),
            "let the user that qseed runs as read and write `state_dir`",
        ),
        (None, FailureClass::AnotherLogin) => {
            subject.fault("login", failure.to_string(), "use one login for the token")
        }
        (None | Some(Held::NotWanted), _) => no_session(subject, failure),
    }
}

fn no_session(subject: &Subject, failure: &TokenFailure) -> Verdict {
    let fix = "look at the token with its vendor's tool";
    subject.fault("session", failure.to_string(), fix)
}
