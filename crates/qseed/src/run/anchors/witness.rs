//! A witness: it cosigns the ledger's checkpoints (<https://c2sp.org/tlog-witness>).

use std::path::PathBuf;
use std::sync::Arc;

use qseed_http::{Call, Exchange, Helper, Http, HttpClient, HttpError, Method, SystemRoots};
use qseed_ledger::key::VerifierKey;
use qseed_ledger::note::Signature;
use qseed_ledger::tree::Hash;
use qseed_ledger::witness::{LONGEST_ANSWER, cosignature, known_size, submission};

use super::strong::Strong;
use crate::ledger::growth::{GrowthError, growth};

/// The status with which a witness says which size it cosigned last.
const CONFLICT: u16 = 409;

/// Why a witness has not cosigned a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It cannot be reached, or cannot answer now.
    #[error("{0}")]
    Out(HttpError),
    /// It does not know the ledger's origin.
    #[error(
        "it does not know this ledger: give its operator the keys that `qseed audit key` prints"
    )]
    Unknown,
    /// It knows the origin with other keys.
    #[error(
        "it does not accept the ledger's signatures: give its operator the keys that `qseed audit \
         key` prints"
    )]
    Refused,
    /// It cosigned more records of this ledger than there are.
    #[error(
        "it has cosigned {known} records of this ledger, which has {size}. The ledger comes from a \
         restored backup, or another daemon writes a ledger with the same origin and key"
    )]
    KnowsMore {
        /// The records that it cosigned.
        known: u64,
        /// The ledger's.
        size: u64,
    },
    /// It cosigned other records.
    #[error(
        "it has cosigned other records of this ledger: somebody changed the ledger, or another \
         daemon writes a ledger with the same origin and key"
    )]
    Differs,
    /// Its answer is none.
    #[error("its answer is wrong: {0}")]
    Answer(qseed_ledger::Error),
    /// It contradicts itself.
    #[error("it refuses the size that it named itself")]
    Confused,
    /// The proof cannot be made.
    #[error("qseed cannot prove to it how the ledger grew: {0}")]
    Proof(#[from] GrowthError),
}

impl Trouble {
    /// Whether it may pass soon.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Out(_) | Self::Proof(GrowthError::Read(_)))
    }
}

/// What a witness answered.
#[derive(Debug)]
pub(super) struct Cosigned {
    pub(super) signature: Signature,
    /// The records that it had cosigned and has forgotten, if it has.
    pub(super) forgot: Option<u64>,
}

/// A witness and what is known of it.
pub(super) struct Witness {
    key: VerifierKey,
    client: HttpClient,
    reading: Helper<Result<Vec<Hash>, GrowthError>>,
    /// The ledger's file.
    file: PathBuf,
    /// The origin and the size that it cosigned last, as far as this process knows.
    cosigned: Option<(String, u64)>,
}

impl Witness {
    pub(super) fn new(key: VerifierKey, http: Http, roots: &SystemRoots, file: PathBuf) -> Self {
        Self {
            key,
            client: HttpClient::new(http, roots),
            reading: Helper::new("ledger-growth"),
            file,
            cosigned: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.key.name()
    }

    /// Has a checkpoint cosigned. A witness that knows another size than expected is asked once
    /// more.
    pub(super) async fn submit(&mut self, strong: &Arc<Strong>) -> Result<Cosigned, Trouble> {
        let (origin, size) = (&strong.checkpoint.origin, strong.checkpoint.size);
        let cosigned = self.cosigned.take_if(|(of, _)| of == origin);
        let expected = cosigned.map_or(0, |(_, size)| size);
        let mut old = expected;
        let known = match self.ask(strong, old).await? {
            Said::Cosigned(signature) => return Ok(self.cosigned(strong, signature, None)),
            Said::Known(known) => known,
        };
        if known > size {
            return Err(Trouble::KnowsMore { known, size });
        }
        old = known;
        match self.ask(strong, old).await? {
            Said::Cosigned(signature) => {
                let forgot = (known < expected).then(|| expected - known);
                Ok(self.cosigned(strong, signature, forgot))
            }
            Said::Known(_) => Err(Trouble::Confused),
        }
    }

    fn cosigned(&mut self, strong: &Strong, signature: Signature, forgot: Option<u64>) -> Cosigned {
        let checkpoint = &strong.checkpoint;
        self.cosigned = Some((checkpoint.origin.clone(), checkpoint.size));
        Cosigned { signature, forgot }
    }

    async fn ask(&mut self, strong: &Arc<Strong>, old: u64) -> Result<Said, Trouble> {
        let size = strong.checkpoint.size;
        let proof = if old == 0 || old == size {
            Vec::new()
        } else {
            let (file, strong) = (self.file.clone(), Arc::clone(strong));
            let read = move || growth(&file, old, &strong.checkpoint);
            self.reading.run(read).await.map_err(GrowthError::Read)??
        };
        let call = Call {
            method: Method::POST,
            path: "/add-checkpoint".to_owned(),
            body: submission(old, &proof, &strong.note),
            exchange: Exchange::Text(CONFLICT),
            answer_limit: LONGEST_ANSWER,
            spare_attempt: true,
        };
        let answer = self.client.call(&call).await.map_err(refused)?;
        if answer.status == CONFLICT {
            return known_size(&answer.body)
                .map(Said::Known)
                .map_err(Trouble::Answer);
        }
        let signed = cosignature(&answer.body, &strong.note, &self.key);
        let (signature, _) = signed.map_err(Trouble::Answer)?;
        Ok(Said::Cosigned(signature))
    }
}

/// An answer.
enum Said {
    Cosigned(Signature),
    /// The size that it cosigned last.
    Known(u64),
}

/// What a witness's refusal means.
fn refused(error: HttpError) -> Trouble {
    match error {
        HttpError::Status { status: 404, .. } => Trouble::Unknown,
        HttpError::Status { status: 403, .. } => Trouble::Refused,
        HttpError::Status { status: 422, .. } => Trouble::Differs,
        error => Trouble::Out(error),
    }
}
