//! The command line.

mod audit;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use audit::{
    AuditArgs, AuditCommand, ExportArgs, FilterArgs, KeyArgs, ProofArgs, ShowArgs, VerifyArgs,
};

/// Names the configuration file where no option does. Empty is as unset.
const CONFIG_VARIABLE: &str = "QSEED_CONFIG_FILE";
/// The configuration file where nothing names one.
const DEFAULT_CONFIG: &str = "/etc/qseed/qseed_config.yml";

/// Seeds PKCS#11 hardware security modules with quantum entropy.
#[derive(Debug, Parser)]
#[command(
    name = "qseed",
    version,
    about,
    long_about = "Downloads entropy from entropy services and injects it, periodically, into \
                  PKCS#11 tokens with C_SeedRandom. Without a command it runs as `qseed run`.",
    after_help = "Exit codes: 0 success, 64 usage, 65 a ledger was changed, 69 unavailable, \
                  70 internal, 75 try later, 77 permission, 78 configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// In front of a command these are the command's.
    #[command(flatten)]
    run: RunArgs,
}

/// Reads a command line, whose first word is the program's name.
///
/// # Errors
/// As [`Parser::try_parse_from`]; what is asked for with `--help` and `--version` is one too.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let mut program = Cli::command();
    let matches = program.try_get_matches_from_mut(words)?;
    let Cli { command, run } = Cli::from_arg_matches(&matches)?;
    let Some(mut command) = command else {
        return Ok(Command::Run(run));
    };
    if let Command::Run(args) = &mut command {
        args.once |= run.once;
    } else if run.once {
        let text = "'--once' is an option of the command 'run' alone";
        return Err(program.error(ErrorKind::ArgumentConflict, text));
    }
    if let Some(config) = command.config() {
        config.allow_readable_secrets |= run.config.allow_readable_secrets;
        let mut behind = matches.subcommand().map(|(_, matches)| matches);
        while let Some((_, deeper)) = behind.and_then(ArgMatches::subcommand) {
            behind = Some(deeper);
        }
        match (names_config(&matches), behind.is_some_and(names_config)) {
            (true, true) => {
                let text = "'--config' stands in front of the command and behind it; give it once";
                return Err(program.error(ErrorKind::ArgumentConflict, text));
            }
            (true, false) => config.config = run.config.config,
            (false, _) => {}
        }
    }
    Ok(command)
}

/// Whether the command line itself names the configuration here.
fn names_config(matches: &ArgMatches) -> bool {
    matches.value_source("config") == Some(ValueSource::CommandLine)
}

/// The configuration file that the environment names, else the usual one.
fn usual_config() -> PathBuf {
    std::env::var_os(CONFIG_VARIABLE)
        .filter(|named| !named.is_empty())
        .map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Seeds every partition at its period, in the foreground, until it is stopped
    Run(RunArgs),
    /// Checks the configuration, the sources and the tokens, and says what will happen
    Check(CheckArgs),
    /// Lists the slots and tokens of a module
    Slots(SlotsArgs),
    /// Lists the PINs that are held back, or lets one be tried again
    Guard(GuardArgs),
    /// Verifies, prints and exports the ledger of what was injected
    Audit(AuditArgs),
    /// The process that loads a module: qseed starts it, of no use otherwise
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// The configuration that the command reads, if it reads one.
    fn config(&mut self) -> Option<&mut ConfigArgs> {
        match self {
            Self::Run(args) => Some(&mut args.config),
            Self::Check(args) => Some(&mut args.config),
            Self::Guard(args) => Some(&mut args.config),
            Self::Audit(args) => Some(args.config()),
            Self::Slots(_) | Self::Worker => None,
        }
    }
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file
    #[arg(
        long,
        short,
        value_name = "FILE",
        help = format!("The configuration file [default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG}]"),
        default_value_os_t = usual_config(),
        hide_default_value = true
    )]
    pub(crate) config: PathBuf,
    /// Warn of secrets that other users can read instead of refusing to start
    #[arg(long)]
    pub(crate) allow_readable_secrets: bool,
}

/// `qseed run`
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Seed every partition once and exit
    #[arg(long)]
    pub(crate) once: bool,
}

