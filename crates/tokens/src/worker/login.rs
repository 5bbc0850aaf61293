//! Logging in. No PIN is presented before the daemon's guard has allowed it.
//!
//! The order: read the token's flags and the PIN, see whether another partition is logged in to the
//! token, ask the daemon, read the flags once more, `C_Login`, report the answer.

use std::sync::atomic::Ordering;

use qseed_model::Login;
use qseed_model::pins::{PinAnswer, PinTags};
use qseed_secrets::{Secret, SecretRef};

use super::Worker;
use super::logins::{Approach, Credential};
use super::operation::Operation;
use super::partition::{Partition, Pending, Phase, TokenSession};
use crate::ckr::Ckr;
use crate::directory::{PinFlags, TokenFlag, TokenInfo};
use crate::failure::{FailureClass, TokenFailure, refuses_pin};
use crate::wire::{FromWorker, Open, PinSource};

/// A PIN that waits for the guard's verdict.
pub(super) struct Question {
    pub(super) ask: u64,
    credential: Credential,
    /// `None`: to be entered at the token.
    pin: Option<Secret>,
}

/// A PIN for a token, and the token as it was read just now.
struct Offer {
    credential: Credential,
    pin: Option<Secret>,
    tags: PinTags,
    token: TokenInfo,
}

impl Partition {
    /// Logs the session in, if the partition wants a login, and goes on with what waits for it.
    pub(super) fn log_in(&mut self, op: &Operation<'_>, pending: Pending) {
        if pending.session.how.login == Login::None {
            return self.proceed(op, pending);
        }
        let offer = match prepare(op, &pending.session) {
            Ok(offer) => offer,
            Err(failure) => return self.give_up(op, pending, failure),
        };
        let slot = pending.session.slot.id();
        let approach = op.worker.logins().approach(slot, self.id, offer.credential);
        match approach {
            Approach::Joined => self.proceed(op, pending),
            Approach::Wait => {
                self.phase = Phase::Waiting(pending);
                let partition = self.id;
                op.send(&FromWorker::Waits { partition });
            }
            Approach::Conflict(other) => {
                let text = format!(
                    "another partition of this configuration is the same token and logs in as {other}"
                );
                let failure = TokenFailure::new(FailureClass::AnotherLogin, text);
                self.give_up(op, pending, failure);
            }
            Approach::Ask => self.ask(op, pending, offer),
        }
    }

    fn ask(&mut self, op: &Operation<'_>, pending: Pending, offer: Offer) {
        let Offer {
            credential,
            pin,
            tags,
            token,
        } = offer;
        if let Err(failure) = allows_a_try(&token, credential.login) {
            return self.login_failed(op, pending, failure);
        }
        let ask = op.worker.asks.fetch_add(1, Ordering::Relaxed);
        self.phase = Phase::Asking(
            pending,
            Question {
                ask,
                credential,
                pin,
            },
        );
        op.send(&FromWorker::PinAsk {
            partition: self.id,
            ask,
            tags,
            count_low: PinFlags::of(&token, credential.login).count_low,
        });
    }

    /// Carries out the guard's verdict.
    pub(super) fn judged(
        &mut self,
        op: &Operation<'_>,
        pending: Pending,
        question: Question,
        present: bool,
    ) {
        if !present {
            let failure = TokenFailure::new(FailureClass::PinHeld, "the PIN is held back");
            return self.login_failed(op, pending, failure);
        }
        let Question {
            ask,
            credential,
            pin,
        } = question;
        let session = &pending.session;
        // While the question waited, another PIN may have brought the token to its last try.
        let still_allows =
            recheck(op, session).and_then(|token| allows_a_try(&token, credential.login));
        if let Err(failure) = still_allows {
            self.report_answer(op, ask, PinAnswer::NotJudged, None);
            return self.login_failed(op, pending, failure);
        }
        let login = credential.login;
        let returned = match op.module().login(&session.handle, login, pin.as_ref()) {
            Ok(()) => Ok(PinAnswer::Accepted),
            Err(failure) if failure.ckr == Some(Ckr::USER_ALREADY_LOGGED_IN) => {
                Ok(PinAnswer::NotJudged)
            }
            Err(failure) => Err(failure),
        };
        drop(pin);
        let (answer, ckr) = match &returned {
            Ok(answer) => (*answer, None),
            Err(failure) => (judge(failure.ckr, &session.token.manufacturer), failure.ckr),
        };
        // Before another partition can ask: the guard must know this answer by then.
        self.report_answer(op, ask, answer, ckr);
        if let Err(failure) = returned {
            return self.login_failed(op, pending, failure);
        }
        op.settle_login(session.slot.id(), self.id, Some(credential));
        self.proceed(op, pending);
    }

    /// Tells the guard what became of a PIN that it was asked about.
    pub(super) fn report_answer(
        &self,
        op: &Operation<'_>,
        ask: u64,
        answer: PinAnswer,
        ckr: Option<Ckr>,
    ) {
        op.send(&FromWorker::PinOutcome {
            partition: self.id,
            ask,
            answer,
            ckr,
        });
    }

    /// Ends this partition's turn without a login.
    fn login_failed(&mut self, op: &Operation<'_>, pending: Pending, failure: TokenFailure) {
        op.settle_login(pending.session.slot.id(), self.id, None);
        self.give_up(op, pending, failure);
    }
}

