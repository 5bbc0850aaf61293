//! `qseed audit key`: the keys that verify the ledger's signatures.

use std::path::Path;

use qseed_config::Config;
use qseed_ledger::key::SigningKey;

use super::proving::beginning;
use super::set::Set;
use super::{configured_file, load};
use crate::cli::KeyArgs;
use crate::exit::{Code, Failure, remark};
use crate::ledger::key::KeyPlace;
use crate::log::printable;
use crate::print::print;
use crate::state_dir::Acting;

/// Prints the verifier keys, one a line: Ed25519, then ML-DSA-44.
pub(crate) fn key(args: &KeyArgs) -> Result<(), Failure> {
    if let Some(file) = &args.file {
        return of_ledger(file);
    }
    let config = load(&args.config)?;
    let file = configured_file(&config)?;
    let secret = key_place(&config).read(Acting::ForOwner);
    let secret = match secret {
        Ok(secret) => secret,
        Err(why) => {
            remark(&why.to_string());
            return of_ledger(&file);
        }
    };
    let beginning = beginning(&Set::of(&file)?)?;
    let key = SigningKey::new(&secret, &beginning.origin);
    let key = key.map_err(|why| Failure::internal("the ledger's signing key", why))?;
    let keys = key.verifier_keys().each_ref().map(ToString::to_string);
    if keys[..] != beginning.keys {
        let text = format!(
            "{} was not signed with the signing key that the configuration has now; the daemon \
             begins a new ledger with this key when it starts, so start it and run the command again",
            file.display()
        );
        return Err(Failure::new(Code::TryLater, text));
    }
    print(&format!("{}\n", keys.join("\n")))
}

fn key_place(config: &Config) -> KeyPlace {
    let audit = config.audit.as_ref();
    let configured = audit.and_then(|audit| audit.signing_key.as_ref());
    KeyPlace::new(configured, &config.state_dir)
}

/// Prints the keys that a ledger names itself.
fn of_ledger(file: &Path) -> Result<(), Failure> {
    let beginning = beginning(&Set::of(file)?)?;
    let keys: Vec<_> = beginning.keys.iter().map(|key| printable(key)).collect();
    print(&format!("{}\n", keys.join("\n")))?;
    remark(&format!(
        "these keys come from {} itself. The file's writer chose them, so they prove \
         nothing until you compare them with keys from elsewhere",
        file.display()
    ));
    Ok(())
}
