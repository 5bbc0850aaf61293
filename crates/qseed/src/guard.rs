//! `qseed guard`: the PINs that are held back, and letting one be tried again.

mod names;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use qseed_config::{Config, Partition};
use serde_json::{Value, json};

use self::names::{closest, quoted};
use crate::cli::GuardArgs;
use crate::exit::{Code, Failure};
use crate::guard_file::{Entry, GuardFile, GuardFileError, Record};
use crate::log::{format_time, printable};
use crate::print::{count, print, print_json};

/// Prints what is held back, or clears it for one partition.
pub(crate) fn guard(args: &GuardArgs) -> Result<(), Failure> {
    let scene = Scene::new(args)?;
    match &args.clear {
        Some(name) => scene.clear(name, args.json),
        None => scene.show(args.json),
    }
}

/// The guard's file and the partitions that it is about.
struct Scene {
    state_dir: PathBuf,
    /// None: no PIN was ever presented.
    file: Option<GuardFile>,
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
        let file = open(&state_dir)?;
        Ok(Self {
            state_dir,
            file,
            config,
        })
    }

    /// The records that hold a PIN back, the oldest first.
    fn held(&self) -> Vec<&Record> {
        let records = self.file.iter().flat_map(GuardFile::records);
        let mut held: Vec<_> = records.filter(|record| why(record).is_some()).collect();
        held.sort_by(|a, b| (a.since, &a.partition).cmp(&(b.since, &b.partition)));
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
    fn is_superseded(&self, held: &Record) -> bool {
        self.file
            .as_ref()
            .is_some_and(|file| file.was_put_right(held))
    }

    fn show(&self, json: bool) -> Result<(), Failure> {
        let held = self.held();
        if json {
            return print_json(&self.document(&held, None));
        }
        if held.is_empty() {
            return print("No PIN is held back.\n");
        }
        let mut text = format!(
            "{} held back, and will not be presented to the token:\n",
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
                format_time(record.since),
                reason(record),
                self.to_do(record)
            );
        }
        print(&text)
    }

    fn to_do(&self, record: &Record) -> String {
        if self.is_superseded(record) {
            return "nothing: another PIN of this partition was accepted since then".to_owned();
        }
        let clear = clear_command(&record.partition);
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
        let records: Vec<Record> = held
            .iter()
            .filter(|record| names.contains(record.partition.as_str()))
            .map(|record| Record {
                standing: None,
                since: Timestamp::now(),
                answer: None,
                ..(*record).clone()
            })
            .collect();
        let cleared = records.len();
        append(&self.state_dir, records)?;
        if json {
            let left: Vec<_> = held
                .into_iter()
                .filter(|record| !names.contains(record.partition.as_str()))
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

    /// That nothing is held back under this name, and where it may be instead.
    fn nothing_of(&self, name: &str, held: &[&Record]) -> String {
        let mut text = format!("No PIN of {} is held back.\n", printable(name));
        let others: BTreeSet<_> = held
            .iter()
            .map(|record| record.partition.as_str())
            .collect();
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
        let records = self.file.iter().flat_map(GuardFile::records);
        let known: BTreeSet<&str> = records
            .map(|record| record.partition.as_str())
            .chain(self.configured().map(|partition| partition.name.as_str()))
            .filter(|known| !known.is_empty())
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let near = closest(name, &known);
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

    fn document(&self, held: &[&Record], cleared: Option<(&str, usize)>) -> Value {
        let held: Vec<_> = held
            .iter()
            .map(|record| {
                json!({
                    "partition": record.partition,
                    "configured": self.config.is_some().then(|| self.is_configured(&record.partition)),
                    "superseded": self.is_superseded(record),
                    "since": format_time(record.since),
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
            "cleared": cleared.map(|(name, pins)| json!({ "partition": name, "pins": pins })),
        })
    }
}

fn why(record: &Record) -> Option<&'static str> {
    record
        .standing
        .and_then(crate::guard_file::Known::held_back)
}

/// Why a PIN is held back, with the token's own words.
fn reason(record: &Record) -> String {
    let why = why(record).unwrap_or_default();
    match &record.answer {
        Some(answer) => format!("{why} ({})", printable(answer)),
        None => why.to_owned(),
    }
}

/// What lets a partition's PIN be tried again.
fn clear_command(name: &str) -> String {
    format!("qseed guard --clear {}", quoted(&printable(name)))
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
    match crate::run::load(&config) {
        Ok(loaded) => Ok(loaded.config),
        Err(failure) => {
            let advice = "to do without the configuration, name the state directory: qseed guard \
                          --state-dir DIR";
            Err(failure.with_line(advice))
        }
    }
}

/// Opens the guard's file where it is there; making one is the daemon's business.
fn open(state_dir: &Path) -> Result<Option<GuardFile>, Failure> {
    match std::fs::metadata(GuardFile::path_in(state_dir)) {
        Ok(_) => GuardFile::open(state_dir)
            .map(Some)
            .map_err(|error| failed(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(&GuardFileError::Io {
            path: GuardFile::path_in(state_dir),
            source,
        })),
    }
}

fn append(state_dir: &Path, records: Vec<Record>) -> Result<(), Failure> {
    if records.is_empty() {
        return Ok(());
    }
    let entries = records
        .into_iter()
        .map(|record| Entry {
            record,
            presents: false,
        })
        .collect();
    let mut file = GuardFile::open(state_dir).map_err(|error| failed(&error))?;
    file.append(entries).map_err(|error| failed(&error))?;
    Ok(())
}

/// Why the guard's file cannot be used, with the exit code that says so.
fn failed(error: &GuardFileError) -> Failure {
    let text = format!("the PIN guard's file: {error}");
    match error {
        GuardFileError::Corrupt { .. } => Failure::new(Code::Internal, text),
        GuardFileError::Io { source, .. } => match code(source) {
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
    }
}

fn code(error: &io::Error) -> Code {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Code::Permission,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Code::Configuration,
        _ => Code::Internal,
    }
}
