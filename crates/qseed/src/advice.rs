//! What went wrong at a partition, and what the operator can do about it: the same words in the
//! log and in `qseed check`.

use qseed_config::{Login, Partition, shell_quoted};
use qseed_engine::{Returned, TokenFailure, TokenFault};
use qseed_model::pins::HeldBack;
use qseed_secrets::{SecretError, SecretRef};
use qseed_tokens::ckr::Ckr;
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::failure::FailureClass;

use crate::log::printable;

/// A worker's report of a failure, as the engine judges it and as people read it. `token` is the one
/// that the partition was last opened on.
pub(crate) fn token_failure(
    failure: &qseed_tokens::failure::TokenFailure,
    partition: Option<&Partition>,
    token: Option<&TokenInfo>,
) -> TokenFailure {
    let (fault, text) = match failure.class {
        FailureClass::PinHeld(reason) => (TokenFault::of_held(reason), why_held(reason).to_owned()),
        FailureClass::PinUnavailable => match partition.and_then(pin_not_set) {
            Some(why) => (TokenFault::PinNotSet, why.to_string()),
            None => (TokenFault::PinUnavailable, failure.to_string()),
        },
        // The vendor decided that, so the text names the vendor.
        FailureClass::Permanent => {
            let vendor = token.map_or(String::new(), |token| {
                let made = format!("{} {}", token.manufacturer, token.model);
                format!(", as {} has it", printable(made.trim()))
            });
            (TokenFault::SeedingRefused, format!("{failure}{vendor}"))
        }
        class => (fault(class), failure.to_string()),
    };
    let text = match fault {
        TokenFault::PinHeld
        | TokenFault::GuardLost
        | TokenFault::PinUnavailable
        | TokenFault::PinNotSet => format!("no PIN was presented: {text}"),
        _ => text,
    };
    let returned = failure.function.zip(failure.ckr);
    TokenFailure {
        fault,
        text,
        returned: returned.map(|(function, ckr)| Returned {
            function: function.name(),
            value: ckr.0,
        }),
    }
}

/// What a failure means for the schedule.
fn fault(class: FailureClass) -> TokenFault {
    match class {
        FailureClass::Permanent => TokenFault::SeedingRefused,
        FailureClass::PinRefused => TokenFault::PinRefused,
        FailureClass::PinHeld(reason) => TokenFault::of_held(reason),
        FailureClass::PinGuarded => TokenFault::PinFlagged,
        FailureClass::PinUnavailable | FailureClass::GuardKeyMissing => TokenFault::PinUnavailable,
        FailureClass::ReloadModule => TokenFault::Module,
        FailureClass::General => TokenFault::General,
        FailureClass::TokenMissing | FailureClass::NotInitialised => TokenFault::Missing,
        FailureClass::AnotherToken => TokenFault::AnotherToken,
        FailureClass::AmbiguousUri => TokenFault::Mismatch,
        FailureClass::AnotherLogin => TokenFault::AnotherLogin,
        FailureClass::Length => TokenFault::Length,
        FailureClass::Device | FailureClass::SessionLost | FailureClass::NotLoggedIn => {
            TokenFault::Device
        }
    }
}

/// Why the PIN's environment variable cannot be read. The worker inherits no such variable and so
/// does not know.
fn pin_not_set(partition: &Partition) -> Option<SecretError> {
    let secret = partition.secret()?;
    match secret.reference {
        SecretRef::Environment(_) => secret.reference.examine().err(),
        SecretRef::Literal(_) | SecretRef::File(_) | SecretRef::Credential(_) => None,
    }
}

/// Why a PIN was held back.
fn why_held(reason: HeldBack) -> &'static str {
    match reason {
        HeldBack::Refused => "the token refused this PIN before",
        HeldBack::OutcomeUnknown => {
            "this PIN was presented twice, and no answer says that the token accepted it"
        }
        HeldBack::InFlight => "another process is presenting this PIN",
        HeldBack::NotRecorded => "the login attempt could not be recorded in the state directory",
        HeldBack::DeviceInDoubt => {
            "the same device refused another partition's PIN, and it may count wrong PINs of all \
             its tokens together; fix that partition first (see qseed guard)"
        }
        HeldBack::GuardLost => "the PIN guard's file or key was lost or replaced",
    }
}

