//! The state of a source, for `qseed check`.

use std::sync::Arc;

use qseed_http::{Call, HttpClient, HttpError, Link};
use qseed_model::Limits;

use crate::answer::{Capabilities, HealthTest};
use crate::error::FetchError;

/// What an inspection of a source found.
#[derive(Debug)]
pub struct Inspection {
    /// The url or the device.
    pub target: String,
    /// Whose certificates are trusted; `None` without TLS.
    pub trust: Option<String>,
    /// Whether the source could be reached, and over which link (`None` without TLS).
    pub reached: Result<Option<Arc<Link>>, FetchError>,
    /// Whether the service accepts what qseed authenticates with.
    pub credential: CredentialVerdict,
    /// What one fetch may ask for.
    pub limits: Limits,
    /// The service's capabilities; `None` if it was not asked or offers none.
    pub capabilities: Option<Result<Capabilities, FetchError>>,
    /// The service's own health tests; `None` if it was not asked or offers none.
    pub health: Option<Result<Vec<HealthTest>, FetchError>>,
}

/// Whether a service accepts the credential (or that there is none).
#[derive(Debug)]
pub enum CredentialVerdict {
    /// It does.
    Accepted,
    /// It does not, or the token cannot be read.
    Refused(FetchError),
    /// Something answers, but not as such a service does: it will deliver no entropy.
    OutOfOrder(FetchError),
    /// That cannot be found out without spending entropy.
    Unknown,
}

impl Inspection {
    /// Connects to an HTTP service.
    pub(crate) async fn begin(client: &mut HttpClient, limits: Limits) -> Self {
        let reached = client.connect().await;
        let reached = reached.map(|()| client.link()).map_err(FetchError::from);
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

    /// Sends a request that is malformed on purpose, to see whether the service refuses that or the
    /// credential.
    pub(crate) async fn try_credential(&mut self, client: &mut HttpClient, malformed: &Call) {
        if self.reached.is_err() {
            return;
        }
        self.credential = match client.call(malformed).await {
            // Serving zero bytes proves nothing about the credential.
            Ok(_) => CredentialVerdict::Unknown,
            // The requests before this one may have used up the rate limit.
            Err(HttpError::Status { status: 429, .. })
                if matches!(self.capabilities, Some(Ok(_)))
                    || matches!(self.health, Some(Ok(_))) =>
            {
                CredentialVerdict::Unknown
            }
            Err(HttpError::Status {
                status: 400 | 422, ..
            }) => CredentialVerdict::Accepted,
            Err(
                error @ (HttpError::Status {
                    status: 401 | 403, ..
                }
                | HttpError::AccessToken(_)),
            ) => CredentialVerdict::Refused(error.into()),
            Err(error) => CredentialVerdict::OutOfOrder(error.into()),
        };
    }
}
