//! Checks the ledger's witnesses and its anchor command. That costs nothing there.

use std::path::Path;

use qseed_config::{Anchor, Audit, Witness};
use qseed_http::{Call, Exchange, HttpClient, HttpError, Method, SystemRoots};
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::note::Note;
use qseed_ledger::witness::{LONGEST_ANSWER, known_size, submission};
use rustix::fs::Access;

use super::sources::advice;
use super::verdict::Subject;
use crate::assemble::witness_service;
use crate::exit::Code;
use crate::ledger;

/// What to tell the operator of a witness.
const TELL: &str = "give the witness's operator the keys that `qseed audit key` prints";

/// The newest checkpoint of the ledger, if there is one.
pub(super) fn newest(audit: &Audit, state_dir: &Path) -> Option<Note> {
    let file = ledger::checkpoint_file(&ledger::file(audit, state_dir));
    std::fs::read_to_string(file).ok()?.parse().ok()
}

/// Checks a witness: is it reachable, does it know the ledger?
pub(super) async fn witness(
    witness: Witness,
    newest: Option<Note>,
    roots: SystemRoots,
) -> Vec<Subject> {
    let mut subject = Subject::new("witness", witness.key.name());
    let mut client = HttpClient::new(witness_service(&witness), &roots);
    if let Err(error) = client.connect().await {
        subject.fault("reachable", error.to_string(), advice(error.code()));
        return vec![subject];
    }
    let over = client.link().map_or_else(
        || "without TLS".to_owned(),
        |link| format!("over {}, {}", link.version, link.group),
    );
    subject.ok("reachable", format!("{} is reachable {over}", client.url()));
    knows(&mut subject, &mut client, newest).await;
    vec![subject]
}

/// Asks for something that a witness refuses once it has judged the checkpoint's origin and
/// signatures: to go on from a larger tree than the one that is submitted.
async fn knows(subject: &mut Subject, client: &mut HttpClient, newest: Option<Note>) {
    const CHECK: &str = "ledger";
    let newest = newest.and_then(|note| {
        let checkpoint: Checkpoint = note.text().parse().ok()?;
        Some((note, checkpoint))
    });
    let Some((note, Checkpoint { origin, size, .. })) = newest else {
        let text = "whether it knows the ledger shows once qseed has signed a checkpoint";
        let fix = format!("start qseed, {TELL}, and check again");
        return subject.warning(CHECK, text, fix);
    };
    let call = Call {
        method: Method::POST,
        path: "/add-checkpoint".to_owned(),
        body: submission(size.saturating_add(1), &[], &note),
        exchange: Exchange::Text(409),
        answer_limit: LONGEST_ANSWER,
        spare_attempt: true,
    };
    let it_knows = format!("it knows the ledger {origin}");
    match client.call(&call).await {
        Ok(answer) if answer.status == 409 => match known_size(&answer.body) {
            Ok(known) if known > size => {
                let text = format!(
                    "it has cosigned {known} records of the ledger {origin}, which has {size}"
                );
                let fix = "find out whether the ledger comes from a backup, or another daemon \
                           writes one with the same key";
                subject.fault(CHECK, text, fix);
            }
            Ok(known) => subject.ok(CHECK, format!("{it_knows} up to record {known}")),
            Err(error) => {
                let fix = "check `url`; what answers there is no witness";
                subject.fault(CHECK, error.to_string(), fix);
            }
        },
        Ok(_) => {
            let text = "it cosigns without a proof that the ledger only grew";
            subject.fault(CHECK, text, "choose another witness");
        }
        Err(HttpError::Status { status: 400, .. }) => subject.ok(CHECK, it_knows),
        Err(HttpError::Status { status: 404, .. }) => {
            subject.fault(CHECK, format!("it does not know the ledger {origin}"), TELL);
        }
        Err(HttpError::Status { status: 403, .. }) => {
            let text = format!("it knows the ledger {origin} with other keys");
            subject.fault(CHECK, text, TELL);
        }
        Err(error) => subject.fault(CHECK, error.to_string(), advice(error.code())),
    }
}

/// Checks the anchor command without running it.
pub(super) fn command(anchor: &Anchor) -> Subject {
    const CHECK: &str = "program";
    let path = &anchor.program;
    let mut subject = Subject::new("anchor", path.to_string_lossy());
    let file = match std::fs::metadata(path) {
        Ok(file) => file,
        Err(why) => {
            let text = format!("{}: {why}", path.display());
            let fix = "install it there, or correct `audit.anchor`";
            subject.fault_of(Code::Configuration, CHECK, text, fix);
            return subject;
        }
    };
    if !file.is_file() || rustix::fs::access(path, Access::EXEC_OK).is_err() {
        let text = format!("{} is no program that qseed may run", path.display());
        let fix = "let the user that qseed runs as read and execute it (mode 0755)";
        subject.fault_of(Code::Permission, CHECK, text, fix);
        return subject;
    }
    subject.ok(CHECK, "it is there and executable");
    subject
}