/// The command that lets a partition's PIN be presented again.
pub(crate) fn clear_command(name: &str) -> String {
    format!("qseed guard --clear {}", shell_quoted(&printable(name)))
}

/// What to do about a URI that matches several tokens.
pub(crate) const NAME_ONE_TOKEN: &str = "add serial= to the URI so that it matches one token";

/// What to run where the guard's records were lost.
pub(crate) const RESET: &str =
    "once the PINs in the configuration are right, run: qseed guard --reset";

/// Most tokens that take short seeds alone take this many bytes.
const CHUNK_TO_TRY: usize = 32;

/// What the operator can do, in lower case and without a full stop; empty if time may help, or if
/// the failure's text says it.
pub(crate) fn advice(failure: &TokenFailure, partition: &Partition) -> String {
    let answer = failure.returned.map(|call| Ckr(call.value));
    let clear = clear_command(&partition.name);
    let (login, size) = (partition.login, partition.size);
    let longest_call = partition.chunk.map_or(size, |chunk| chunk.min(size));
    let too_long = format!("the token does not take {longest_call} bytes in one call");
    match (failure.fault, answer) {
        (_, Some(Ckr::USER_NOT_LOGGED_IN)) if login == Login::None => {
            "the token wants a login before it is seeded: set `login` and `pin` for this partition"
                .to_owned()
        }
        (TokenFault::PinRefused, Some(Ckr::PIN_LOCKED)) => {
            format!("the PIN is locked: {}; then run: {clear}", unlock(login))
        }
        (TokenFault::PinRefused, Some(Ckr::USER_TYPE_INVALID)) => {
            "the token knows no such kind of user: correct `login` in the configuration".to_owned()
        }
        (TokenFault::PinRefused, Some(Ckr::USER_PIN_NOT_INITIALIZED)) => format!(
            "the token has no user PIN yet: have the security officer set one, then run: {clear}"
        ),
        (TokenFault::PinRefused, _) if login == Login::Protected => format!(
            "qseed asks nobody for a PIN at this token again; find out which PIN was entered \
             there, then run: {clear}"
        ),
        (TokenFault::PinRefused, _) => format!(
            "qseed does not present this PIN to this token again; put the right PIN into the \
             configuration, or, if you repaired the token instead, run: {clear}"
        ),
        (TokenFault::PinHeld, _) if login == Login::Protected => format!(
            "qseed asks nobody for a PIN at the token; once the PIN is known and the token is in \
             order, run: {clear}"
        ),
        (TokenFault::PinHeld, _) => format!(
            "put the right PIN into the configuration, or, if the PIN is right and the token is in \
             order, run: {clear}"
        ),
        (TokenFault::GuardLost, _) => RESET.to_owned(),
        (TokenFault::PinFlagged, _) => format!(
            "log in once with the vendor's tool and the right PIN; if the PIN is locked: {}",
            unlock(login)
        ),
        (TokenFault::PinNotSet, _) => {
            "set it where qseed is started and restart qseed, or let the configuration refer to \
             a file"
                .to_owned()
        }
        (TokenFault::SeedingRefused, _) => {
            "this token takes no seed material, by its vendor's design; remove the partition from \
             the configuration if that is not expected to change"
                .to_owned()
        }
        (TokenFault::Length, _) if longest_call > CHUNK_TO_TRY => format!(
            "{too_long}: set `chunk` (try {CHUNK_TO_TRY}) or another `size` for this partition"
        ),
        (TokenFault::Length, _) => {
            format!("{too_long}: `qseed check --probe` finds the `chunk` or `size` that it takes")
        }
        (TokenFault::AnotherToken, _) => {
            "qseed presented no PIN to it; put the first token back or, if this one is meant, let \
             qseed read its configuration again (SIGHUP)"
                .to_owned()
        }
        (TokenFault::AnotherLogin, _) => {
            "another kind of user is logged in to the token: set the same `login` for all of its \
             partitions, or end the other application that uses it"
                .to_owned()
        }
        (TokenFault::Mismatch, _) => NAME_ONE_TOKEN.to_owned(),
        (
            TokenFault::PinUnavailable
            | TokenFault::Missing
            | TokenFault::Module
            | TokenFault::General
            | TokenFault::Device,
            _,
        ) => String::new(),
    }
}

