//! What a module's listing says about a partition, before anything is tried on it.

use qseed_config::{Login, Partition};
use qseed_tokens::directory::{GeneratorNote, LibraryInfo, SlotReport, TokenFlag, TokenInfo};
use qseed_tokens::failure::FailureClass;
use qseed_tokens::find;
use qseed_tokens::wire::TokenChoice;

use super::verdict::{Subject, Verdict};
use crate::log::format_duration;
use crate::visit::Lost;

/// What a module said: all of its slots, or those before it failed.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) library: LibraryInfo,
    pub(super) slots: Vec<SlotReport>,
    /// Why there may be more slots.
    pub(super) lost: Option<Lost>,
}

/// Why a partition's token is not there: what is the matter, and the fix.
pub(super) struct Missing(pub(super) String, pub(super) String);

impl Directory {
    /// The one token that is meant, initialised. `slots` is the command that shows what is there.
    pub(super) fn find(&self, choice: &TokenChoice, slots: &str) -> Result<&TokenInfo, Missing> {
        find::find(choice, &self.library, &self.slots).map_err(|failure| match &self.lost {
            Some(lost) => Missing(
                format!("the token was not found before the module failed: {lost}"),
                "see the module's verdict".to_owned(),
            ),
            None => Missing(failure.to_string(), fix(failure.class, slots)),
        })
    }
}

fn fix(class: FailureClass, slots: &str) -> String {
    match class {
        FailureClass::AmbiguousUri => "add serial= to the URI".to_owned(),
        FailureClass::NotInitialised => "initialise it with the vendor's tool".to_owned(),
        _ => format!("`{slots}` shows what is there"),
    }
}

/// What the token is, and what will happen to it.
pub(super) fn token(subject: &Subject, token: &TokenInfo) -> Verdict {
    let text = format!(
        "token {:?} in slot {}: serial {}, model {}, firmware {}",
        token.label, token.slot_id, token.serial, token.model, token.firmware
    );
    subject.ok("token", text)
}

/// What will happen once the daemon runs.
pub(super) fn plan(subject: &Subject, partition: &Partition) -> Verdict {
    let login = match partition.login {
        Login::None => "without a login".to_owned(),
        Login::Protected => "after a login at the PIN pad".to_owned(),
        login => format!("logged in as {login}"),
    };
    let calls = match partition.chunk.filter(|chunk| *chunk < partition.size) {
        Some(chunk) => format!(" in {} calls", partition.size.div_ceil(chunk)),
        None => String::new(),
    };
    let (size, period) = (partition.size, format_duration(partition.period));
    let text = format!("will be seeded with {size} bytes{calls} every {period}, {login}");
    subject.ok("plan", text)
}

/// What is to be known of the token's generator.
pub(super) fn generator(
    subject: &Subject,
    library: &LibraryInfo,
    token: &TokenInfo,
    took_seeds: bool,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if !token.has(TokenFlag::Rng) && !took_seeds {
        let text = "the token says that it has no generator (CKF_RNG is not set), so it will \
                    probably refuse seeds";
        verdicts.push(subject.warning("generator", text, "add --probe to find out"));
    }
    match GeneratorNote::of(library, token) {
        Some(note @ GeneratorNote::InCallingProcess) => {
            let fix = "none: seed a software token for trials only";
            verdicts.push(subject.warning("generator", note.text(), fix));
        }
        Some(note @ GeneratorNote::VirtualSlot) => {
            let fix = "configure a partition for each member's own slot";
            verdicts.push(subject.warning("generator", note.text(), fix));
        }
        Some(note @ GeneratorNote::RefusesSeeding) if !took_seeds => {
            let fix = "add --probe to find out";
            verdicts.push(subject.warning("generator", note.text(), fix));
        }
        Some(GeneratorNote::RefusesSeeding) | None => {}
    }
    if token.has(TokenFlag::ErrorState) {
        let text = "the token says that a self-test failed (CKF_ERROR_STATE)";
        verdicts.push(subject.fault("generator", text, "ask the vendor"));
    }
    verdicts
}

