//! What protects the secrets and the power of qseed's processes, as far as the system grants it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use qseed_config::{Config, Level};
use qseed_sandbox::NotGranted;
use qseed_secrets::memory;

use crate::closed::open_to_modules;
use crate::log::Entry;

/// A measure and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// The stable name.
    pub(crate) name: &'static str,
    /// What is granted, or a sentence of what is not, without its full stop.
    pub(crate) text: String,
    /// How and as what the log says it: absent where all is granted.
    news: Option<(Level, &'static str)>,
}

impl Measure {
    fn granted(name: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self {
            name,
            text,
            news: None,
        }
    }

    fn lacking(name: &'static str, level: Level, event: &'static str, text: String) -> Self {
        let news = Some((level, event));
        Self { name, text, news }
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.news.is_none()
    }
}

/// All measures, once each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hardening {
    measures: Vec<Measure>,
}

impl Hardening {
    /// Hardens this process as far as the system allows. Call it before other threads start.
    pub(crate) fn begin() -> Self {
        let dumps = memory::forbid_dumps();
        let dumps = dumps.map_err(|why| format!("A core dump of qseed could hold secrets: {why}"));
        let privileges = memory::forbid_new_privileges()
            .map_err(|why| format!("A program that qseed starts could get more privileges: {why}"));
        let locked = memory::lock()
            .map_err(|why| format!("Memory is not locked, so secrets could reach swap: {why}"));
        let calls = qseed_sandbox::give_up();
        let calls = calls.map_err(|why| format!("qseed can do more than it needs: {why}"));
        let lacks = qseed_sandbox::missing();
        let lacks: Vec<_> = lacks.iter().map(NotGranted::to_string).collect();
        let landlock = if lacks.is_empty() {
            Ok(())
        } else {
            let lacks = lacks.join("; ");
            Err(format!("Modules can do more than they should: {lacks}"))
        };
        let measure = |name, granted, event, outcome: Result<(), String>| match outcome {
            Ok(()) => Measure::granted(name, granted),
            Err(text) => Measure::lacking(name, Level::Warn, event, text),
        };
        Self {
            measures: vec![
                measure("core-dumps", "none", "dumpable", dumps),
                measure("new-privileges", "none", "new-privileges", privileges),
                measure("memory", "locked", "memory-not-locked", locked),
                measure("system-calls", "filtered", "not-given-up", calls),
                measure("landlock", "complete", "landlock-missing", landlock),
            ],
        }
    }

    /// Adds what depends on the configuration, which is in this file.
    pub(crate) fn of(mut self, config: &Config, file: &Path) -> Self {
        self.measures.push(match open_to_modules(config, file) {
            None => Measure::granted("files", "closed to modules"),
            Some(text) => Measure::lacking("files", Level::Info, "files-open", text),
        });
        self
    }

    /// Adds what came of taking secrets out of the environment.
    pub(crate) fn add_environment<E: Display>(&mut self, taken: Result<(), E>) {
        self.measures.push(match taken {
            Ok(()) => Measure::granted("environment", "without secrets"),
            Err(why) => {
                let text = format!("Secrets stay in qseed's environment: {why}");
                Measure::lacking("environment", Level::Warn, "secrets-in-environment", text)
            }
        });
    }

    pub(crate) fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// What came of each measure, by name.
    pub(crate) fn by_name(&self) -> BTreeMap<String, String> {
        let measures = self.measures.iter();
        let named = measures.map(|it| (it.name.to_owned(), it.text.clone()));
        named.collect()
    }

    /// What the log says at the start: nothing of what is granted.
    pub(crate) fn shortcomings(&self) -> impl Iterator<Item = Entry> {
        self.measures.iter().filter_map(|it| {
            let (level, event) = it.news?;
            Some(Entry::new(level, event, format!("{}.", it.text)))
        })
    }
}
