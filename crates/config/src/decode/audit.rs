//! The audit ledger's settings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qseed_ledger::key::{Algorithm, VerifierKey};
use qseed_secrets::SecretRef;
use zeroize::Zeroizing;

use crate::audit::{Anchor, Audit, AuditMode, Rotate, Witness};
use crate::keys;
use crate::report::Reading;
use crate::section::{Field, Section};
use crate::yaml::Node;

use super::http;
use super::unique::Unique;

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
    let witnesses = section.or("witnesses", Vec::new(), witnesses);
    let anchor = section.optional("anchor", anchor);
    Ok(Audit {
        file: file?,
        signing_key: signing_key?,
        mode: mode?,
        rotate: rotate?,
        witnesses: witnesses?,
        anchor: anchor?,
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

fn witnesses(field: Field<'_>) -> Reading<Vec<Witness>> {
    let mut keys = Unique::default();
    field.list(|item| witness(item, field, &mut keys))
}

fn witness(item: &Node, list: Field<'_>, keys: &mut Unique<String>) -> Reading<Witness> {
    let section = Section::open(item, "a witness", keys::WITNESS, list.findings)?;
    let insecure_http = section.or("insecure_http", false, Field::boolean);
    let help = "write the witness's submission prefix, such as https://witness.example";
    let url = section.require("url", help, |field| {
        let risk = "lets others on the way keep cosignatures from qseed";
        http::url(
            field,
            insecure_http.unwrap_or(true),
            &["/add-checkpoint"],
            risk,
        )
    });
    let help = "write the witness's verifier key, `name+id+key`, as its operator publishes it";
    let key = section.require("key", help, |field| {
        let key = witness_key(field)?;
        let why = "is already the key of the witness";
        keys.check(key.to_string(), field, why, "name each witness once")?;
        Ok(key)
    });
    let tls = section.optional("tls", http::tls);
    let url = url?;
    http::judge_scheme(&section, &url, insecure_http)?;
    Ok(Witness {
        url,
        key: key?,
        tls: tls?.unwrap_or_default(),
        insecure_http: insecure_http?,
    })
}

fn witness_key(field: Field<'_>) -> Reading<VerifierKey> {
    let key: VerifierKey = match field.text()?.parse() {
        Ok(key) => key,
        Err(why) => return field.refuse_unshown(&format!("it is {why}"), None),
    };
    if key.algorithm() == Algorithm::Ed25519 {
        let why = "it is the key of a log, whose signatures have no time";
        let help = "a witness's key is of type 0x04 (Ed25519) or 0x06 (ML-DSA-44)";
        return field.refuse_unshown(why, Some(help));
    }
    Ok(key)
}

fn anchor(field: Field<'_>) -> Reading<Anchor> {
    let help = "write a program and its arguments, such as [/usr/local/bin/anchor]";
    let words = field.filled_list(help, |node| {
        let item = Field {
            place: node.place,
            node,
            ..field
        };
        let (text, _) = item.scalar()?;
        if text.contains('\0') {
            return item.refuse_unshown("an argument cannot hold a NUL character", None);
        }
        Ok((item, text.to_owned()))
    })?;
    let mut words = words.into_iter();
    let Some((first, program)) = words.next() else {
        return Err(field
            .findings
            .fault_with_help(field.place, "no program", help));
    };
    if !program.starts_with('/') {
        let help = "qseed searches no other folder";
        return first.refuse("is not the absolute path of a program", help);
    }
    Ok(Anchor {
        program: program.into(),
        arguments: words.map(|(_, word)| word).collect(),
    })
}
