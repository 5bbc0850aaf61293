//! What a look at a source found.

use std::sync::Arc;

use crate::answer::{Capabilities, HealthTest};
use crate::delivery::{Limits, Link};
use crate::error::{Failed, FetchError};
use crate::http::{Call, HttpClient};

/// The state of a source, for `qseed check`.
#[derive(Debug)]
pub struct Inspection {
    /// The url or the device.
    pub target: String,
    /// Whose certificates are trusted; `None` without TLS.
    pub trust: Option<String>,
    /// Whether the source could be reached, and over which link (`None` without TLS).
    pub reached: Result<Option<Arc<Link>>, FetchError>,
    /// Whether the service takes what qseed authenticates with.
    pub credential: CredentialVerdict,
    /// What one fetch may ask for.
    pub limits: Limits,
    /// What the service tells of itself; `None` where it was not asked or tells nothing.
    pub capabilities: Option<Result<Capabilities, FetchError>>,
    /// The service's own health tests; `None` where it was not asked or offers none.
    pub health: Option<Result<Vec<HealthTest>, FetchError>>,
    /// Requests that were sent; they count towards a rate limit.
    pub attempts: u32,
}

/// Whether a service takes the credentials it was shown (or that none were shown).
#[derive(Debug)]
pub enum CredentialVerdict {
    /// It does.
    Accepted,
    /// It does not, or the token cannot be read.
    Refused(FetchError),
    /// Something is there, and does not answer as such a service does: no entropy will come of it.
    OutOfOrder(FetchError),
    /// That could not be found out without spending entropy.
    Unknown,
}

impl Inspection {
    /// Looks whether an HTTP service can be reached.
    pub(crate) async fn begin(client: &mut HttpClient, limits: Limits) -> Self {
        let reached = client.connect().await.map_err(|failed| failed.error);
        Self {
            target: client.url(),
            trust: client.trust(),
            reached,
            credential: CredentialVerdict::Unknown,
            limits,
            capabilities: None,
            health: None,
            attempts: 0,
        }
    }

    /// Sends a request that is malformed on purpose, and sees whether it is that or the credential
    /// that the service refuses.
    pub(crate) async fn try_credential(&mut self, client: &mut HttpClient, malformed: &Call) {
        if self.reached.is_err() {
            return;
        }
        let (credential, attempts) = match client.call(malformed).await {
            // Nothing of nothing was served: that says nothing of who may have something.
            Ok(answer) => (CredentialVerdict::Unknown, answer.attempts),
            Err(Failed {
                error, attempts, ..
            }) if self.may_be_too_soon(&error) => (CredentialVerdict::Unknown, attempts),
            Err(Failed {
                error, attempts, ..
            }) => (judge(error), attempts),
        };
        self.credential = credential;
        self.attempts += attempts;
    }

    /// Whether this look's own questions, which were answered, may have used up what is allowed.
    fn may_be_too_soon(&self, error: &FetchError) -> bool {
        matches!(error, FetchError::Status { status: 429, .. })
            && (matches!(self.capabilities, Some(Ok(_))) || matches!(self.health, Some(Ok(_))))
    }
}

fn judge(error: FetchError) -> CredentialVerdict {
    match error {
        FetchError::Status {
            status: 400 | 422, ..
        } => CredentialVerdict::Accepted,
        FetchError::Status {
            status: 401 | 403, ..
        }
        | FetchError::Secret(_)
        | FetchError::TokenCharacters { .. } => CredentialVerdict::Refused(error),
        _ => CredentialVerdict::OutOfOrder(error),
    }
}
