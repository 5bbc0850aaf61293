//! What a module's listing says about a partition's token.

use qseed_config::{Login, Module, Partition};
use qseed_model::pins::HeldBack;
use qseed_tokens::directory::{GeneratorNote, PinFlags, TokenFlag, TokenInfo};
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::find;

use super::verdict::{Finding, Subject};
use crate::advice::{NAME_ONE_TOKEN, advice, token_failure, unlock};
use crate::log::format_duration;
use crate::module_worker::Listing;

/// A partition whose token was found.
pub(super) struct Found<'a> {
    pub(super) subject: Subject,
    pub(super) partition: &'a Partition,
    token: &'a TokenInfo,
    /// Whether its session is open.
    pub(super) is_open: bool,
    /// Whether the token took a seed.
    pub(super) took_seeds: bool,
}

/// Finds a partition's token in the module's listing.
///
/// # Errors
/// The partition with the verdict that its token is not there.
pub(super) fn find<'a>(
    listing: &'a Listing,
    partition: &'a Partition,
    module: &Module,
) -> Result<Found<'a>, Subject> {
    const CHECK: &str = "token";
    let mut subject = Subject::new("partition", partition.name.as_str());
    let found = find::find(&partition.token, &listing.library, &listing.slots);
    match (found, &listing.failure) {
        (Ok(token), _) => {
            return Ok(Found {
                subject,
                partition,
                token,
                is_open: false,
                took_seeds: false,
            });
        }
        (Err(_), Some(lost)) => {
            let why = if listing.is_loaded {
                "the token was not found before the module failed"
            } else {
                "its module does not answer"
            };
            let text = format!("{why}: {}", lost.text);
            subject.fault(CHECK, text, "see the module's verdict");
        }
        (Err(failure), None) => {
            let fix = match failure.class {
                FailureClass::AmbiguousUri => NAME_ONE_TOKEN.to_owned(),
                FailureClass::NotInitialised => "initialise it with the vendor's tool".to_owned(),
                _ => format!("`{}` shows what is there", slots_command(module)),
            };
            subject.fault(CHECK, failure.to_string(), fix);
        }
    }
    Err(subject)
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
    /// What the listing says about the token.
    pub(super) fn token(&mut self) {
        let token = self.token;
        let text = format!(
            "token {:?} in slot {}: serial {}, model {}, firmware {}",
            token.label, token.slot_id, token.serial, token.model, token.firmware
        );
        self.subject.ok("token", text);
        if token.has(TokenFlag::ErrorState) {
            let text = "the token says that a self-test failed (CKF_ERROR_STATE)";
            self.subject.fault("generator", text, "ask the vendor");
        }
        if self.partition.login != Login::None {
            self.login();
        }
    }

    /// What the token's flags say about the login that is configured.
    fn login(&mut self) {
        const CHECK: &str = "login";
        let protected = self.partition.login == Login::Protected;
        let has_pad = self.token.has(TokenFlag::ProtectedAuthenticationPath);
        if protected && !has_pad {
            let text = "login: protected, and the token has no PIN pad (no protected \
                        authentication path)";
            return self.subject.fault(CHECK, text, "set login: user and `pin`");
        }
        self.pin();
        if has_pad && !protected {
            let text = "the token has a PIN pad and may not take a PIN from qseed";
            let fix = "set login: protected if somebody enters the PIN at the token";
            self.subject.warning(CHECK, text, fix);
        }
    }

    /// What the token's flags say about the PIN.
    fn pin(&mut self) {
        const CHECK: &str = "pin";
        let (subject, login) = (&mut self.subject, self.partition.login);
        let flags = PinFlags::of(self.token, login);
        if flags.not_initialised {
            let text = "the token says that its user has no PIN yet";
            subject.fault(CHECK, text, "have the security officer set one");
        }
        if let Some(why) = flags.against_login() {
            let fix = if flags.locked {
                unlock(login)
            } else {
                "log in once with the vendor's tool and the right PIN"
            };
            subject.fault(CHECK, format!("{why}; qseed presents none"), fix);
        } else if flags.count_low {
            let text = "the token says that a login failed since the last good one";
            let fix = "if no wrong PIN of yours or qseed's (see qseed guard) and no crash during a \
                       login explains that, find out who tries PINs on it";
            subject.warning(CHECK, text, fix);
        }
        let to_be_changed = match login {
            Login::So => TokenFlag::SoPinToBeChanged,
            _ => TokenFlag::UserPinToBeChanged,
        };
        if self.token.has(to_be_changed) {
            let text = "the token wants its PIN changed";
            subject.warning(CHECK, text, "change it, here and at the token");
        }
    }

    /// What is to be expected of seeding, after everything that was tried. `earlier` are the
    /// partitions that were checked before.
    pub(super) fn seeding<'b>(
        &mut self,
        listing: &Listing,
        mut earlier: impl Iterator<Item = &'b Found<'b>>,
    ) {
        let (subject, token) = (&mut self.subject, self.token);
        let note = GeneratorNote::of(&listing.library, token);
        if let Some(note) = note.filter(|note| *note != GeneratorNote::RefusesSeeding) {
            let fix = match note {
                GeneratorNote::VirtualSlot => "configure a partition for each member's own slot",
                _ => "seed a software token for trials only",
            };
            subject.warning("generator", note.text(), fix);
        }
        if !self.took_seeds {
            const TRY_IT: &str = "add --probe to find out";
            if !token.has(TokenFlag::Rng) {
                let text = "the token says that it has no generator (CKF_RNG is not set), so it \
                            will probably refuse seeds";
                subject.warning("generator", text, TRY_IT);
            }
            if let Some(note @ GeneratorNote::RefusesSeeding) = note {
                subject.warning("generator", note.text(), TRY_IT);
            }
            if self.partition.login == Login::None && token.has(TokenFlag::LoginRequired) {
                let text = "login: none, and the token says that some of its functions need a \
                            login; seeding may be one of them";
                let fix = "add --probe to find out, or set `login` and `pin`";
                subject.warning("login", text, fix);
            }
        }
        if let Some(same) = earlier.find(|other| other.token.slot_id == token.slot_id) {
            self.shares_token_with(same.partition);
        }
        let is_fault = |finding| matches!(finding, Finding::Fault(_));
        if !self.subject.findings().any(is_fault) {
            self.plan();
        }
    }

    fn shares_token_with(&mut self, other: &Partition) {
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
        self.subject.fault(CHECK, text, fix);
    }

    /// What the daemon will do.
    fn plan(&mut self) {
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
        self.subject.ok("plan", text);
    }

    /// A worker's report of a failure, with the advice of the daemon's log. `presenter` is the
    /// partition that presented the PIN before, perhaps under an older name.
    pub(super) fn failed(
        &mut self,
        check: &'static str,
        failure: &TokenFailure,
        presenter: Option<String>,
    ) {
        let class = failure.class;
        let (partition, token) = (Some(self.partition), Some(self.token));
        let failure = token_failure(failure, partition, token);
        let partition = Partition {
            name: presenter.unwrap_or_else(|| self.partition.name.clone()),
            ..self.partition.clone()
        };
        let advice = advice(&failure, &partition);
        let fix = match class {
            _ if !advice.is_empty() => &advice,
            FailureClass::PinHeld(HeldBack::DeviceInDoubt) => {
                "qseed guard lists the other partition"
            }
            FailureClass::PinHeld(_) => "run this check again",
            FailureClass::PinUnavailable => "correct `pin` in the configuration",
            _ => "check the token with its vendor's tool",
        };
        self.subject.fault(check, failure.text, fix);
    }
}