/// How a locked PIN is unlocked.
pub(crate) fn unlock(login: Login) -> &'static str {
    match login {
        Login::So => "the vendor's manual says how to unlock the security officer's PIN",
        _ => {
            "have the security officer unlock it (on a TPM: wait for the lockout to end, or clear \
             it)"
        }
    }
}

#[cfg(test)]
mod tests {
    use qseed_config::{Login, Partition};
    use qseed_engine::{Returned, TokenFailure, TokenFault};

    use super::{Ckr, advice};

    fn partition(login: Login, size: usize) -> Partition {
        let text = format!(
            "sources: [{{name: s, type: device, path: /x}}]\n\
             partitions: [{{name: ca, module: /l.so, slot: 0, login: none, size: {size}}}]\n"
        );
        let loaded = qseed_config::parse(&text, "f").expect("a configuration");
        let partition = loaded.config.partitions[0].clone();
        Partition { login, ..partition }
    }

    fn advised(fault: TokenFault, returned: Option<Ckr>, login: Login) -> String {
        let failure = TokenFailure {
            fault,
            text: String::new(),
            returned: returned.map(|value| Returned {
                function: "C_Login",
                value: value.0,
            }),
        };
        advice(&failure, &partition(login, 48))
    }

    #[test]
    fn advice_depends_on_what_the_token_answered() {
        const NEW_PIN: &str = "put the right PIN into the configuration";
        for (answer, login, words) in [
            (Ckr::PIN_INCORRECT, Login::User, NEW_PIN),
            (Ckr::PIN_INCORRECT, Login::Protected, "entered there"),
            (Ckr::PIN_LOCKED, Login::User, "security officer unlock it"),
            (Ckr::PIN_LOCKED, Login::So, "vendor's manual"),
            (Ckr::USER_TYPE_INVALID, Login::So, "correct `login`"),
            (
                Ckr::USER_PIN_NOT_INITIALIZED,
                Login::User,
                "security officer set one",
            ),
        ] {
            let text = advised(TokenFault::PinRefused, Some(answer), login);
            assert!(text.contains(words), "{answer}: {text}");
            assert_eq!(text.contains(NEW_PIN), words == NEW_PIN, "{text}");
            assert_eq!(
                text.ends_with("qseed guard --clear ca"),
                answer != Ckr::USER_TYPE_INVALID,
                "{text}"
            );
        }
        let held = advised(TokenFault::PinHeld, None, Login::Protected);
        assert!(!held.contains("configuration"), "{held}");
    }

    #[test]
    fn a_chunk_is_advised_only_where_calls_are_longer() {
        let failure = TokenFailure {
            fault: TokenFault::Length,
            text: "C_SeedRandom: CKR_ARGUMENTS_BAD".to_owned(),
            returned: None,
        };
        assert!(advice(&failure, &partition(Login::User, 48)).contains("`chunk` (try 32)"));
        let already = advice(&failure, &partition(Login::User, 32));
        assert!(already.contains("check --probe") && !already.contains("try 32"));
    }

    #[test]
    fn a_login_is_advised_where_the_token_wants_one_and_none_is_configured() {
        let wants = Some(Ckr::USER_NOT_LOGGED_IN);
        let text = advised(TokenFault::Device, wants, Login::None);
        assert!(text.contains("set `login` and `pin`"), "{text}");
        let text = advised(TokenFault::Device, wants, Login::User);
        assert!(!text.contains("set `login`"), "{text}");
    }
}
