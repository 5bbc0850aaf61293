//! Logging in, with the guard's word before each PIN.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cryptoki::session::UserType;
use cryptoki::types::RawAuthPin;
use qseed_model::Login;
use qseed_model::pins::PinTags;
use qseed_secrets::{Secret, SecretRef};

use super::Worker;
use super::inbox::Command;
use super::logins::{Approach, Credential, LoginNumber};
use super::partition::{Entry, Partition, Phase, Place};
use super::pulse::Pulse;
use crate::ckr::Ckr;
use crate::directory::{TokenFlag, TokenInfo};
use crate::failure::{FailureClass, TokenFailure, refuses_pin};
use crate::wire::{FromWorker, Open, PinFlags, PinOutcome, PinSource, Verdict};

/// `CKU_SO`
pub(super) const CKU_SO: u64 = 0;
/// `CKU_USER`
const CKU_USER: u64 = 1;

/// A PIN that waits for the guard's verdict.
pub(super) struct Question {
    pub(super) ask: u64,
    login: Credential,
    user: UserType,
    /// `None`: to be entered at the token.
    pin: Option<RawAuthPin>,
}

/// What is to be presented to a token, and what the token says about it.
struct Offer {
    login: Credential,
    user: UserType,
    pin: Option<Secret>,
    tags: PinTags,
    flags: PinFlags,
}

impl Partition {
    /// Logs the session in, by way of the guard, and goes on behind it.
    pub(super) fn enter(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, mut entry: Entry) {
        let offer = match prepare(worker, pulse, &entry.place) {
            Ok(Some(offer)) => offer,
            Ok(None) => return self.begin(worker, pulse, entry),
            Err(failure) => return self.give_up(worker, pulse, entry, failure),
        };
        let slot = entry.place.slot.id();
        let approach = worker.logins().approach(slot, self.id, offer.login);
        match approach {
            Approach::Joined(number) => {
                entry.place.login = Some(number);
                self.begin(worker, pulse, entry);
            }
            Approach::Wait => {
                self.phase = Phase::Waiting(entry);
                let partition = self.id;
                worker.link.send(&FromWorker::Waits { partition });
            }
            Approach::Conflict(other) => {
                let text = format!(
                    "another partition of this configuration is the same token and logs in as {}",
                    user_name(other)
                );
                let failure = TokenFailure::new(FailureClass::AnotherLogin, text);
                self.give_up(worker, pulse, entry, failure);
            }
            Approach::Ask => self.ask(worker, pulse, entry, offer),
        }
    }

    fn ask(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, entry: Entry, offer: Offer) {
        if let Some(failure) = guarded(offer.flags) {
            worker.settle_login(&entry.place, self.id, None);
            return self.give_up(worker, pulse, entry, failure);
        }
        let ask = worker.asks.fetch_add(1, Ordering::Relaxed);
        let (login, tags, flags) = (offer.login, offer.tags, offer.flags);
        let question = Question {
            ask,
            login,
            user: offer.user,
            // One more copy, of just its size; both are wiped when dropped.
            pin: offer
                .pin
                .map(|pin| RawAuthPin::new(Box::new(pin.expose().to_vec()))),
        };
        self.phase = Phase::Asking(entry, question);
        worker.link.send(&FromWorker::PinAsk {
            partition: self.id,
            ask,
            tags,
            flags,
        });
    }

    /// Carries out the guard's verdict.
    pub(super) fn log_in(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        mut entry: Entry,
        question: Question,
        verdict: Verdict,
    ) {
        if verdict == Verdict::Hold {
            worker.settle_login(&entry.place, self.id, None);
            let text = "the PIN is held back";
            let failure = TokenFailure::new(FailureClass::PinHeld, text);
            return self.give_up(worker, pulse, entry, failure);
        }
        pulse.beat();
        let Question {
            ask,
            login,
            user,
            pin,
        } = question;
        // While it waited for the word, another PIN may have brought the token to its last try.
        if let Err(failure) = may_still(worker, pulse, &entry.place, login.user_type) {
            return self.not_presented(worker, pulse, entry, ask, failure);
        }
        pulse.beat();
        let answer = worker
            .module
            .login(&entry.place.session, user, pin.as_ref());
        drop(pin);
        let outcome = judge(&answer, &entry.place.token.manufacturer);
        let partition = self.id;
        // Before anybody else can ask: the guard must know this outcome by then.
        worker.link.send(&FromWorker::PinOutcome {
            partition,
            ask,
            outcome,
        });
        match (outcome, answer) {
            (PinOutcome::Accepted | PinOutcome::AlreadyLoggedIn, _) => {
                entry.place.login = worker.settle_login(&entry.place, partition, Some(login));
                self.begin(worker, pulse, entry);
            }
            (_, answer) => {
                worker.settle_login(&entry.place, partition, None);
                let unclear = || TokenFailure::new(FailureClass::Device, "C_Login failed");
                let failure = answer.err().unwrap_or_else(unclear);
                self.give_up(worker, pulse, entry, failure);
            }
        }
    }
}

