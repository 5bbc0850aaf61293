//! The module's behaviour, in safe code: every call of an application passes [`serve`], which
//! looks at the steering file, lets the rules act, and records.

mod background;
mod folder;
mod hostile;
pub(crate) mod info;
pub(crate) mod login;
pub(crate) mod sessions;
mod steering;
pub(crate) mod work;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::{Plan, RuledCall};
use crate::record::{Call, Event, Recorder};
use crate::state::StateFile;
use crate::{Action, Ckr, Error, Function, Rule, When};
use background::Background;
use sessions::{InCall, Sessions};
use steering::Steering;

/// How often a hanging call looks whether it still has to.
const HANG_LOOK: Duration = Duration::from_millis(10);

/// The loaded module, from its first call until its process ends.
#[derive(Debug)]
struct Module {
    steering: Steering,
    state: StateFile,
    recorder: Recorder,
    calls: AtomicU64,
    in_progress: AtomicU32,
    most_in_progress: AtomicU32,
    instance: RwLock<Option<Arc<Instance>>>,
}

/// What lives from `C_Initialize` to `C_Finalize`.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) sessions: Sessions,
    since: Instant,
    /// Ends with the instance.
    _background: Option<Background>,
}

/// One call while the module works on it.
#[derive(Debug)]
pub(crate) struct Scene {
    module: &'static Module,
    plan: Arc<Plan>,
    instance: Option<Arc<Instance>>,
    /// The session that the call opened, for the record.
    opened: Option<u64>,
}

static MODULE: OnceLock<Option<Module>> = OnceLock::new();

/// Serves one call: `call` describes it, `work` is what a healthy module does.
pub(crate) fn serve(call: Call, work: impl FnOnce(&mut Scene) -> Result<(), Ckr>) -> Ckr {
    let open = || Module::open().map_err(|error| complain(&error)).ok();
    match MODULE.get_or_init(open) {
        Some(module) => module.serve(call, work),
        None => Ckr::GENERAL_ERROR,
    }
}

/// Says on standard error what the person at the steering file should know.
fn complain(error: &Error) {
    // Standard error may be closed, and there is nobody else to tell.
    let _ = writeln!(io::stderr(), "faulty token: {error}");
}

impl Module {
    fn open() -> Result<Self, Error> {
        let path = folder::steering_file()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let record = folder.join("record.jsonl");
        Ok(Self {
            state: StateFile::new(folder),
            recorder: Recorder::open(&record).map_err(Error::file(record))?,
            steering: Steering::open(path)?,
            calls: AtomicU64::new(0),
            in_progress: AtomicU32::new(0),
            most_in_progress: AtomicU32::new(0),
            instance: RwLock::new(None),
        })
    }

    fn serve(
        &'static self,
        mut call: Call,
        work: impl FnOnce(&mut Scene) -> Result<(), Ckr>,
    ) -> Ckr {
        call.call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let _in_progress = self.enter();
        let plan = self.look();
        let instance = self.instance();
        let _in_call = self.locate(&mut call, &plan, instance.as_deref());
        let latency = Duration::from_micros(plan.latency_us(call.function));
        let of_interest = plan.faults.record_all || is_of_interest(call.function);
        let seen = as_rules_see(&call, instance.as_deref());
        let begun = self.begin(&call, &plan, &seen, of_interest);
        let rules = match begun {
            Ok(rules) => rules,
            Err(code) => {
                call.result = Some(code);
                self.record(Event::Ended(call));
                return code;
            }
        };

        let (before, after): (Vec<&Rule>, Vec<&Rule>) = rules
            .into_iter()
            .partition(|rule| rule.when == When::Before);
        let prevented = before.into_iter().find_map(|rule| self.act(rule, &call));
        let mut result = prevented.unwrap_or_else(|| {
            // Zero is not slept: even that costs a system call.
            if !latency.is_zero() {
                thread::sleep(latency);
            }
            self.work(&mut call, work)
        });

        let (answers, rest): (Vec<&Rule>, Vec<&Rule>) = after
            .into_iter()
            .partition(|rule| matches!(rule.action, Action::Answer(_)));
        for rule in answers {
            result = self.act(rule, &call).unwrap_or(result);
        }
        call.result = Some(result);
        if of_interest && !self.record(Event::Ended(call.clone())) {
            result = Ckr::DEVICE_ERROR;
        }
        for rule in rest {
            self.act(rule, &call);
        }
        result
    }

