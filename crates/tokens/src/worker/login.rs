//! Presenting a PIN.
//!
//! The order of a login, which a partition goes through: [`Offer::prepare`] reads the token's flags
//! and the PIN; if no other partition is logged in to the token, the daemon's guard is asked;
//! [`Offer::present`] reads the flags once more and calls `C_Login`; the guard hears the answer.

use qseed_model::Login;
use qseed_model::pins::{PinAnswer, PinTags};
use qseed_secrets::{Secret, SecretError, SecretRef};

use super::Worker;
use super::logins::Credential;
use super::operation::Operation;
use super::session::TokenSession;
use crate::ckr::Ckr;
use crate::directory::{PinFlags, TokenFlag};
use crate::failure::{FailureClass, TokenFailure, refuses_pin};
use crate::wire::{Open, PinSource};

/// A PIN for a token.
pub(super) struct Offer {
    pub(super) credential: Credential,
    pub(super) tags: PinTags,
    /// What the token's flags said about the PIN when the offer was made.
    pub(super) flags: PinFlags,
    /// `None`: to be entered at the token.
    pin: Option<Secret>,
}

impl Offer {
    /// Reads the token's flags and the PIN.
    pub(super) fn prepare(
        op: &Operation<'_>,
        session: &TokenSession,
    ) -> Result<Self, TokenFailure> {
        let token = session.recheck(op)?;
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
        let may_be_made = session.how.guard_key_may_be_made;
        let key = &op.worker.guard_key;
        let tags = key.tags(&token, login, pin.as_ref(), may_be_made);
        let tags = tags.map_err(|failure| op.worker.unreadable(failure, key.path()))?;
        let tag = tags.tag;
        Ok(Self {
            credential: Credential { login, tag },
            tags,
            flags: PinFlags::of(&token, login),
            pin,
        })
    }

    /// Presents the PIN, unless the token's flags now forbid it. Returns what the guard has to know,
    /// and whether the user is logged in.
    pub(super) fn present(
        self,
        op: &Operation<'_>,
        session: &TokenSession,
    ) -> (PinAnswer, Result<Credential, TokenFailure>) {
        let login = self.credential.login;
        // While the guard was asked, another PIN may have brought the token to its last try.
        let still_allowed = session
            .recheck(op)
            .and_then(|token| allows_a_try(PinFlags::of(&token, login)));
        if let Err(failure) = still_allowed {
            return (PinAnswer::NotJudged, Err(failure));
        }
        let returned = op.module().login(&session.handle, login, self.pin.as_ref());
        match returned {
            Ok(()) => (PinAnswer::Accepted, Ok(self.credential)),
            Err(failure) if failure.ckr == Some(Ckr::USER_ALREADY_LOGGED_IN) => {
                (PinAnswer::NotJudged, Ok(self.credential))
            }
            Err(failure) => {
                let answer = judge(failure.ckr, &session.token.manufacturer);
                (answer, Err(failure))
            }
        }
    }
}

fn read_pin(worker: &Worker, how: &Open) -> Result<Secret, TokenFailure> {
    let unavailable = |text: String| TokenFailure::new(FailureClass::PinUnavailable, text);
    let reference = match &how.pin {
        PinSource::File(path) => SecretRef::File(path.clone()),
        PinSource::Credential(name) => SecretRef::Credential(name.clone()),
        PinSource::Sent => {
            let text = "the environment variable of the PIN was not set when qseed read the \
                        configuration";
            let pin = worker.sent_pin(how.partition);
            let pin = pin.map_err(|error| unavailable(format!("cannot read the PIN: {error}")))?;
            return pin.ok_or_else(|| unavailable(text.to_owned()));
        }
        PinSource::None => {
            let text = "a PIN is needed and none is configured";
            return Err(unavailable(text.to_owned()));
        }
    };
    reference.read().map_err(|error| {
        let failure = unavailable(error.to_string());
        match error {
            SecretError::Unreadable { path, .. } => worker.unreadable(failure, &path),
            _ => failure,
        }
    })
}

/// Whether the token's flags allow another PIN to be presented.
pub(super) fn allows_a_try(flags: PinFlags) -> Result<(), TokenFailure> {
    let Some(why) = flags.against_login() else {
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
