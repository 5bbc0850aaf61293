//! What is said of partitions.

use qseed_config::{Form, Level, Login, Partition, Pin};
use qseed_engine::{Next, Note, Portion, Repeats, TokenFailure, TokenFault};
use qseed_secrets::{SecretError, SecretRef};

use super::{next_step, sentence, trouble_was};
use crate::assemble::Plan;
use crate::log::Entry;

/// The entry for a note on a partition's trouble.
pub(super) fn entry(note: &Note, plan: &Plan) -> Option<Entry> {
    Some(match note {
        Note::PartitionFailed {
            partition,
            name,
            failure,
            repeats,
            next,
        } => {
            let config = plan
                .partitions
                .get(partition)
                .map(|planned| &planned.config);
            let login = config.map_or(Login::User, |config| config.login);
            let advice = match (failure.fault, config.and_then(unreadable_variable)) {
                (TokenFault::PinUnavailable, Some(why)) => {
                    format!("No PIN was presented: {why}. ")
                }
                _ => advice(failure, name, login),
            };
            partition_failed(name, &advice, failure, *repeats, *next)
        }
        Note::PartitionRecovered { name, repeats, .. } => {
            let message = format!("{name}: seeded again after {}.", trouble_was(*repeats));
            Entry::info("partition-recovered", message)
                .with("partition", &**name)
                .repeats(*repeats)
        }
        Note::MorePartitionsFailed { count } => Entry::new(
            Level::Warn,
            "more-partitions-failed",
            format!("{count} more partitions failed in the last 10 s."),
        )
        .with("count", *count),
        Note::MorePartitionsRecovered { count } => Entry::info(
            "more-partitions-recovered",
            format!("{count} more partitions are seeded again."),
        )
        .with("count", *count),
        Note::Isolated { name, .. } => Entry::new(
            Level::Warn,
            "partition-isolated",
            format!(
                "{name}: its calls took the module down, or found it out of order, again and again; \
                 it has a worker process of its own from now on, so that the module's other \
                 partitions are left in peace."
            ),
        )
        .with("partition", &**name),
        _ => return None,
    })
}

/// An injection, in the original's words.
pub(super) fn seeded(name: &str, bytes: usize, made_of: &[Portion], plan: &Plan) -> Entry {
    let target = if plan.config.form == Form::Flat {
        "the HSM"
    } else {
        name
    };
    let message = format!("Pushed {bytes} bytes of quantum seed material to {target}.");
    let mut sources: Vec<_> = made_of
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
        sentence(&failure.text, repeats),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("partition", name)
        .with("error", failure.text.as_str())
        .with("fault", failure.fault.name())
        .repeats(repeats)
        .next(next)
}

/// Why a partition's PIN cannot be had from the environment, which its worker process, that misses
/// the PIN, does not know.
fn unreadable_variable(partition: &Partition) -> Option<SecretError> {
    match &partition.pin {
        Pin::Given(reference @ SecretRef::Environment(_)) => reference.read().err(),
        _ => None,
    }
}

/// What the operator is to do, with a blank behind it; empty where time may mend it.
fn advice(failure: &TokenFailure, name: &str, login: Login) -> String {
    match failure.fault {
        TokenFault::PinRefused => refused(return_value(&failure.text), name, login),
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
        TokenFault::SeedingRefused => "This token takes no seed material, by its vendor's design; \
             remove the partition from the configuration if that is not expected to change. "
            .to_owned(),
        TokenFault::Length => "The token does not take a seed of this length: set `chunk` (try \
             32) or another `size` for this partition. "
            .to_owned(),
        TokenFault::AnotherLogin => {
            "The token is logged in otherwise; use one login for it. ".to_owned()
        }
        TokenFault::Mismatch => "Correct the configuration. ".to_owned(),
        TokenFault::Missing | TokenFault::Module | TokenFault::General | TokenFault::Device => {
            String::new()
        }
    }
}

/// What to do about a login that the token refused for good, by what it answered.
fn refused(answer: Option<&str>, name: &str, login: Login) -> String {
    let clear = format!("qseed guard --clear {name}");
    match (answer, login) {
        (Some("CKR_PIN_LOCKED"), Login::So) => format!(
            "The security officer's PIN is locked, and no PIN will be presented. What unlocks it \
             is in the vendor's manual; then run: {clear}. "
        ),
        (Some("CKR_PIN_LOCKED"), _) => format!(
            "The token is locked, and no PIN will be presented. Have the security officer unlock \
             it (on a TPM: wait for the lockout to end, or clear it), then run: {clear}. "
        ),
        (Some("CKR_USER_TYPE_INVALID"), _) => {
            "The token knows no such kind of user: correct `login` in the configuration. "
                .to_owned()
        }
        (Some("CKR_USER_PIN_NOT_INITIALIZED"), _) => format!(
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

/// The return value in a failure's text, which reads `C_Login: CKR_PIN_INCORRECT` and perhaps more.
fn return_value(text: &str) -> Option<&str> {
    let mut parts = text.split(": ");
    parts.find(|part| part.starts_with("CKR_"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_config::Login;
    use qseed_engine::{Next, Repeats, TokenFailure, TokenFault};

    use super::{advice, partition_failed};

    fn said(fault: TokenFault, text: &str, login: Login) -> String {
        let text = text.to_owned();
        let repeats = Repeats {
            count: 1,
            lasting: Duration::ZERO,
        };
        let failure = TokenFailure { fault, text };
        let next = Next::Operator(Duration::from_secs(300));
        let advice = advice(&failure, "ca", login);
        partition_failed("ca", &advice, &failure, repeats, next).message
    }

    #[test]
    fn what_is_to_be_done_goes_by_what_the_token_answered() {
        const NEW_PIN: &str = "Put the right PIN into the configuration";
        for (answer, login, words) in [
            ("CKR_PIN_INCORRECT", Login::User, NEW_PIN),
            ("CKR_PIN_INCORRECT", Login::Protected, "entered there"),
            ("CKR_PIN_LOCKED", Login::User, "security officer unlock it"),
            ("CKR_PIN_LOCKED", Login::So, "vendor's manual"),
            ("CKR_USER_TYPE_INVALID", Login::So, "correct `login`"),
            (
                "CKR_USER_PIN_NOT_INITIALIZED",
                Login::User,
                "security officer set one",
            ),
        ] {
            let text = said(TokenFault::PinRefused, &format!("C_Login: {answer}"), login);
            assert!(text.contains(words), "{answer}: {text}");
            assert_eq!(text.contains(NEW_PIN), words == NEW_PIN, "{text}");
            assert_eq!(
                text.contains("qseed guard --clear ca."),
                answer != "CKR_USER_TYPE_INVALID",
                "{text}"
            );
        }
        let held = said(TokenFault::PinHeld, "refused before", Login::Protected);
        assert!(!held.contains("configuration"), "{held}");
    }

    #[test]
    fn that_no_pin_was_presented_is_said_once() {
        let text = said(
            TokenFault::PinFlagged,
            "the token says that the PIN is locked; no PIN was offered",
            Login::User,
        );
        assert!(!text.contains("presented"), "{text}");
    }
}
