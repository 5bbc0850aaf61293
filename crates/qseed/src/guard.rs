//! `qseed guard`: lists the PINs that are held back, and lets one be tried again.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use qseed_config::{Config, Partition, near};
use qseed_engine::guard::{Contents, PinRecord};
use qseed_model::pins::{HeldBack, Standing};
use serde_json::{Value, json};

use crate::advice::{RESET, clear_command};
use crate::cli::GuardArgs;
use crate::exit::{Code, Failure};
use crate::guard_file::{self, Entry, GuardFile};
use crate::log::printable;
use crate::print::{count, print, print_json};
use crate::state_dir::{Acting, StateDirError};

/// Lists what is held back, clears it for one partition, or starts again after records were lost.
pub(crate) fn guard(args: &GuardArgs) -> Result<(), Failure> {
    let mut listing = Listing::read(args)?;
    match &args.clear {
        Some(name) => listing.clear(name, args.json),
        None if args.reset => listing.reset(args.json),
        None if args.json => print_json(&listing.document(None)),
        None => print(&listing.text()),
    }
}

/// What the guard's file says, and the partitions of the configuration.
struct Listing {
    state_dir: PathBuf,
    contents: Contents,
    /// None with `--state-dir`.
    config: Option<Config>,
}

impl Listing {
    /// Reads the guard's file, and writes nothing.
    fn read(args: &GuardArgs) -> Result<Self, Failure> {
        let config = match args.state_dir {
            None => Some(load(args)?),
            Some(_) => None,
        };
        let configured = config.as_ref().map(|config| &config.state_dir);
        let state_dir = args.state_dir.as_ref().or(configured);
        let state_dir = state_dir.cloned().unwrap_or_default();
        let read = guard_file::operators_dir(&state_dir).and_then(|dir| guard_file::read(&dir));
        let contents = match read {
            Ok(contents) => contents,
            // The daemon makes the configured folder. If it was named and is not there, it is
            // misspelt.
            Err(why) if why.code() == Code::Unavailable && config.is_some() => Contents::default(),
            Err(why) => return Err(failed(&why)),
        };
        Ok(Self {
            state_dir,
            contents,
            config,
        })
    }

    /// The records that hold a PIN back, or may hold back others of their device, the oldest first.
    fn held(&self) -> Vec<&PinRecord> {
        let records = self.contents.records.iter();
        let mut held: Vec<_> = records.filter(|record| why(record).is_some()).collect();
        held.sort_by_key(|record| record.seq);
        held
    }

    fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.config.iter().flat_map(|config| &config.partitions)
    }

    /// Whether the configuration has this partition, if there is one.
    fn is_configured(&self, name: &str) -> Option<bool> {
        let mut partitions = self.config.as_ref()?.partitions.iter();
        Some(partitions.any(|partition| partition.name == name))
    }

    fn text(&self) -> String {
        let held = self.held();
        let mut text = String::new();
        if let Some(lost) = self.contents.records.lost() {
            let _ = write!(
                text,
                "No PIN is presented to any token: {}. Records of refused PINs may be missing; \
                 {RESET}\n\n",
                printable(lost)
            );
        }
        let _ = match held.len() {
            0 => writeln!(text, "No PIN is held back."),
            1 => writeln!(text, "1 PIN is held back:"),
            n => writeln!(text, "{n} PINs are held back:"),
        };
        for record in held {
            let answer = record.answer.as_deref().map(printable);
            let _ = write!(
                text,
                "\n{}\n  since  {}\n  why    {}{}\n  to do  {}\n",
                printable(&record.partition),
                printable(&record.since),
                why(record).unwrap_or_default(),
                answer.map_or_else(String::new, |answer| format!(" ({answer})")),
                self.to_do(record)
            );
        }
        text
    }

    fn to_do(&self, record: &PinRecord) -> String {
        if self.contents.records.was_put_right(record) {
            return "nothing: another PIN of this partition was accepted since then".to_owned();
        }
        let clear = clear_command(&record.partition);
        if record.standing.and_then(Standing::held_back).is_none() {
            return format!(
                "nothing: qseed presents it once more; until the token accepts it, PINs of the same \
                 device that were never accepted wait; to end that: {clear}"
            );
        }
        if self.is_configured(&record.partition) == Some(false) {
            return format!(
                "nothing, unless a partition that has this token now, under another name, is \
                 blocked by it; to let the PIN be tried again: {clear}"
            );
        }
        format!(
            "put the right PIN into the configuration: another PIN is tried at once; if this PIN \
             is right and the token was mended instead: {clear}"
        )
    }

    fn document(&self, cleared: Option<(&str, usize)>) -> Value {
        let held = self.held().into_iter().map(|record| {
            json!({
                "partition": record.partition,
                "configured": self.is_configured(&record.partition),
                "superseded": self.contents.records.was_put_right(record),
                "since": record.since,
                "standing": record.standing,
                "why": why(record),
                "answer": record.answer,
                "fix": self.to_do(record),
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state_dir": self.state_dir.to_string_lossy(),
            "held": held.collect::<Vec<_>>(),
            "lost": self.contents.records.lost(),
            "cleared": cleared.map(|(name, pins)| json!({ "partition": name, "pins": pins })),
        })
    }

    /// Lets the PINs of a partition be tried again.
    fn clear(&mut self, name: &str, json: bool) -> Result<(), Failure> {
        self.must_be_known(name)?;
        let names = self.with_same_pin(name);
        let held = self.held().into_iter();
        let entries: Vec<Entry> = held
            .filter(|record| names.contains(&*record.partition))
            .map(|record| Entry::Clear(record.tag))
            .collect();
        let cleared = entries.len();
        if cleared > 0 {
            self.change(|file| file.append(&entries).map(drop))?;
        }
        if json {
            return print_json(&self.document(Some((name, cleared))));
        }
        let printed = printable(name);
        if cleared == 0 {
            let others = match self.held().len() {
                0 => String::new(),
                _ => format!("\n{}", self.text()),
            };
            return print(&format!("No PIN of {printed} is held back.\n{others}"));
        }
        let pins = match cleared {
            1 => "its PIN".to_owned(),
            _ => count(cleared, "PIN"),
        };
        print(&format!(
            "{printed}: {pins} may be tried again. A running daemon does so within a few seconds. If \
             the token refuses it once more, it is held back again.\n"
        ))
    }

    /// The partition and those with the same token, login and PIN: the PIN is held back under the
    /// name of the partition that presented it.
    fn with_same_pin<'name>(&'name self, name: &'name str) -> BTreeSet<&'name str> {
        let pin = |it: &'name Partition| (&it.module, &it.token, &it.login, &it.pin);
        let named = self.partitions().find(|partition| partition.name == name);
        let same = self
            .partitions()
            .filter(|it| named.is_some_and(|named| pin(it) == pin(named)));
        same.map(|it| it.name.as_str()).chain([name]).collect()
    }

    fn must_be_known(&self, name: &str) -> Result<(), Failure> {
        let records = self.contents.records.iter();
        let known: BTreeSet<&str> = records
            .map(|record| &*record.partition)
            .chain(self.partitions().map(|partition| &*partition.name))
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let list = |names: Vec<&str>, between| {
            let names: Vec<_> = names.into_iter().map(printable).collect();
            names.join(between)
        };
        let mut near = near(name, known.iter().copied());
        near.truncate(3);
        let advice = match (near.is_empty(), known.len()) {
            (false, _) => format!("; did you mean {}?", list(near, " or ")),
            (true, 1..=20) => format!(
                "; the known names are {}",
                list(known.into_iter().collect(), ", ")
            ),
            (true, _) => String::new(),
        };
        let text = format!("there is no partition {}{advice}", printable(name));
        Err(Failure::new(Code::Usage, text))
    }

    /// Starts again after the guard's file or key was lost or replaced.
    fn reset(&mut self, json: bool) -> Result<(), Failure> {
        let lost = self.contents.records.lost().map(str::to_owned);
        if lost.is_some() {
            self.change(GuardFile::reset)?;
        }
        if json {
            return print_json(&json!({ "reset": lost.is_some(), "was_lost": lost }));
        }
        print(match lost {
            Some(_) => {
                "The PIN guard starts again. Records of the present key are kept: what they hold back \
                 stays held back (see qseed guard). A running daemon logs in again within a minute.\n"
            }
            None => {
                "Nothing was lost, so nothing was reset. To let one partition's PIN be tried again: \
                 qseed guard --clear NAME\n"
            }
        })
    }

    /// Changes the guard's file.
    fn change(
        &mut self,
        change: impl FnOnce(&mut GuardFile) -> Result<(), StateDirError>,
    ) -> Result<(), Failure> {
        let opened = guard_file::operators_dir(&self.state_dir).and_then(GuardFile::open);
        let mut file = opened.map_err(|why| failed(&why))?;
        change(&mut file).map_err(|why| failed(&why))?;
        self.contents = file.contents().clone();
        Ok(())
    }
}

/// Why a PIN is held back, or holds back others of its device.
fn why(record: &PinRecord) -> Option<&'static str> {
    let standing = record.standing?;
    match standing.held_back() {
        Some(HeldBack::Refused) => Some("the token refused it"),
        Some(_) => Some("it was presented twice, and no answer says that the token accepted it"),
        None if standing == Standing::Accepted => None,
        None => Some("it was presented, and the outcome is not known"),
    }
}

/// Loads the configuration. Who else can read its secrets does not matter to this command.
fn load(args: &GuardArgs) -> Result<Config, Failure> {
    let mut config = args.config.clone();
    config.allow_readable_secrets = true;
    let loaded = crate::run::load(&config, Acting::ForOwner);
    loaded.map(|loaded| loaded.config).map_err(|failure| {
        failure.with_line(
            "to do without the configuration, name the state directory: qseed guard --state-dir DIR",
        )
    })
}

/// Why the guard's file cannot be used, and what to do.
fn failed(why: &StateDirError) -> Failure {
    let code = why.code();
    let advice = match (code, why) {
        (Code::Permission, StateDirError::Io { .. }) => {
            "; run the command as the user that the daemon runs as, or as root"
        }
        (Code::Configuration | Code::Unavailable, _) => {
            "; name a folder that exists as the state directory"
        }
        _ => "",
    };
    Failure::new(code, format!("the PIN guard's file: {why}{advice}"))
}
