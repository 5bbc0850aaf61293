//! What a module's listing says about a partition's token.

use qseed_config::{Login, Module, Partition};
use qseed_model::pins::HeldBack;
use qseed_tokens::directory::{GeneratorNote, PinFlags, TokenFlag, TokenInfo};
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::find;

use super::verdict::{Subject, Verdict};
use crate::advice::{Known, advice, token_failure, unlock};
use crate::log::format_duration;
use crate::module_worker::Listing;

/// A partition whose token was found.
pub(super) struct Found<'a> {
    pub(super) subject: Subject,
    pub(super) partition: &'a Partition,
    token: &'a TokenInfo,
}

/// Finds a partition's token in the module's listing.
///
/// # Errors
/// The verdict that it is not there.
pub(super) fn find<'a>(
    listing: &'a Listing,
    partition: &'a Partition,
    module: &Module,
) -> Result<Found<'a>, Verdict> {
    let subject = Subject::new("partition", partition.name.as_str());
    let failure = match find::find(&partition.token, &listing.library, &listing.slots) {
        Ok(token) => {
            return Ok(Found {
                subject,
                partition,
                token,
            });
        }
        Err(failure) => failure,
    };
    if let Some(lost) = &listing.failure {
        let why = if listing.is_loaded {
            "the token was not found before the module failed"
        } else {
            "its module does not answer"
        };
        let text = format!("{why}: {}", lost.text);
        return Err(subject.fault("token", text, "see the module's verdict"));
    }
    let fix = match failure.class {
        FailureClass::AmbiguousUri => {
            "add serial= to the URI, so that it matches one token".to_owned()
        }
        FailureClass::NotInitialised => "initialise it with the vendor's tool".to_owned(),
        _ => format!("`{}` shows what is there", slots_command(module)),
    };
    Err(subject.fault("token", failure.to_string(), fix))
}

/// The command that shows what a module has.
fn slots_command(module: &Module) -> String {
    let names = module.environment.iter().map(|(name, _)| name.as_str());
    let variables: String = names.flat_map(|name| [name, "=… "]).collect();
    let init_args = module.init_args.as_ref().map_or("", |_| " --init-args …");
    let path = module.path.display();
    format!("{variables}qseed slots --module {path}{init_args}")
}

