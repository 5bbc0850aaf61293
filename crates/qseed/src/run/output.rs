//! What modules write to standard output and error.

use qseed_config::{Module, Output};
use qseed_engine::WorkerId;
use qseed_tokens::supervisor::Stream;

use super::daemon::Daemon;
use crate::log::Entry;

impl Daemon {
    pub(super) fn module_wrote(&mut self, worker: WorkerId, stream: Stream, line: &str) {
        let (name, _) = self.module_of(worker);
        let stream = match stream {
            Stream::Output => "stdout",
            Stream::Error => "stderr",
        };
        let entry = Entry::info("module-output", format!("{name}: {line}"));
        self.log.write(entry.with("stream", stream));
    }

    /// Logs that a module wrote lines which are not passed on: where none is, each time that there
    /// are ten times as many.
    pub(super) fn module_wrote_more(&mut self, worker: WorkerId, lines: u64) {
        let (name, output) = self.module_of(worker);
        let message = match output {
            Output::Log => format!("{name}: wrote {lines} more lines, too many to log."),
            Output::Count => {
                let count = self.lines_written.entry(name.clone()).or_default();
                let before = count.checked_ilog10();
                *count = count.saturating_add(lines);
                if count.checked_ilog10() == before {
                    return;
                }
                let lines = if *count == 1 { "line" } else { "lines" };
                format!(
                    "{name}: wrote {count} {lines} to its standard output and error so far. qseed \
                     does not log them, since they may hold PINs and seeds; `output: log` for this \
                     module does."
                )
            }
        };
        let entry = Entry::info("module-output", message);
        self.log.write(entry.with("count", lines));
    }

    /// A module's name for the log, its file's, and what the log has of its output.
    fn module_of(&self, worker: WorkerId) -> (String, Output) {
        let view = self.engine.workers().find(|view| view.worker == worker);
        let module = view.and_then(|view| self.plan.modules.get(&view.module));
        let name = |module: &Module| {
            let name = module.path.file_name().unwrap_or(module.path.as_os_str());
            name.to_string_lossy().into_owned()
        };
        module.map_or(("a module".to_owned(), Output::Count), |module| {
            (name(module), module.output)
        })
    }
}
