//! `qseed guard`: the PINs that are held back, and letting one be tried again.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use qseed_config::{Config, Partition, near};
use qseed_engine::guard::{Contents, PinRecord};
use qseed_model::pins::{HeldBack, Standing};
use serde_json::{Value, json};

use crate::advice::clear_command;
use crate::cli::GuardArgs;
use crate::exit::{Code, Failure};
use crate::guard_file::{self, Entry, GuardFile};
use crate::log::printable;
use crate::print::{count, print, print_json};
use crate::state_dir::{Acting, StateDirError};

/// Prints what is held back, clears it for one partition, or begins anew.
pub(crate) fn guard(args: &GuardArgs) -> Result<(), Failure> {
    let scene = Scene::new(args)?;
    match &args.clear {
        Some(name) => scene.clear(name, args.json),
        None if args.reset => scene.reset(args.json),
        None => scene.show(args.json),
    }
}

/// The guard's file and the partitions that it is about.
struct Scene {
    state_dir: PathBuf,
    /// What the file says.
    contents: Contents,
    /// None where the state directory was named instead of a configuration.
    config: Option<Config>,
}

impl Scene {
    fn new(args: &GuardArgs) -> Result<Self, Failure> {
        let (state_dir, config) = if let Some(folder) = &args.state_dir {
            must_exist(folder)?;
            (folder.clone(), None)
        } else {
            let config = load(args)?;
            (config.state_dir.clone(), Some(config))
        };
        let contents = read(&state_dir)?;
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

    fn configured(&self) -> impl Iterator<Item = &Partition> {
        self.config.iter().flat_map(|config| &config.partitions)
    }

    fn is_configured(&self, name: &str) -> bool {
        self.configured().any(|partition| partition.name == name)
    }

    /// Whether the partition left the configuration, or was renamed.
    fn is_left(&self, name: &str) -> bool {
        self.config.is_some() && !self.is_configured(name)
    }

    /// Whether another PIN of the partition was accepted after this one was held back.
    fn is_superseded(&self, held: &PinRecord) -> bool {
        self.contents.records.was_put_right(held)
    }

    fn show(&self, json: bool) -> Result<(), Failure> {
        let held = self.held();
        if json {
            return print_json(&self.document(&held, None));
        }
        let mut text = String::new();
        if let Some(lost) = self.contents.records.lost() {
            let _ = write!(
                text,
                "No PIN is presented to any token: {}. Records of refused PINs may be missing. Once \
                 the PINs in the configuration are right, run: qseed guard --reset\n\n",
                printable(lost)
            );
        }
        if held.is_empty() {
            text.push_str("No PIN is held back.\n");
            return print(&text);
        }
        let _ = writeln!(
            text,
            "{} held back:",
            match held.len() {
                1 => "1 PIN is".to_owned(),
                n => format!("{n} PINs are"),
            }
        );
        for record in held {
            let _ = write!(
                text,
                "\n{}\n  since  {}\n  why    {}\n  to do  {}\n",
                printable(&record.partition),
                printable(&record.since),
                Self::reason(record),
                self.to_do(record)
            );
        }
        print(&text)
    }

    /// Why a PIN is held back, with the token's own words.
    fn reason(record: &PinRecord) -> String {
        let why = why(record).unwrap_or_default();
        match &record.answer {
            Some(answer) => format!("{why} ({})", printable(answer)),
            None => why.to_owned(),
        }
    }

    fn to_do(&self, record: &PinRecord) -> String {
        if self.is_superseded(record) {
            return "nothing: another PIN of this partition was accepted since then".to_owned();
        }
        let clear = clear_command(&record.partition);
        if record.standing.and_then(Standing::held_back).is_none() {
            return format!(
                "nothing: qseed presents it once more; until the token accepts it, PINs of the same \
                 device that were never accepted wait; to end that: {clear}"
            );
        }
        if self.is_left(&record.partition) {
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

    /// Lets the PINs of a partition be tried again. Those of a partition that is the same token
    /// with the same login and PIN are the same PINs.
    fn clear(&self, name: &str, json: bool) -> Result<(), Failure> {
        self.must_be_known(name)?;
        let names = self.same_pin(name);
        let held = self.held();
        let entries: Vec<Entry> = held
            .iter()
            .filter(|record| names.contains(&*record.partition))
            .map(|record| Entry::Clear(record.tag))
            .collect();
        let cleared = entries.len();
        if cleared > 0 {
            self.change(|file| file.append(&entries).map(drop))?;
        }
        if json {
            let left: Vec<_> = held
                .into_iter()
                .filter(|record| !names.contains(&*record.partition))
                .collect();
            return print_json(&self.document(&left, Some((name, cleared))));
        }
        if cleared > 0 {
            return print(&format!(
                "{}: {} may be tried again. A running daemon does so within a few seconds; should \
                 the token refuse it once more, it is held back again.\n",
                printable(name),
                if cleared == 1 {
                    "its PIN".to_owned()
                } else {
                    count(cleared, "PIN")
                }
            ));
        }
        print(&self.nothing_of(name, &held))
    }

    /// Begins anew where the guard's file or key was lost or replaced.
    fn reset(&self, json: bool) -> Result<(), Failure> {
        let lost = self.contents.records.lost();
        if lost.is_some() {
            self.change(GuardFile::reset)?;
        }
        if json {
            return print_json(&json!({ "reset": lost.is_some(), "was_lost": lost }));
        }
        print(match lost {
            Some(_) => {
                "The PIN guard begins anew. Records of the present key are kept: what they hold back \
                 stays held back (see qseed guard). A running daemon logs in again within a minute.\n"
            }
            None => {
                "Nothing was lost, so nothing was reset. To let one partition's PIN be tried again: \
                 qseed guard --clear NAME\n"
            }
        })
    }

    /// Changes the guard's file; what root makes for another user belongs to that user.
    fn change(
        &self,
        change: impl FnOnce(&mut GuardFile) -> Result<(), StateDirError>,
    ) -> Result<(), Failure> {
        let dir = guard_file::operators_dir(&self.state_dir);
        let mut file = dir.and_then(GuardFile::open).map_err(|why| failed(&why))?;
        change(&mut file).map_err(|why| failed(&why))
    }

    /// That nothing is held back under this name, and where it may be instead.
    fn nothing_of(&self, name: &str, held: &[&PinRecord]) -> String {
        let mut text = format!("No PIN of {} is held back.\n", printable(name));
        let others: BTreeSet<_> = held.iter().map(|record| &*record.partition).collect();
        if others.is_empty() {
            return text;
        }
        let all: Vec<_> = others.iter().copied().map(printable).collect();
        let _ = writeln!(
            text,
            "PINs are held back of: {}. Of partitions that are one token, the PIN goes by the \
             name of the one that presented it.",
            all.join(", ")
        );
        for left in others.into_iter().filter(|other| self.is_left(other)) {
            let _ = writeln!(
                text,
                "No partition of the configuration is named {}: one that has its token now may be \
                 blocked by it, and this lets the PIN be tried again: {}",
                printable(left),
                clear_command(left)
            );
        }
        text
    }

    /// The partition and those whose PIN is its PIN, by the configuration.
    fn same_pin<'name>(&'name self, name: &'name str) -> BTreeSet<&'name str> {
        let same = |a: &Partition, b: &Partition| {
            (&a.module, &a.token, &a.login, &a.pin) == (&b.module, &b.token, &b.login, &b.pin)
        };
        let named = self.configured().find(|partition| partition.name == name);
        let same = named.map(|named| {
            let all = self.configured();
            all.filter(move |partition| same(partition, named))
                .map(|partition| partition.name.as_str())
        });
        same.into_iter().flatten().chain([name]).collect()
    }

    fn must_be_known(&self, name: &str) -> Result<(), Failure> {
        let records = self.contents.records.iter();
        let known: BTreeSet<&str> = records
            .map(|record| &*record.partition)
            .chain(self.configured().map(|partition| partition.name.as_str()))
            .filter(|known| !known.is_empty())
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let near = near(name, known.iter().copied());
        let near: Vec<_> = near.into_iter().take(3).map(printable).collect();
        let advice = match (near.is_empty(), known.len()) {
            (false, _) => format!("did you mean {}?", near.join(" or ")),
            (true, 0) => "the PIN guard knows no partition at all".to_owned(),
            (true, 1..=20) => {
                let all: Vec<_> = known.into_iter().map(printable).collect();
                format!("the partitions are {}", all.join(", "))
            }
            (true, more) => format!("none of the {more} partitions has a name like it"),
        };
        let name = printable(name);
        Err(Failure::new(
            Code::Usage,
            format!("there is no partition {name}; {advice}"),
        ))
    }

    fn document(&self, held: &[&PinRecord], cleared: Option<(&str, usize)>) -> Value {
        let held: Vec<_> = held
            .iter()
            .map(|record| {
                json!({
                    "partition": &*record.partition,
                    "configured": self.config.is_some().then(|| self.is_configured(&record.partition)),
                    "superseded": self.is_superseded(record),
                    "since": record.since,
                    "standing": record.standing,
                    "why": why(record),
                    "answer": record.answer,
                    "fix": self.to_do(record),
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state_dir": self.state_dir.to_string_lossy(),
            "held": held,
            "lost": self.contents.records.lost(),
            "cleared": cleared.map(|(name, pins)| json!({ "partition": name, "pins": pins })),
        })
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

/// A state directory that somebody named and that is not there was misspelt: that no PIN is held
/// back in it would be no answer. The configured one is made when it is first needed.
fn must_exist(folder: &Path) -> Result<(), Failure> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = printable(&folder.to_string_lossy());
            let text = format!("{folder}: there is no such folder; name the daemon's `state_dir`");
            Err(Failure::new(Code::Unavailable, text))
        }
        // What else is wrong with it is met, and told, when the file in it is opened.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Loads the configuration. Who else can read its secrets is not this command's matter.
fn load(args: &GuardArgs) -> Result<Config, Failure> {
    let mut config = args.config.clone();
    config.allow_readable_secrets = true;
    match crate::run::load(&config, Acting::ForOwner) {
        Ok(loaded) => Ok(loaded.config),
        Err(failure) => {
            let advice = "to do without the configuration, name the state directory: qseed guard \
                          --state-dir DIR";
            Err(failure.with_line(advice))
        }
    }
}

/// Reads the guard's file and writes nothing.
fn read(state_dir: &Path) -> Result<Contents, Failure> {
    let read = guard_file::operators_dir(state_dir).and_then(|dir| guard_file::read(&dir));
    match read {
        Ok(contents) => Ok(contents.unwrap_or_default()),
        Err(error) if error.is_not_found() => Ok(Contents::default()),
        Err(error) => Err(failed(&error)),
    }
}

/// Why the guard's file cannot be used, with the exit code that says so.
fn failed(error: &StateDirError) -> Failure {
    let text = format!("the PIN guard's file: {error}");
    match error {
        StateDirError::Io { source, .. } => match code(source) {
            Code::Permission => Failure::new(
                Code::Permission,
                format!("{text}; run the command as the user that the daemon runs as, or as root"),
            ),
            Code::Configuration => Failure::new(
                Code::Configuration,
                format!("{text}; `state_dir` is a folder"),
            ),
            code => Failure::new(code, text),
        },
        _ if error.is_permission() => Failure::new(Code::Permission, text),
        _ => Failure::new(Code::Internal, text),
    }
}

fn code(error: &io::Error) -> Code {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Code::Permission,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Code::Configuration,
        _ => Code::Internal,
    }
}
