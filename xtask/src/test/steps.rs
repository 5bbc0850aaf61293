//! The steps of a test run: what is printed of them, and what is counted.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::failure::Failure;
use crate::process::{Stop, name_of, run_logged};
use crate::workspace::Workspace;

/// Lines of a failed step that are shown.
const SHOWN_LINES: usize = 150;
/// Lines of the tests that failed that are shown: what each of them wrote.
const SHOWN_LINES_OF_TESTS: usize = 1000;

/// How a step came out.
pub(super) enum Outcome {
    /// Passed, with a remark.
    Passed(String),
    /// Failed, with the text to show.
    Failed(String),
}

impl Outcome {
    /// The outcome of a step. A stop is an error, not an outcome.
    pub(super) fn of(result: Result<(), Failure>) -> Result<Self, Failure> {
        match result {
            Ok(()) => Ok(Self::Passed(String::new())),
            Err(Failure::Stopped) => Err(Failure::Stopped),
            Err(failure) => Ok(Self::Failed(failure.to_string())),
        }
    }
}

/// What tests said about themselves in `test result:` lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// A test run.
pub(super) struct Steps<'a> {
    workspace: &'a Workspace,
    /// Run only the steps whose names begin with one of these; all steps if empty.
    only: &'a [String],
    stop: &'a mut Stop,
    logs: PathBuf,
    /// The step that runs, and since when; `None` if it was not asked for.
    running: Option<(String, Instant)>,
    passed: u64,
    failed: u64,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        workspace: &'a Workspace,
        only: &'a [String],
        stop: &'a mut Stop,
    ) -> Result<Self, Failure> {
        let logs = workspace.target().join("xtask");
        fs::create_dir_all(&logs).map_err(Failure::io(logs.display().to_string()))?;
        println!("What each step writes is in {}.", logs.display());
        Ok(Self {
            workspace,
            only,
            stop,
            logs,
            running: None,
            passed: 0,
            failed: 0,
        })
    }

    pub(super) fn workspace(&self) -> &'a Workspace {
        self.workspace
    }

    pub(super) fn stop(&mut self) -> &mut Stop {
        self.stop
    }

    /// Whether a step of this name, or one whose name begins so, is to run.
    pub(super) fn wants(&self, name: &str) -> bool {
        let wanted = |only: &String| name.starts_with(only.as_str()) || only.starts_with(name);
        self.only.is_empty() || self.only.iter().any(wanted)
    }

    /// Begins a step. Whether it is to run.
    pub(super) fn begin(&mut self, name: &str) -> bool {
        if !self.wants(name) {
            self.running = None;
            return false;
        }
        print!("{name:<24}");
        let _ = std::io::stdout().flush();
        // A log of an earlier run would be taken for this one's.
        let _ = fs::remove_file(self.log_of(name));
        self.running = Some((name.to_owned(), Instant::now()));
        true
    }

    /// Says in a word what takes long.
    pub(super) fn mention(what: &str) {
        print!("({what}) ");
        let _ = std::io::stdout().flush();
    }

    /// Ends a step.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if self.running.is_none() {
            return;
        }
        match outcome {
            Outcome::Passed(remark) => {
                self.passed += 1;
                self.print_end("ok", &remark);
            }
            Outcome::Failed(why) => {
                self.failed += 1;
                self.print_end("FAILED", "");
                print_indented(&why);
            }
        }
    }

    fn print_end(&mut self, word: &str, remark: &str) {
        if let Some((_, began)) = self.running.take() {
            let took = began.elapsed().as_secs_f32();
            println!("{word:<7}{took:>7.1} s  {remark}");
        }
    }

    /// A step that is one call of cargo.
    pub(super) async fn cargo(
        &mut self,
        name: &str,
        arguments: &[&str],
        deadline: Duration,
    ) -> Result<(), Failure> {
        let mut command = self.workspace.cargo(arguments);
        self.command(name, &mut command, deadline).await
    }

    /// A step that is one program.
    pub(super) async fn command(
        &mut self,
        name: &str,
        command: &mut Command,
        deadline: Duration,
    ) -> Result<(), Failure> {
        if self.begin(name) {
            let outcome = self.run(command, deadline).await?;
            self.end(outcome);
        }
        Ok(())
    }

    /// Runs a program of the step that runs.
    pub(super) async fn run(
        &mut self,
        command: &mut Command,
        deadline: Duration,
    ) -> Result<Outcome, Failure> {
        let Some((name, _)) = &self.running else {
            return Ok(Outcome::Passed(String::new()));
        };
        let log = self.log_of(name);
        let ended = match run_logged(command, &log, deadline, self.stop).await {
            Ok(ended) => ended,
            other => return Outcome::of(other.map(drop)),
        };
        if ended.well() {
            return Ok(Outcome::Passed(String::new()));
        }
        let how = ended.status.map_or_else(
            || format!("did not end within {} s", ended.took.as_secs()),
            |status| status.to_string(),
        );
        let written = worth_showing(&read(&log));
        Ok(Outcome::Failed(format!(
            "{}: {how}\n{written}",
            name_of(command)
        )))
    }

    /// A step that runs tests, which are counted one by one.
    pub(super) async fn tests(
        &mut self,
        name: &str,
        command: &mut Command,
        deadline: Duration,
    ) -> Result<(), Failure> {
        if !self.begin(name) {
            return Ok(());
        }
        let outcome = self.run(command, deadline).await?;
        let counts = Counts::of(&read(&self.log_of(name)));
        self.passed += counts.passed;
        self.failed += counts.failed;
        match outcome {
            Outcome::Passed(_) if counts.passed == 0 => {
                self.end(Outcome::Failed("no test ran".to_owned()));
            }
            Outcome::Passed(_) => {
                self.print_end("ok", &counts.in_words());
            }
            Outcome::Failed(why) => {
                // Something else than a test may have failed: a build, a program that crashed.
                if counts.failed == 0 {
                    self.failed += 1;
                }
                self.print_end("FAILED", &counts.in_words());
                print_indented(&why);
            }
        }
        Ok(())
    }

    /// The last line. Whether everything passed.
    pub(super) fn finish(self) -> Result<bool, Failure> {
        if self.passed + self.failed == 0 {
            return Err(Failure::said(format!(
                "no step has a name that begins with {}",
                self.only.join(" or ")
            )));
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        Ok(self.failed == 0)
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}.log", name.replace(' ', "-")))
    }
}

