//! What a worker tells of a presentation, for the guard and for people.

use qseed_engine::guard::PinAnswer;
use qseed_tokens::wire::PinOutcome;

/// What it means to the guard.
pub(crate) fn answer(outcome: PinOutcome) -> PinAnswer {
    match outcome {
        PinOutcome::Accepted => PinAnswer::Accepted,
        PinOutcome::Refused(_) => PinAnswer::Refused,
        PinOutcome::AlreadyLoggedIn | PinOutcome::NotJudged(_) | PinOutcome::NotPresented => {
            PinAnswer::NotJudged
        }
        PinOutcome::Unclear(_) => PinAnswer::Unclear,
    }
}

/// What the token answered, where it was no success.
pub(crate) fn for_people(outcome: PinOutcome) -> Option<String> {
    match outcome {
        PinOutcome::Refused(ckr) | PinOutcome::NotJudged(ckr) | PinOutcome::Unclear(ckr) => {
            Some(format!("C_Login: {ckr}"))
        }
        PinOutcome::Accepted | PinOutcome::AlreadyLoggedIn | PinOutcome::NotPresented => None,
    }
}
