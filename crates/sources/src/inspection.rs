//! What a look at a source found.

use std::sync::Arc;

use qseed_model::Limits;

use crate::answer::{Capabilities, HealthTest};
use crate::error::FetchError;
use crate::http::{Call, HttpClient};
use crate::link::Link;

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
    /// What the service tells of itself; `None` if it was not asked or tells nothing.
    pub capabilities: Option<Result<Capabilities, FetchError>>,
    /// The service's own health tests; `None` if it was not asked or offers none.
    pub health: Option<Result<Vec<HealthTest>, FetchError>>,
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
        let reached = client.connect().await.map(|()| client.link());
        Self {
            target: client.url(),
            trust: client.trust(),
            reached,
            credential: CredentialVerdict::Unknown,
            limits,
            capabilities: None,
            health: None,
        }
    }

    /// Sends a request that is malformed on purpose, and sees whether it is that or the credential
    /// that the service refuses.
    pub(crate) async fn try_credential(&mut self, client: &mut HttpClient, malformed: &Call) {
        if self.reached.is_err() {
            return;
        }
        self.credential = match client.call(malformed).await {
            // Nothing of nothing was served: that says nothing of who may have something.
            Ok(_) => CredentialVerdict::Unknown,
            // The questions before, which were answered, may have used up what is allowed.
            Err(FetchError::Status { status: 429, .. })
                if matches!(self.capabilities, Some(Ok(_)))
                    || matches!(self.health, Some(Ok(_))) =>
            {
                CredentialVerdict::Unknown
            }
            Err(FetchError::Status {
                status: 400 | 422, ..
            }) => CredentialVerdict::Accepted,
            Err(
                error @ (FetchError::Status {
                    status: 401 | 403, ..
                }
                | FetchError::AccessToken(_)),
            ) => CredentialVerdict::Refused(error),
            Err(error) => CredentialVerdict::OutOfOrder(error),
        };
    }
}
