//! `qseed audit` and its commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::ConfigArgs;

/// `qseed audit`
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Checks every record, the tree and the signatures
    Verify(VerifyArgs),
    /// Prints the records for people
    Show(ShowArgs),
    /// Prints the proof that one record is in the ledger (C2SP tlog-proof)
    Proof(ProofArgs),
    /// Prints records with proofs that verify alone
    Export(ExportArgs),
    /// Prints the keys that verify the ledger's signatures
    Key(KeyArgs),
}

impl AuditArgs {
    pub(super) fn config(&mut self) -> &mut ConfigArgs {
        match &mut self.command {
            AuditCommand::Verify(args) => &mut args.config,
            AuditCommand::Show(args) => &mut args.config,
            AuditCommand::Proof(args) => &mut args.config,
            AuditCommand::Export(args) => &mut args.config,
            AuditCommand::Key(args) => &mut args.config,
        }
    }
}

/// `qseed audit verify`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit codes: 0 all holds; 65 something was changed; 75 consistent, but signed by a \
                  key that was not given, so NOT authenticated; 64 usage; 77 permission.\n\
                  docs/ledger.md says what verification proves and what it does not."
)]
pub(crate) struct VerifyArgs {
    /// The ledger, a rotated file of it, an export or a proof; `-` is standard input [default: the
    /// configuration's ledger]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A verifier's key that you kept elsewhere, or a file of keys, one a line; may be repeated
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Vec<String>,
    /// A witness's verifier key, or a file of keys: the newest checkpoint must carry its signature; may
    /// be repeated
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: Vec<String>,
    /// An older checkpoint that you kept elsewhere: the ledger must contain its past; may be repeated
    #[arg(long, value_name = "OLD")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `qseed audit show`
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// The ledger or a rotated file of it; `-` is standard input [default: the configuration's ledger]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `qseed audit proof`
#[derive(Debug, Clone, Args)]
pub(crate) struct ProofArgs {
    /// The record's sequence number
    pub(crate) seq: u64,
    /// The ledger or a rotated file of it [default: the configuration's ledger]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `qseed audit export`
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Print JSON with a proof of each record (this is the default)
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// Print a table for spreadsheets, without proofs
    #[arg(long, group = "form")]
    pub(crate) csv: bool,
    /// Write the whole ledger to this new folder in the layout of C2SP tlog-tiles
    #[arg(
        long,
        value_name = "DIR",
        group = "form",
        conflicts_with_all = ["partition", "event", "since", "until"]
    )]
    pub(crate) tiles: Option<PathBuf>,
    /// The ledger or a rotated file of it [default: the configuration's ledger]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `qseed audit key`
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyArgs {
    /// Take the keys from this ledger instead of the configuration's signing key
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Which records are meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only records of this partition; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) partition: Vec<String>,
    /// Only records of this kind (seed, refused, state, intent, checkpoint, …); may be repeated
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Vec<String>,
    /// Only records from this time on: 2026-11-24T15:00:00Z, 2026-11-24 (UTC), or an age such as 24h
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Only records before this time, written in the same way
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
}

/// A time, a day in UTC, or an age.
fn time(text: &str) -> Result<Timestamp, String> {
    let day = || format!("{text}T00:00:00Z").parse().ok();
    let ago = || Timestamp::now().checked_sub(age(text)?).ok();
    let read = text.parse().ok().or_else(day).or_else(ago);
    read.ok_or_else(|| {
        "write it as 2026-11-24T15:00:00Z, as 2026-11-24 (UTC), or as an age: 30m, 24h, 7d"
            .to_owned()
    })
}

/// `10`, `10s`, `5m`, `24h`, `7d`, as durations are written in the configuration.
fn age(text: &str) -> Option<SignedDuration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = digits.parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::{age, time};

    #[test]
    fn times_are_instants_days_or_ages() {
        let at = |text| time(text).map(|time| time.to_string());
        assert_eq!(
            at("2026-11-24T15:00:00Z").as_deref(),
            Ok("2026-11-24T15:00:00Z")
        );
        assert_eq!(
            at("2026-11-24T16:00:00+01:00").as_deref(),
            Ok("2026-11-24T15:00:00Z")
        );
        assert_eq!(at("2026-11-24").as_deref(), Ok("2026-11-24T00:00:00Z"));
        assert!(time("24h").is_ok_and(|then| then < jiff::Timestamp::now()));
        for wrong in [
            "",
            "yesterday",
            "24x",
            "-5m",
            "h",
            "99999999999999999999d",
            "9223372036854775807d",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        for (text, seconds) in [
            ("10", 10),
            ("10s", 10),
            ("5m", 300),
            ("24h", 86_400),
            ("7d", 604_800),
        ] {
            assert_eq!(age(text).map(|age| age.as_secs()), Some(seconds), "{text}");
        }
    }
}
