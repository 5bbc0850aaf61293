//! Lines about partitions.

use qseed_config::{Form, Level, Login};
use qseed_engine::announcer::Repeats;
use qseed_engine::{MadeOf, Named, Next, PartitionId, TokenFailure, TokenFault};
use qseed_tokens::ckr::Ckr;

use super::{Context, next_step, sentence};
use crate::assemble::Plan;
use crate::log::{Entry, printable};

/// `SLOT #<slot id> (<slot description>): <token label>`, as the original has it.
pub(super) fn opened(id: PartitionId, again: bool, context: &Context<'_>) -> Option<Entry> {
    let planned = context.plan.partitions.get(&id)?;
    let (token, is_new) = context.known.token(id)?;
    let message = format!(
        "SLOT #{} ({}): {}",
        token.slot_id,
        printable(&token.slot_description),
        printable(&token.label)
    );
    // A token that is opened again and again and takes no seeds is no news.
    let level = if (again && !is_new) || context.plan.sums_up() {
        Level::Debug
    } else {
        Level::Info
    };
    Some(
        Entry::new(level, "token-opened", message)
            .with("partition", planned.config.name.as_str())
            .with("slot", token.slot_id)
            .with("slot_description", token.slot_description.as_str())
            .with("label", token.label.as_str())
            .with("serial", token.serial.as_str())
            .with("model", token.model.as_str()),
    )
}

/// A partition that could not be opened or seeded, and what to do about it.
pub(super) fn failed(
    partition: &Named<PartitionId>,
    failure: &TokenFailure,
    repeats: Repeats,
    next: Next,
    plan: &Plan,
) -> Entry {
    let name = &partition.name;
    let planned = plan.partitions.get(&partition.id);
    let config = planned.map(|planned| &planned.config);
    let login = config.map_or(Login::User, |config| config.login);
    let longest_call = config.map_or(0, |config| {
        config.chunk.unwrap_or(config.size).min(config.size)
    });
    let advice = advice(failure, name, login, longest_call);
    partition_failed(name, &advice, failure, repeats, next)
}

pub(super) fn more_failed(count: usize) -> Entry {
    let message = format!("{count} more attempts to open or seed partitions failed in 10 s.");
    Entry::new(Level::Warn, "more-partitions-failed", message).with("count", count)
}

pub(super) fn isolated(name: &str) -> Entry {
    let message = format!(
        "{name}: repeatedly crashed or wedged the module; isolated in its own worker process."
    );
    Entry::new(Level::Warn, "partition-isolated", message).with("partition", name)
}

pub(super) fn rejoined(name: &str) -> Entry {
    let message =
        format!("{name}: caused no trouble for half a day; back in the common worker process.");
    Entry::info("partition-rejoined", message).with("partition", name)
}

/// An injection, in the original's words.
pub(super) fn seeded(name: &str, bytes: usize, made_of: &MadeOf, plan: &Plan) -> Entry {
    let target = if plan.config.form == Form::Flat {
        "the HSM"
    } else {
        name
    };
    let message = format!("Pushed {bytes} bytes of quantum seed material to {target}.");
    let mut sources: Vec<_> = made_of
        .portions
        .iter()
        .filter_map(|portion| plan.sources.get(&portion.source))
        .map(|source| source.config.name.as_str())
        .collect();
    sources.dedup();
    Entry::info("seeded", message)
        .with("partition", name)
        .with("bytes", bytes)
        .with("sources", sources)
}