impl Found<'_> {
    /// All verdicts on the partition, with those on what was `tried`.
    pub(super) fn verdicts(
        &self,
        listing: &Listing,
        tried: Vec<Verdict>,
        took_seeds: bool,
    ) -> Vec<Verdict> {
        let token = self.token;
        let text = format!(
            "token {:?} in slot {}: serial {}, model {}, firmware {}",
            token.label, token.slot_id, token.serial, token.model, token.firmware
        );
        let mut verdicts = vec![self.subject.ok("token", text)];
        self.generator(listing, took_seeds, &mut verdicts);
        self.login(took_seeds, &mut verdicts);
        verdicts.extend(tried);
        if !verdicts.iter().any(Verdict::is_fault) {
            verdicts.push(self.plan());
        }
        verdicts
    }

    /// What the daemon will do.
    fn plan(&self) -> Verdict {
        let partition = self.partition;
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
        self.subject.ok("plan", text)
    }

    /// What an operator should know about the token's generator.
    fn generator(&self, listing: &Listing, took_seeds: bool, verdicts: &mut Vec<Verdict>) {
        const CHECK: &str = "generator";
        const TRY_IT: &str = "add --probe to find out";
        let subject = &self.subject;
        if !self.token.has(TokenFlag::Rng) && !took_seeds {
            let text = "the token says that it has no generator (CKF_RNG is not set), so it will \
                        probably refuse seeds";
            verdicts.push(subject.warning(CHECK, text, TRY_IT));
        }
        if let Some(note) = GeneratorNote::of(&listing.library, self.token) {
            let fix = match note {
                GeneratorNote::InCallingProcess => "seed a software token for trials only",
                GeneratorNote::VirtualSlot => "configure a partition for each member's own slot",
                GeneratorNote::RefusesSeeding => TRY_IT,
            };
            if note != GeneratorNote::RefusesSeeding || !took_seeds {
                verdicts.push(subject.warning(CHECK, note.text(), fix));
            }
        }
        if self.token.has(TokenFlag::ErrorState) {
            let text = "the token says that a self-test failed (CKF_ERROR_STATE)";
            verdicts.push(subject.fault(CHECK, text, "ask the vendor"));
        }
    }

    /// What the token's flags say about the login that is configured.
    fn login(&self, took_seeds: bool, verdicts: &mut Vec<Verdict>) {
        const CHECK: &str = "login";
        let (subject, login) = (&self.subject, self.partition.login);
        let has_pad = self.token.has(TokenFlag::ProtectedAuthenticationPath);
        if login == Login::None {
            if self.token.has(TokenFlag::LoginRequired) && !took_seeds {
                let text = "login: none, and the token says that some of its functions need a \
                            login; seeding may be one of them";
                let fix = "add --probe to find out, or set `login` and `pin`";
                verdicts.push(subject.warning(CHECK, text, fix));
            }
            return;
        }
        if login == Login::Protected && !has_pad {
            let text = "login: protected, and the token has no PIN pad (no protected \
                        authentication path)";
            verdicts.push(subject.fault(CHECK, text, "set login: user and `pin`"));
            return;
        }
        self.pin(verdicts);
        if has_pad && login != Login::Protected {
            let text = "the token has a PIN pad and may not take a PIN from qseed";
            let fix = "set login: protected if somebody enters the PIN at the token";
            verdicts.push(subject.warning(CHECK, text, fix));
        }
    }

    /// The state of the PIN, by the token's flags.
    fn pin(&self, verdicts: &mut Vec<Verdict>) {
        const CHECK: &str = "pin";
        let (subject, login) = (&self.subject, self.partition.login);
        let flags = PinFlags::of(self.token, login);
        if flags.not_initialised {
            let text = "the token says that its user has no PIN yet";
            verdicts.push(subject.fault(CHECK, text, "have the security officer set one"));
        }
        if let Some(why) = flags.against_login() {
            let fix = if flags.locked {
                unlock(login)
            } else {
                "log in once with the vendor's tool and the right PIN"
            };
            verdicts.push(subject.fault(CHECK, format!("{why}; qseed presents none"), fix));
        } else if flags.count_low {
            let text = "the token says that a wrong PIN was entered since the last login";
            let fix = "if neither you nor qseed entered it (see qseed guard), find out who tries PINs on it";
            verdicts.push(subject.warning(CHECK, text, fix));
        }
        let to_be_changed = match login {
            Login::So => TokenFlag::SoPinToBeChanged,
            _ => TokenFlag::UserPinToBeChanged,
        };
        if self.token.has(to_be_changed) {
            let text = "the token wants its PIN changed";
            verdicts.push(subject.warning(CHECK, text, "change it, here and at the token"));
        }
    }

    /// A worker's report of a failure, with the advice of the daemon's log. `presenter` is the
    /// partition that presented the PIN before, perhaps under an older name.
    pub(super) fn failed(
        &self,
        check: &'static str,
        failure: &TokenFailure,
        held_back: Option<HeldBack>,
        presenter: Option<String>,
    ) -> Verdict {
        let known = Known {
            partition: Some(self.partition),
            token: Some(self.token),
            held_back,
        };
        let class = failure.class;
        let failure = token_failure(failure, &known);
        let partition = Partition {
            name: presenter.unwrap_or_else(|| self.partition.name.clone()),
            ..self.partition.clone()
        };
        let advice = advice(&failure, &partition);
        let fix = match held_back {
            _ if !advice.is_empty() => &advice,
            Some(HeldBack::DeviceInDoubt) => "qseed guard lists the other partition",
            Some(_) => "run this check again",
            None if class == FailureClass::PinUnavailable => "correct `pin` in the configuration",
            None => "check the token with its vendor's tool",
        };
        self.subject.fault(check, failure.text, fix)
    }

    pub(super) fn is_same_slot(&self, other: &Found<'_>) -> bool {
        self.token.slot_id == other.token.slot_id
    }

    /// What is wrong where partitions turn out to be one token.
    pub(super) fn shares_token_with(&self, other: &Partition) -> Verdict {
        const CHECK: &str = "shared-token";
        let partition = self.partition;
        let text = format!("partition {} is the same token", other.name);
        if !partition.login.excludes(other.login) {
            let text = format!("{text}, so it is seeded for both");
            let fix = "remove one of them unless you want that";
            return self.subject.warning(CHECK, text, fix);
        }
        let text = format!(
            "{text} and logs in as {}, this one as {}: a process can be logged in to a token in \
             one way only",
            other.login, partition.login
        );
        let fix = "use one login for it, or remove one of the partitions";
        self.subject.fault(CHECK, text, fix)
    }
}
