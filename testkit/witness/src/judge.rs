//! `add-checkpoint`: what the specification says about it, check by check.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::key::{Key, Kind};
use crate::merkle::{Hash, is_consistent, sha256};
use crate::note::{Checkpoint, hash, line, number};
use crate::{Fault, Known, Request, Shared, State};

/// The most hashes of a proof.
const MOST_HASHES: usize = 63;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body,
        }
    }
}

/// What a log sends.
struct Submission {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: Checkpoint,
}

impl Submission {
    fn parse(body: &[u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let (head, note) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old = number(lines.next()?.strip_prefix("old ")?)?;
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
        (proof.len() <= MOST_HASHES).then_some(())?;
        let checkpoint = Checkpoint::parse(note)?;
        Some(Self {
            old,
            proof,
            checkpoint,
        })
    }
}

/// Answers a request, and remembers the checkpoint if it cosigns it.
pub(crate) fn answer(shared: &Shared, body: &[u8]) -> (Answer, Option<Request>) {
    let Some(submission) = Submission::parse(body) else {
        return (Answer::new(400, b"malformed\n".to_vec()), None);
    };
    let mut state = shared.state();
    let answer = match judge(&mut state, &submission) {
        Ok(()) => Answer::new(200, cosignatures(shared, &state, &submission.checkpoint)),
        Err(answer) => answer,
    };
    let request = Request {
        old: submission.old,
        proof: submission.proof.len(),
        origin: submission.checkpoint.origin,
        size: submission.checkpoint.size,
        signatures: submission.checkpoint.signatures.len(),
        status: Some(answer.status),
    };
    (answer, Some(request))
}

fn judge(state: &mut State, submission: &Submission) -> Result<(), Answer> {
    let Submission {
        old,
        proof,
        checkpoint,
    } = submission;
    let refuse = |status| Err(Answer::new(status, Vec::new()));
    let mut keys = state.trusted.iter();
    if !keys.any(|key| key.name == checkpoint.origin) {
        return refuse(404);
    }
    let mut is_signed = false;
    for signature in &checkpoint.signatures {
        for key in state
            .trusted
            .iter()
            .filter(|key| key.is_named_by(signature))
        {
            if !key.made(signature, checkpoint) {
                return refuse(403);
            }
            is_signed = true;
        }
    }
    if !is_signed {
        return refuse(403);
    }
    if *old > checkpoint.size {
        return refuse(400);
    }
    let empty = Known {
        size: 0,
        root: sha256(b""),
    };
    let known = *state.known.get(&checkpoint.origin).unwrap_or(&empty);
    if *old != known.size {
        return Err(Answer {
            content_type: "text/x.tlog.size",
            ..Answer::new(409, format!("{}\n", known.size).into_bytes())
        });
    }
    let newest = (checkpoint.size, &checkpoint.root);
    let is_wrongly_empty = checkpoint.size == 0 && checkpoint.root != empty.root;
    if is_wrongly_empty || !is_consistent((known.size, &known.root), newest, proof) {
        return refuse(422);
    }
    let newest = Known {
        size: checkpoint.size,
        root: checkpoint.root,
    };
    state.known.insert(checkpoint.origin.clone(), newest);
    Ok(())
}

fn cosignatures(shared: &Shared, state: &State, checkpoint: &Checkpoint) -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut time = since.expect("the clock is right").as_secs();
    let (key, impostor) = (&shared.key, shared.key.impostor());
    let mut signer = key;
    let mut other = None;
    match &state.fault {
        Some(Fault::OtherKey) => signer = &impostor,
        Some(Fault::OtherRoot) => {
            let wrong = checkpoint
                .text
                .replacen(&checkpoint.size.to_string(), "7", 1);
            other = Checkpoint::parse(&format!("{wrong}\n{}", line("x", [0; 4], b"")));
        }
        Some(Fault::NoTime) => time = 0,
        _ => {}
    }
    let cosignature = signer.cosign(other.as_ref().unwrap_or(checkpoint), time);
    let mut lines = line(&key.name, key.id(), &cosignature);
    if state.fault == Some(Fault::AmongOthers) {
        let stranger = Key::new("stranger.example/w9", Kind::Ed25519);
        let by_stranger = stranger.cosign(checkpoint, time);
        let before = line(&stranger.name, stranger.id(), &by_stranger);
        let after = line(&key.name, impostor.id(), &impostor.cosign(checkpoint, time));
        lines = format!("{before}{lines}{after}");
    }
    lines.into_bytes()
}