fn partition_failed(
    name: &str,
    advice: &str,
    failure: &TokenFailure,
    repeats: Repeats,
    next: Next,
) -> Entry {
    let level = if advice.is_empty() {
        Level::Warn
    } else {
        Level::Error
    };
    let message = format!(
        "{name}: {} {advice}{}",
        sentence(&failure.text, repeats, "attempt"),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("partition", name)
        .with("error", failure.text.as_str())
        .with("fault", failure.fault.name())
        .repeats(repeats)
        .next(next)
}

/// Most tokens that take short seeds alone take this many bytes.
const CHUNK_TO_TRY: usize = 32;

/// What the operator is to do, with a blank behind it; empty where time may mend it.
/// `longest_call` is the most bytes of a seed that one call gets.
fn advice(failure: &TokenFailure, name: &str, login: Login, longest_call: usize) -> String {
    let answer = failure.returned.map(|call| Ckr(call.value));
    match failure.fault {
        _ if answer == Some(Ckr::USER_NOT_LOGGED_IN) && login == Login::None => {
            "The token wants a login before it is seeded: set `login` and `pin` for this partition. "
                .to_owned()
        }
        TokenFault::PinRefused => refused(answer, name, login),
        TokenFault::GuardLost => {
            "No PIN is presented until somebody has run: qseed guard --reset. ".to_owned()
        }
        TokenFault::PinHeld if login == Login::Protected => format!(
            "Nobody is asked for a PIN at the token. If the PIN is known and the token is in \
             order, run: qseed guard --clear {name}. "
        ),
        TokenFault::PinHeld => format!(
            "No PIN was presented. Put the right PIN into the configuration, or, if the PIN is \
             right and the token is in order, run: qseed guard --clear {name}. "
        ),
        // The text says that no PIN was offered, and why.
        TokenFault::PinFlagged => "Log in once with the vendor's tool, or have the security \
             officer reset the PIN. "
            .to_owned(),
        TokenFault::PinUnavailable => "No PIN was presented. ".to_owned(),
        TokenFault::PinNotSet => "No PIN was presented. Set it where qseed is started and restart \
             qseed, or let the configuration refer to a file. "
            .to_owned(),
        TokenFault::SeedingRefused => "This token takes no seed material, by its vendor's design; \
             remove the partition from the configuration if that is not expected to change. "
            .to_owned(),
        TokenFault::Length if longest_call > CHUNK_TO_TRY => format!(
            "The token does not take {longest_call} bytes in one call: set `chunk` (try \
             {CHUNK_TO_TRY}) or another `size` for this partition. "
        ),
        TokenFault::Length => format!(
            "The token does not take {longest_call} bytes in one call: `qseed check --probe` finds \
             the `chunk` or `size` that it takes. "
        ),
        TokenFault::AnotherToken => "qseed presented no PIN to it. Put the first token back or, if \
             this one is meant, let qseed read its configuration again (SIGHUP). "
            .to_owned(),
        TokenFault::AnotherLogin => {
            "The token is logged in otherwise; use one login for it. ".to_owned()
        }
        TokenFault::Mismatch => {
            "Add serial= to the URI, so that it matches one token. ".to_owned()
        }
        TokenFault::Missing | TokenFault::Module | TokenFault::General | TokenFault::Device => {
            String::new()
        }
    }
}

/// What to do about a login that the token refused for good, by what it answered.
fn refused(answer: Option<Ckr>, name: &str, login: Login) -> String {
    let clear = format!("qseed guard --clear {name}");
    match (answer, login) {
        (Some(Ckr::PIN_LOCKED), Login::So) => format!(
            "The security officer's PIN is locked, and no PIN will be presented. What unlocks it \
             is in the vendor's manual; then run: {clear}. "
        ),
        (Some(Ckr::PIN_LOCKED), _) => format!(
            "The token is locked, and no PIN will be presented. Have the security officer unlock \
             it (on a TPM: wait for the lockout to end, or clear it), then run: {clear}. "
        ),
        (Some(Ckr::USER_TYPE_INVALID), _) => {
            "The token knows no such kind of user: correct `login` in the configuration. "
                .to_owned()
        }
        (Some(Ckr::USER_PIN_NOT_INITIALIZED), _) => format!(
            "The token has no user PIN yet: have the security officer set one, then run: {clear}. "
        ),
        (_, Login::Protected) => format!(
            "Nobody will be asked for a PIN at this token again. Find out which PIN was entered \
             there, then run: {clear}. "
        ),
        (..) => format!(
            "This PIN will not be presented to this token again. Put the right PIN into the \
             configuration, or, if the token was mended instead, run: {clear}. "
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_config::Login;
    use qseed_engine::announcer::Repeats;
    use qseed_engine::{Next, Returned, TokenFailure, TokenFault};

    use super::{Ckr, advice, partition_failed};

    fn said(fault: TokenFault, text: &str, returned: Option<Ckr>, login: Login) -> String {
        let text = text.to_owned();
        let repeats = Repeats {
            count: 1,
            lasting: Duration::ZERO,
        };
        let failure = TokenFailure {
            fault,
            text,
            returned: returned.map(|value| Returned {
                function: "C_Login",
                value: value.0,
            }),
        };
        let next = Next::Operator(Duration::from_secs(300));
        let advice = advice(&failure, "ca", login, 48);
        partition_failed("ca", &advice, &failure, repeats, next).message
    }

    #[test]
    fn what_is_to_be_done_goes_by_what_the_token_answered() {
        const NEW_PIN: &str = "Put the right PIN into the configuration";
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
            let text = said(TokenFault::PinRefused, "refused", Some(answer), login);
            assert!(text.contains(words), "{answer}: {text}");
            assert_eq!(text.contains(NEW_PIN), words == NEW_PIN, "{text}");
            assert_eq!(
                text.contains("qseed guard --clear ca."),
                answer != Ckr::USER_TYPE_INVALID,
                "{text}"
            );
        }
        let held = said(
            TokenFault::PinHeld,
            "refused before",
            None,
            Login::Protected,
        );
        assert!(!held.contains("configuration"), "{held}");
    }

    #[test]
    fn a_chunk_is_advised_only_where_calls_are_longer() {
        let failure = TokenFailure {
            fault: TokenFault::Length,
            text: "C_SeedRandom: CKR_ARGUMENTS_BAD".to_owned(),
            returned: None,
        };
        assert!(advice(&failure, "ca", Login::User, 48).contains("`chunk` (try 32)"));
        let already = advice(&failure, "ca", Login::User, 32);
        assert!(already.contains("check --probe") && !already.contains("try 32"));
    }

    #[test]
    fn a_login_is_advised_where_the_token_wants_one_and_none_is_configured() {
        let wants = Some(Ckr::USER_NOT_LOGGED_IN);
        let text = said(TokenFault::Device, "it failed", wants, Login::None);
        assert!(text.contains("set `login` and `pin`"), "{text}");
        let text = said(TokenFault::Device, "it failed", wants, Login::User);
        assert!(!text.contains("set `login`"), "{text}");
    }

    #[test]
    fn that_no_pin_was_presented_is_said_once() {
        let text = said(
            TokenFault::PinFlagged,
            "the token says that the PIN is locked; no PIN was offered",
            None,
            Login::User,
        );
        assert!(!text.contains("presented"), "{text}");
    }
}
