//! `qseed audit`: verifies, prints and exports the ledger. It needs no daemon and no network, and for
//! a ledger that was copied elsewhere no configuration.

mod csv;
mod describe;
mod export;
mod key;
mod lines;
mod proof;
mod proving;
mod records;
mod report;
mod set;
mod show;
mod text;
mod verify;
mod view;
mod walk;

use std::path::{Path, PathBuf};

use qseed_config::Config;

use crate::cli::{AuditCommand, ConfigArgs};
use crate::exit::{Code, Failure};
use crate::ledger::checkpoint_file;
use crate::state_dir::Acting;

/// Runs one of its commands.
pub(crate) fn audit(command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify::verify(args),
        AuditCommand::Show(args) => show::show(args),
        AuditCommand::Proof(args) => proof::proof(args),
        AuditCommand::Export(args) => export::export(args),
        AuditCommand::Key(args) => key::key(args),
    }
}

/// The ledger's file: the one that was named, else the configuration's.
fn ledger_file(named: Option<&Path>, config: &ConfigArgs) -> Result<PathBuf, Failure> {
    match named {
        Some(file) => Ok(file.to_owned()),
        None => configured_file(&load(config)?),
    }
}

/// The file of the configuration's ledger.
fn configured_file(config: &Config) -> Result<PathBuf, Failure> {
    let Some(audit) = &config.audit else {
        let text =
            "the configuration has no `audit`, so qseed writes no ledger; name a ledger's file";
        return Err(Failure::new(Code::Usage, text));
    };
    let file = config.state_dir.join(&audit.file);
    if file.exists() || checkpoint_file(&file).exists() {
        return Ok(file);
    }
    let text = format!(
        "there is no ledger yet at {}; the daemon makes it when it starts",
        file.display()
    );
    Err(Failure::new(Code::Unavailable, text))
}

/// Loads the configuration. Who else can read its secrets does not matter to these commands.
fn load(args: &ConfigArgs) -> Result<Config, Failure> {
    let mut args = args.clone();
    args.allow_readable_secrets = true;
    let loaded = crate::run::load(&args, Acting::ForOwner);
    let loaded = loaded.map_err(|failure| {
        failure.with_line("to do without the configuration, name the ledger's file")
    });
    loaded.map(|loaded| loaded.config)
}