/// `qseed check`
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Log in where the configuration says so; the PIN guard protects the tokens
    #[arg(long)]
    pub(crate) login: bool,
    /// Inject entropy from the local kernel to see whether seeding works and which lengths do
    #[arg(long)]
    pub(crate) probe: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `qseed slots`
#[derive(Debug, Clone, Args)]
pub(crate) struct SlotsArgs {
    /// The vendor's Cryptoki library
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// A text for `C_Initialize`, as NSS wants one
    #[arg(long, value_name = "TEXT")]
    pub(crate) init_args: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `qseed guard`
#[derive(Debug, Clone, Args)]
pub(crate) struct GuardArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Let this partition's PIN be tried again
    #[arg(long, value_name = "NAME")]
    pub(crate) clear: Option<String>,
    /// Start again after the guard's own file or key was lost or replaced
    #[arg(long, conflicts_with = "clear")]
    pub(crate) reset: bool,
    /// The state directory; the configuration is not read then
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// A usage error in one line: what is wrong and what to do.
pub(crate) fn complaint(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut parts = text.split("\n\n");
    let wrong = parts.next().unwrap_or_default();
    let wrong: Vec<_> = wrong.split_whitespace().collect();
    let tip = parts
        .next()
        .and_then(|part| part.trim_start().strip_prefix("tip: "))
        .and_then(|tips| tips.lines().next());
    format!("{}; {}", wrong.join(" "), tip.unwrap_or("see qseed --help"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::{Command, complaint, parse};

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    /// The configuration file and whether readable secrets are allowed.
    fn config(line: &str) -> (std::path::PathBuf, bool) {
        let mut command = parsed(line).expect("a good command line");
        let config = command.config().expect("it reads a configuration");
        (config.config.clone(), config.allow_readable_secrets)
    }

    #[test]
    fn where_the_configuration_is_may_stand_on_both_sides_of_the_command() {
        for line in [
            "qseed --config /x",
            "qseed --config /x run",
            "qseed -c /x check",
            "qseed check --config /x",
            "qseed --config /x guard --clear p",
            "qseed --config=/x --once run",
            "qseed --config /x audit key",
            "qseed audit verify --config /x",
        ] {
            assert_eq!(config(line), (Path::new("/x").to_owned(), false), "{line}");
        }
        for line in [
            "qseed --allow-readable-secrets check -c /x",
            "qseed -c /x check --allow-readable-secrets",
            "qseed --allow-readable-secrets -c /x",
        ] {
            assert_eq!(config(line), (Path::new("/x").to_owned(), true), "{line}");
        }
        assert!(parsed("qseed --config /x check --config /y").is_err());
        // A wrapper that names the configuration for every command serves for this one too.
        assert!(parsed("qseed --config /x slots --module /m").is_ok());
    }

    #[test]
    fn once_belongs_to_run() {
        for line in ["qseed --once", "qseed --once run", "qseed run --once"] {
            let command = parsed(line).expect("a good command line");
            assert!(matches!(command, Command::Run(args) if args.once), "{line}");
        }
        assert!(matches!(parsed("qseed run"), Ok(Command::Run(args)) if !args.once));
        let error = parsed("qseed --once check").expect_err("of no use to check");
        assert_eq!(
            complaint(&error),
            "'--once' is an option of the command 'run' alone; see qseed --help"
        );
    }

    #[test]
    fn a_complaint_is_one_line_with_what_to_do() {
        for (line, told) in [
            (
                "qseed --onse",
                "unexpected argument '--onse' found; a similar argument exists: '--once'",
            ),
            (
                "qseed chek",
                "unrecognized subcommand 'chek'; a similar subcommand exists: 'check'",
            ),
            (
                "qseed run zzz",
                "unexpected argument 'zzz' found; see qseed --help",
            ),
            (
                "qseed slots",
                "the following required arguments were not provided: --module <FILE>; \
                 see qseed --help",
            ),
            (
                "qseed check --config",
                "a value is required for '--config <FILE>' but none was supplied; \
                 see qseed --help",
            ),
        ] {
            let error = parsed(line).expect_err(line);
            assert_eq!(complaint(&error), told);
        }
    }
}