/// Reads the token's flags and the PIN.
fn prepare(op: &Operation<'_>, session: &TokenSession) -> Result<Offer, TokenFailure> {
    let token = recheck(op, session)?;
    let login = session.how.login;
    let pin = if login == Login::Protected {
        if !token.has(TokenFlag::ProtectedAuthenticationPath) {
            let text = "the token has no PIN pad (no protected authentication path), which \
                        login: protected needs";
            return Err(TokenFailure::new(FailureClass::PinUnavailable, text));
        }
        None
    } else {
        Some(read_pin(op.worker, &session.how)?)
    };
    let tags = op.worker.guard.tags(&token, login, pin.as_ref())?;
    let tag = tags.tag;
    Ok(Offer {
        credential: Credential { login, tag },
        pin,
        tags,
        token,
    })
}

/// Reads the token's information again. A PIN or a seed must not reach another token that took the
/// slot meanwhile.
pub(super) fn recheck(
    op: &Operation<'_>,
    session: &TokenSession,
) -> Result<TokenInfo, TokenFailure> {
    let first = &session.token;
    let token = op.module().token(session.slot, &first.slot_description);
    let token = token.and_then(|token| {
        if token.name() == first.name() {
            return Ok(token);
        }
        let text = format!("another token is in slot {} now", session.slot.id());
        Err(TokenFailure::new(FailureClass::TokenMissing, text))
    });
    // The listing that others use may be as old.
    token.inspect_err(|_| op.worker.slots.forget())
}

fn read_pin(worker: &Worker, how: &Open) -> Result<Secret, TokenFailure> {
    let unavailable = |text: String| TokenFailure::new(FailureClass::PinUnavailable, text);
    let reference = match &how.pin {
        PinSource::File(path) => SecretRef::File(path.clone()),
        PinSource::Credential(name) => SecretRef::Credential(name.clone()),
        PinSource::Told => {
            let text = "the environment variable of the PIN was not set when qseed read the \
                        configuration";
            let pin = worker.told_pin(how.partition);
            return pin.ok_or_else(|| unavailable(text.to_owned()));
        }
        PinSource::None => {
            let text = "a PIN is needed and none is configured";
            return Err(unavailable(text.to_owned()));
        }
    };
    let pin = reference.read();
    pin.map_err(|error| unavailable(error.to_string()))
}

/// Whether the token's flags allow another PIN to be presented.
fn allows_a_try(token: &TokenInfo, login: Login) -> Result<(), TokenFailure> {
    let Some(why) = PinFlags::of(token, login).against_login() else {
        return Ok(());
    };
    let text = format!("{why}; no PIN was offered");
    Err(TokenFailure::new(FailureClass::PinGuarded, text))
}

/// Answers by which a vendor's library says that it cannot reach the device, so that nobody judged
/// the PIN: a part of the manufacturer's name, and the value.
const UNREACHABLE: &[(&str, Ckr)] = &[("Securosys", Ckr(0x8000_5015))];

/// What a failed `C_Login` says about the PIN. The token may have judged it in all cases but those
/// where it certainly did not look at one: modules answer wrong PINs with vendors' codes as well.
/// `None` is an answer that is no return value.
fn judge(ckr: Option<Ckr>, manufacturer: &str) -> PinAnswer {
    let Some(ckr) = ckr else {
        return PinAnswer::Unclear;
    };
    match ckr {
        Ckr::USER_ANOTHER_ALREADY_LOGGED_IN
        | Ckr::USER_TOO_MANY_TYPES
        | Ckr::SESSION_CLOSED
        | Ckr::SESSION_HANDLE_INVALID
        | Ckr::SESSION_READ_ONLY_EXISTS
        | Ckr::CRYPTOKI_NOT_INITIALIZED
        | Ckr::TOKEN_NOT_PRESENT
        | Ckr::DEVICE_REMOVED
        | Ckr::HOST_MEMORY
        | Ckr::ARGUMENTS_BAD => PinAnswer::NotJudged,
        _ if UNREACHABLE
            .iter()
            .any(|(name, value)| manufacturer.contains(name) && *value == ckr) =>
        {
            PinAnswer::NotJudged
        }
        _ if refuses_pin(ckr) => PinAnswer::Refused,
        _ => PinAnswer::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use qseed_model::pins::PinAnswer;

    use super::judge;
    use crate::ckr::Ckr;

    #[test]
    fn what_may_have_judged_a_pin_is_never_taken_for_not_judged() {
        for ckr in [
            Ckr::FUNCTION_FAILED,
            Ckr::GENERAL_ERROR,
            Ckr::DEVICE_ERROR,
            Ckr(0x8000_000b),
            Ckr(0x8000_5015),
            Ckr(u64::MAX),
        ] {
            assert_eq!(judge(Some(ckr), "Acme"), PinAnswer::Unclear, "{ckr}");
        }
        assert_eq!(judge(None, "Acme"), PinAnswer::Unclear);
        for ckr in [
            Ckr::CRYPTOKI_NOT_INITIALIZED,
            Ckr::SESSION_CLOSED,
            Ckr::SESSION_HANDLE_INVALID,
            Ckr::TOKEN_NOT_PRESENT,
            Ckr::DEVICE_REMOVED,
            Ckr::HOST_MEMORY,
            Ckr::ARGUMENTS_BAD,
        ] {
            assert_eq!(judge(Some(ckr), "Acme"), PinAnswer::NotJudged, "{ckr}");
        }
        for ckr in [Ckr::PIN_INCORRECT, Ckr::PIN_EXPIRED, Ckr::PIN_LOCKED] {
            assert_eq!(judge(Some(ckr), "Acme"), PinAnswer::Refused, "{ckr}");
        }
    }

    #[test]
    fn a_vendors_code_for_an_unreachable_device_judges_nothing() {
        let judged = judge(Some(Ckr(0x8000_5015)), "Securosys SA");
        assert_eq!(judged, PinAnswer::NotJudged);
    }
}
