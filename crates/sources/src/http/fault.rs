//! Why an exchange brought no answer.

use std::time::Duration;

use crate::error::FetchError;

/// Why an exchange brought no answer.
pub(super) struct Fault {
    pub(super) error: FetchError,
    pub(super) retry_after: Option<Duration>,
    /// The request did not leave this process.
    pub(super) unsent: bool,
    /// The connection ended before anything of an answer arrived.
    pub(super) unanswered: bool,
    /// The connection can carry the next request all the same.
    pub(super) reusable: bool,
}

impl From<FetchError> for Fault {
    fn from(error: FetchError) -> Self {
        Self {
            error,
            retry_after: None,
            unsent: false,
            unanswered: false,
            reusable: false,
        }
    }
}