/// What the token's flags say about the login that is configured.
pub(super) fn login(
    subject: &Subject,
    partition: &Partition,
    token: &TokenInfo,
    took_seeds: bool,
) -> Vec<Verdict> {
    const CHECK: &str = "login";
    let is = |flag| token.has(flag);
    let has_pad = is(TokenFlag::ProtectedAuthenticationPath);
    match partition.login {
        Login::None if is(TokenFlag::LoginRequired) && !took_seeds => {
            let text = "login: none, and the token says that some of its functions need a login; \
                        seeding may be one of them";
            vec![subject.warning(
                CHECK,
                text,
                "add --probe to find out, or set `login` and `pin`",
            )]
        }
        Login::None => Vec::new(),
        Login::Protected if !has_pad => {
            let text = "login: protected, and the token has no PIN pad (no protected \
                        authentication path)";
            vec![subject.fault(CHECK, text, "set login: user and `pin`")]
        }
        login => {
            let mut verdicts = pin_flags(subject, login, token);
            if has_pad && login != Login::Protected {
                let text = "the token has a PIN pad and may not take a PIN from qseed";
                let fix = "set login: protected if the PIN is to be entered at the token";
                verdicts.push(subject.warning(CHECK, text, fix));
            }
            verdicts
        }
    }
}

/// The state of the PIN, by the token's flags: vendors' users have none of their own, and the
/// user's are the nearest.
fn pin_flags(subject: &Subject, login: Login, token: &TokenInfo) -> Vec<Verdict> {
    use TokenFlag as F;
    const CHECK: &str = "pin";
    let is = |flag| token.has(flag);
    let [locked, final_try, count_low, to_be_changed] = if login == Login::So {
        [
            F::SoPinLocked,
            F::SoPinFinalTry,
            F::SoPinCountLow,
            F::SoPinToBeChanged,
        ]
    } else {
        [
            F::UserPinLocked,
            F::UserPinFinalTry,
            F::UserPinCountLow,
            F::UserPinToBeChanged,
        ]
    };
    let mut verdicts = Vec::new();
    if login != Login::So && !is(F::UserPinInitialized) {
        let text = "the token says that its user has no PIN yet";
        verdicts.push(subject.fault(CHECK, text, "have the security officer set one"));
    }
    if is(locked) {
        let text = "the token says that the PIN is locked; qseed presents none";
        let fix = "have the security officer reset the PIN";
        verdicts.push(subject.fault(CHECK, text, fix));
    } else if is(final_try) {
        let text = "the token says that the next wrong PIN locks it; qseed presents none";
        let fix = "log in once with the vendor's tool and the right PIN";
        verdicts.push(subject.fault(CHECK, text, fix));
    } else if is(count_low) {
        let text = "the token says that a wrong PIN was entered since the last login";
        let fix = "if it was not you, find out who tries PINs on it";
        verdicts.push(subject.warning(CHECK, text, fix));
    }
    if is(to_be_changed) {
        let text = "the token wants its PIN changed";
        verdicts.push(subject.warning(CHECK, text, "change it, here and at the token"));
    }
    verdicts
}

/// What is wrong where partitions turn out to be one token.
pub(super) fn shared(subject: &Subject, partition: &Partition, other: &Partition) -> Verdict {
    const CHECK: &str = "shared-token";
    if !partition.login.excludes(other.login) {
        let text = format!(
            "partition {} is the same token, so it is seeded for both",
            other.name
        );
        return subject.warning(CHECK, text, "remove one of them unless that is meant");
    }
    let text = format!(
        "partition {} is the same token and logs in as {}, this one as {}: a process can be \
         logged in to a token in one way only",
        other.name, other.login, partition.login
    );
    subject.fault(
        CHECK,
        text,
        "use one login for it, or remove one of the partitions",
    )
}