    /// Puts a call of interest on record and finds the rules that hit it. What cannot be recorded
    /// does not happen.
    fn begin<'p>(
        &self,
        call: &Call,
        plan: &'p Plan,
        seen: &RuledCall,
        of_interest: bool,
    ) -> Result<Vec<&'p Rule>, Ckr> {
        let record = || {
            let recorded = self.record(Event::Begun(call.clone()));
            if recorded {
                Ok(())
            } else {
                Err(Ckr::DEVICE_ERROR)
            }
        };
        // A presented PIN comes before everything else, even before counting calls on the disk.
        let presents_pin = call.function == Function::Login;
        if presents_pin {
            record()?;
        }
        let rules = plan.hits(seen, &self.state).map_err(|error| {
            complain(&error);
            Ckr::GENERAL_ERROR
        })?;
        let held_up = !rules.is_empty() || plan.latency_us(call.function) > 0;
        if of_interest && held_up && !presents_pin {
            record()?;
        }
        Ok(rules)
    }

    /// Does the work, with everything as it is by now: the call may have been held up for long.
    fn work(
        &'static self,
        call: &mut Call,
        work: impl FnOnce(&mut Scene) -> Result<(), Ckr>,
    ) -> Ckr {
        let (plan, instance) = (self.look(), self.instance());
        let mut scene = Scene {
            module: self,
            plan,
            instance,
            opened: None,
        };
        let done = work(&mut scene).err().unwrap_or(Ckr::OK);
        call.session = call.session.or(scene.opened);
        call.done = Some(done);
        done
    }

    fn instance(&self) -> Option<Arc<Instance>> {
        self.instance
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the steering file again if it changed, and loses the sessions that it takes away.
    fn look(&self) -> Arc<Plan> {
        let look = self.steering.look();
        if let Some(changed) = look.changed {
            if let Some(instance) = self.instance() {
                instance.sessions.retire(&look.plan);
            }
            let error = changed.err();
            if let Some(error) = &error {
                complain(error);
            }
            self.record(Event::Steered {
                error: error.map(|error| error.to_string()),
            });
        }
        look.plan
    }

    /// Writes a line of the record; whether that worked.
    fn record(&self, event: Event) -> bool {
        let written = self
            .recorder
            .write(event)
            .map_err(Error::file("record.jsonl"));
        written.map_err(|error| complain(&error)).is_ok()
    }

    /// Counts the call among those in progress.
    fn enter(&self) -> InProgress<'_> {
        let calls = self.in_progress.fetch_add(1, Ordering::SeqCst) + 1;
        if self.most_in_progress.fetch_max(calls, Ordering::SeqCst) < calls {
            self.record(Event::Concurrency { calls });
        }
        InProgress(&self.in_progress)
    }

    /// Fills in the slot and token of the call, and marks its session as in use.
    fn locate(&self, call: &mut Call, plan: &Plan, instance: Option<&Instance>) -> Option<InCall> {
        if let Some(slot) = call.slot {
            call.token = plan.token_in(slot).ok().map(|token| token.number);
        }
        let session = instance?.sessions.peek(call.session?)?;
        call.slot = Some(session.slot);
        call.token = Some(session.token.token);
        let (in_call, shared) = session.enter();
        if shared {
            self.record(Event::SessionShared {
                session: call.session?,
            });
        }
        Some(in_call)
    }

    /// Lets a rule act. What it answers, where it does.
    fn act(&self, rule: &Rule, call: &Call) -> Option<Ckr> {
        let action = rule.action.clone();
        self.record(Event::Fault {
            function: call.function,
            call: call.call,
            action,
        });
        match &rule.action {
            Action::Answer(code) => return Some(*code),
            Action::DelayMs(milliseconds) => thread::sleep(Duration::from_millis(*milliseconds)),
            Action::Hang => {
                while self.look().has(rule) {
                    thread::sleep(HANG_LOOK);
                }
            }
            Action::Segfault => crate::crash::segfault(),
            Action::Abort => std::process::abort(),
            Action::Exit(status) => std::process::exit(*status),
            Action::Kill => {
                let itself = rustix::process::getpid();
                rustix::process::kill_process(itself, rustix::process::Signal::KILL)
                    .expect("a process may kill itself");
            }
            Action::Stdout(text) => say(&mut io::stdout(), text),
            Action::Stderr(text) => say(&mut io::stderr(), text),
            Action::Send { bytes, times } => hostile::send(bytes, *times),
            Action::Try(attempts) => {
                for attempt in attempts {
                    let error = hostile::attempt(attempt).err();
                    self.record(Event::Tried {
                        attempt: attempt.clone(),
                        error: error.map(|error| error.to_string()),
                    });
                }
            }
        }
        None
    }
}

/// Writes noise, which nobody need read.
fn say(stream: &mut impl Write, text: &str) {
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}

fn as_rules_see(call: &Call, instance: Option<&Instance>) -> RuledCall {
    let age = instance.map_or(Duration::ZERO, |instance| instance.since.elapsed());
    RuledCall {
        function: call.function,
        token: call.token,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The calls that the record always has.
fn is_of_interest(function: Function) -> bool {
    matches!(
        function,
        Function::Initialize
            | Function::Finalize
            | Function::OpenSession
            | Function::CloseSession
            | Function::CloseAllSessions
            | Function::Login
            | Function::Logout
            | Function::SeedRandom
            | Function::InitToken
            | Function::InitPIN
            | Function::SetPIN
    )
}

/// A call in progress.
struct InProgress<'m>(&'m AtomicU32);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