impl Partition {
    /// Gives a login up that the guard had allowed, before the PIN was presented.
    fn not_presented(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        entry: Entry,
        ask: u64,
        failure: TokenFailure,
    ) {
        worker.link.send(&FromWorker::PinOutcome {
            partition: self.id,
            ask,
            outcome: PinOutcome::NotPresented,
        });
        worker.settle_login(&entry.place, self.id, None);
        self.give_up(worker, pulse, entry, failure);
    }
}

impl Worker {
    /// Ends a partition's turn at its token's login and lets those who waited come again.
    /// Returns the login's number where it took place.
    pub(super) fn settle_login(
        self: &Arc<Self>,
        place: &Place,
        partition: u32,
        login: Option<Credential>,
    ) -> Option<LoginNumber> {
        let (number, waited) = self.logins().settle(place.slot.id(), partition, login);
        for partition in waited {
            self.post(partition, Command::LoginSettled);
        }
        number
    }
}

/// Looks at the token as it is now, and reads the PIN. `None` where no login is wanted.
fn prepare(
    worker: &Worker,
    pulse: &Pulse<'_>,
    place: &Place,
) -> Result<Option<Offer>, TokenFailure> {
    let Some(user_type) = user_type(place.how.login) else {
        return Ok(None);
    };
    let token = look_again(worker, pulse, place)?;
    let entered_at_token = place.how.login == Login::Protected;
    if entered_at_token && !token.has(TokenFlag::ProtectedAuthenticationPath) {
        let text = "the token has no PIN pad (no protected authentication path), as login: \
                    protected wants it";
        return Err(TokenFailure::new(FailureClass::PinUnavailable, text));
    }
    let pin = (!entered_at_token)
        .then(|| read_pin(worker, &place.how))
        .transpose()?;
    let tags = worker.guard.tags(&token, user_type, pin.as_ref())?;
    let tag = tags.tag;
    Ok(Some(Offer {
        login: Credential { user_type, tag },
        user: match place.how.login {
            Login::So => UserType::So,
            Login::Vendor(number) => UserType::VendorExtension(number),
            Login::None | Login::User | Login::Protected => UserType::User,
        },
        pin,
        tags,
        flags: PinFlags::of(&token, user_type == CKU_SO),
    }))
}

/// Whether the token is still the same and still says nothing against another try.
fn may_still(
    worker: &Worker,
    pulse: &Pulse<'_>,
    place: &Place,
    user_type: u64,
) -> Result<(), TokenFailure> {
    let token = look_again(worker, pulse, place)?;
    guarded(PinFlags::of(&token, user_type == CKU_SO)).map_or(Ok(()), Err)
}

/// Reads the token's information afresh. A PIN must not reach another token that took the slot
/// meanwhile.
pub(super) fn look_again(
    worker: &Worker,
    pulse: &Pulse<'_>,
    place: &Place,
) -> Result<TokenInfo, TokenFailure> {
    let was = &place.token;
    pulse.beat();
    let token = worker.module.token(place.slot, &was.slot_description)?;
    if token.name() == was.name() {
        return Ok(token);
    }
    worker.finder.forget();
    let text = format!("another token is in slot {} now", place.slot.id());
    Err(TokenFailure::new(FailureClass::TokenMissing, text))
}

fn read_pin(worker: &Worker, how: &Open) -> Result<Secret, TokenFailure> {
    let unavailable = |text: String| TokenFailure::new(FailureClass::PinUnavailable, text);
    let reference = match &how.pin {
        PinSource::Reference(reference) => Some(reference.clone()),
        PinSource::Told => worker.told_pin(how.partition).map(SecretRef::Literal),
        PinSource::None => None,
    };
    let reference = reference.ok_or_else(|| {
        let text = match how.pin {
            PinSource::Told => {
                "the environment variable of the PIN was not set when qseed read the \
                     configuration"
            }
            _ => "a PIN is needed and none is configured",
        };
        unavailable(text.to_owned())
    })?;
    reference
        .read()
        .map_err(|error| unavailable(error.to_string()))
}