impl Counts {
    /// Sums up the `test result:` lines of `cargo test`.
    fn of(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            let Some((_, result)) = line.split_once("test result: ") else {
                continue;
            };
            let words: Vec<&str> = result.split([' ', ';', '.']).collect();
            for pair in words.windows(2) {
                let Ok(number) = pair[0].parse::<u64>() else {
                    continue;
                };
                match pair[1] {
                    "passed" => counts.passed += number,
                    "failed" => counts.failed += number,
                    "ignored" => counts.ignored += number,
                    _ => {}
                }
            }
        }
        counts
    }

    fn in_words(&self) -> String {
        let Self {
            passed,
            failed,
            ignored,
        } = self;
        let ignored = match ignored {
            0 => String::new(),
            number => format!(", {number} ignored"),
        };
        format!("{passed} tests passed, {failed} failed{ignored}")
    }
}

fn read(log: &std::path::Path) -> String {
    fs::read(log).map_or_else(
        |error| format!("{}: {error}", log.display()),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// What tests that failed wrote, or the end of a log without the lines that say that something is
/// well.
fn worth_showing(log: &str) -> String {
    let failures = failures(log);
    if !failures.is_empty() {
        return last_lines(&failures, SHOWN_LINES_OF_TESTS);
    }
    let well = |line: &str| line.starts_with("test ") && line.ends_with(" ... ok");
    let building = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        [
            "Compiling",
            "Checking",
            "Downloaded",
            "Downloading",
            "Documenting",
        ]
        .contains(&word)
    };
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !well(line) && !building(line))
        .collect();
    // The end of the output says what failed; a fuzzer prints a thousand lines before that.
    last_lines(&lines, SHOWN_LINES)
}

/// The parts of the output of `cargo test` between `failures:` and `test result: FAILED`.
fn failures(log: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in log.lines() {
        inside |= line == "failures:";
        if inside {
            lines.push(line);
        }
        inside &= !line.starts_with("test result: ");
    }
    lines
}

fn last_lines(lines: &[&str], number: usize) -> String {
    let left_out = lines.len().saturating_sub(number);
    let shown = lines[left_out..].join("\n");
    if left_out == 0 {
        return shown;
    }
    format!("({left_out} lines before these are in the log)\n{shown}")
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, SHOWN_LINES, worth_showing};

    const OUTPUT: &str = "\
   Compiling qseed v0.1.0
test a ... ok
test b ... FAILED
test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 1.02s
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_are_summed_up() {
        let counts = Counts::of(OUTPUT);
        let expected = Counts {
            passed: 17,
            failed: 1,
            ignored: 2,
        };
        assert_eq!(counts, expected);
        assert_eq!(Counts::of("error: it does not build"), Counts::default());
    }

    #[test]
    fn what_is_well_is_not_shown() {
        let shown = worth_showing(OUTPUT);
        assert!(!shown.contains("Compiling"));
        assert!(!shown.contains("test a"));
        assert!(shown.contains("test b ... FAILED"));
    }

    #[test]
    fn what_a_failed_test_wrote_is_shown_whatever_ran_after_it() {
        let why = "failures:\n\n---- b stdout ----\nthread 'b' panicked\n\nfailures:\n    b\n\n";
        let failed = OUTPUT.replacen(
            "test result: FAILED",
            &format!("{why}test result: FAILED"),
            1,
        );
        let later = "test c ... ok and then this\n".repeat(2 * SHOWN_LINES);
        let shown = worth_showing(&format!("{failed}{later}"));
        assert!(shown.starts_with("failures:"), "{shown}");
        assert!(shown.contains("thread 'b' panicked"), "{shown}");
        assert!(
            shown
                .lines()
                .last()
                .is_some_and(|line| line.starts_with("test result: FAILED"))
        );
    }
}
