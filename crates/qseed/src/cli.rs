//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Seeds PKCS#11 hardware security modules with quantum entropy.
#[derive(Debug, Parser)]
#[command(
    name = "qseed",
    version,
    about,
    long_about = "Downloads entropy from entropy services and injects it, periodically, into \
                  PKCS#11 tokens with C_SeedRandom. Without a command it runs as `qseed run`.",
    after_help = "Exit codes: 0 success, 64 usage, 69 unavailable, 70 internal, 75 try later, \
                  77 permission, 78 configuration.",
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What qseed is asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Seeds every partition at its period, in the foreground, until it is stopped
    Run(RunArgs),
    /// Reads the configuration and looks at sources and tokens; says what will happen
    Check(CheckArgs),
    /// Lists the slots and tokens of a module
    Slots(SlotsArgs),
    /// Lists the PINs that are held back, or lets one be tried again
    Guard(GuardArgs),
    /// The process that holds a module: started by `qseed run`, of no use otherwise
    #[command(hide = true)]
    Worker,
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "QSEED_CONFIG_FILE",
        default_value = "/etc/qseed/qseed_config.yml"
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
    /// The state directory; the configuration is not read then
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}