/// The number of the kind of user that logs in (`CK_USER_TYPE`).
pub(super) fn user_type(login: Login) -> Option<u64> {
    match login {
        Login::None => None,
        Login::So => Some(CKU_SO),
        Login::User | Login::Protected => Some(CKU_USER),
        Login::Vendor(number) => Some(number.into()),
    }
}

fn user_name(user_type: u64) -> String {
    match user_type {
        CKU_SO => "so".to_owned(),
        CKU_USER => "user".to_owned(),
        vendors => format!("{vendors:#x}"),
    }
}

/// Why no PIN may be offered, by the token's own word.
fn guarded(flags: PinFlags) -> Option<TokenFailure> {
    let why = flags.against_login()?;
    let text = format!("{why}; no PIN was offered");
    Some(TokenFailure::new(FailureClass::PinGuarded, text))
}

/// Answers by which a vendor's library says that it cannot reach the device, so that nobody judged
/// the PIN: a part of the manufacturer's name, and the value.
const UNREACHABLE: &[(&str, Ckr)] = &[("Securosys", Ckr(0x8000_5015))];

/// What an answer of `C_Login` says about the PIN. Whatever does not say that the token looked at
/// no PIN may have judged it: modules answer wrong PINs with vendors' codes as well.
fn judge(answer: &Result<(), TokenFailure>, manufacturer: &str) -> PinOutcome {
    let Err(failure) = answer else {
        return PinOutcome::Accepted;
    };
    // An answer that is no return value is as unclear as the vaguest of them.
    let ckr = failure.ckr.unwrap_or(Ckr::GENERAL_ERROR);
    match ckr {
        Ckr::USER_ALREADY_LOGGED_IN => PinOutcome::AlreadyLoggedIn,
        Ckr::USER_ANOTHER_ALREADY_LOGGED_IN
        | Ckr::USER_TOO_MANY_TYPES
        | Ckr::SESSION_CLOSED
        | Ckr::SESSION_HANDLE_INVALID
        | Ckr::SESSION_READ_ONLY_EXISTS
        | Ckr::CRYPTOKI_NOT_INITIALIZED
        | Ckr::TOKEN_NOT_PRESENT
        | Ckr::DEVICE_REMOVED
        | Ckr::HOST_MEMORY
        | Ckr::ARGUMENTS_BAD => PinOutcome::NotJudged(ckr),
        _ if UNREACHABLE
            .iter()
            .any(|(name, value)| manufacturer.contains(name) && *value == ckr) =>
        {
            PinOutcome::NotJudged(ckr)
        }
        _ if refuses_pin(ckr) => PinOutcome::Refused(ckr),
        _ => PinOutcome::Unclear(ckr),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::ckr::{Ckr, Function};
    use crate::failure::TokenFailure;
    use crate::wire::PinOutcome;

    fn outcome(ckr: Ckr, manufacturer: &str) -> PinOutcome {
        judge(
            &Err(TokenFailure::of_value(Function::Login, ckr)),
            manufacturer,
        )
    }

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
            assert_eq!(outcome(ckr, "Acme"), PinOutcome::Unclear(ckr));
        }
        for ckr in [
            Ckr::CRYPTOKI_NOT_INITIALIZED,
            Ckr::SESSION_CLOSED,
            Ckr::SESSION_HANDLE_INVALID,
            Ckr::TOKEN_NOT_PRESENT,
            Ckr::DEVICE_REMOVED,
            Ckr::HOST_MEMORY,
            Ckr::ARGUMENTS_BAD,
        ] {
            assert_eq!(outcome(ckr, "Acme"), PinOutcome::NotJudged(ckr));
        }
        for ckr in [Ckr::PIN_INCORRECT, Ckr::PIN_EXPIRED, Ckr::PIN_LOCKED] {
            assert_eq!(outcome(ckr, "Acme"), PinOutcome::Refused(ckr));
        }
    }

    #[test]
    fn a_vendors_code_for_an_unreachable_device_judges_nothing() {
        let unreachable = Ckr(0x8000_5015);
        assert_eq!(
            outcome(unreachable, "Securosys SA"),
            PinOutcome::NotJudged(unreachable)
        );
    }
}
