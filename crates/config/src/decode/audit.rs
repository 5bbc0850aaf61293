//! The audit ledger's settings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_secrets::SecretRef;
use zeroize::Zeroizing;

use crate::audit::{Audit, AuditMode, Rotate};
use crate::keys;
use crate::report::Reading;
use crate::section::Field;

/// Bytes of the signing key.
const KEY_BYTES: usize = 32;

pub(super) fn read(field: Field<'_>) -> Reading<Audit> {
    let section = field.section(keys::AUDIT)?;
    let file = section.or("file", "audit.jsonl".into(), |field| {
        // A relative path counts from the state directory.
        let path = field.path_as_written()?;
        if path.file_name().is_none() || field.text()?.ends_with('/') {
            let help = "write the path of the ledger's file, such as audit.jsonl";
            return field.refuse("is not the path of a file", help);
        }
        Ok(path)
    });
    let signing_key = section.optional("signing_key", signing_key);
    let mode = section.or("mode", AuditMode::default(), |field| {
        field.choice(&[
            ("best-effort", AuditMode::BestEffort),
            ("required", AuditMode::Required),
        ])
    });
    let rotate = section.or("rotate", Rotate::default(), rotate);
    Ok(Audit {
        file: file?,
        signing_key: signing_key?,
        mode: mode?,
        rotate: rotate?,
    })
}

/// A key that the configuration spells out must be one: others are judged where they are read.
fn signing_key(field: Field<'_>) -> Reading<SecretRef> {
    let reference = field.secret()?;
    let SecretRef::Literal(text) = &reference else {
        return Ok(reference);
    };
    let key = STANDARD.decode(text.expose()).map(Zeroizing::new);
    if !key.is_ok_and(|key| key.len() == KEY_BYTES) {
        let help = "make one in a file with mode 0600, `openssl rand -base64 32 >FILE`, and write `file:FILE`";
        return field.refuse_unshown("not 32 bytes in base64", Some(help));
    }
    Ok(reference)
}

fn rotate(field: Field<'_>) -> Reading<Rotate> {
    let section = field.section(keys::ROTATE)?;
    let default = Rotate::default();
    let size = section.or("size", default.size, |field| {
        field.bytes(16 << 10..=1 << 40, "16KiB to 1TiB")
    });
    let keep = section.or("keep", default.keep, |field| {
        field.number(1..=100_000, "write a number of files from 1 to 100000")
    });
    Ok(Rotate {
        size: size?,
        keep: keep?,
    })
}
