//! Why a fetch failed.

use std::io;
use std::time::Duration;

use qseed_http::HttpError;
use qseed_model::{Check, FetchFault};

use crate::answer::AnswerError;

/// Why a fetch delivered nothing. No text here holds a secret or anything of a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The service gave no answer, or none of the kind that was asked for.
    #[error("{0}{meaning}", meaning = meaning(.0))]
    Http(#[from] HttpError),
    /// The body is not what was asked for.
    #[error("the answer is not {asked}: {fault}")]
    Answer {
        /// What the service was asked for.
        asked: &'static str,
        /// What is wrong.
        fault: AnswerError,
    },
    /// The request is outside of the limits, as the source knows them now.
    #[error("the request is outside of the limits that the service gives")]
    Limits,
    /// The device cannot be opened or read.
    #[error("cannot read from {path}: {source}")]
    Device {
        /// The device.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The device is too slow.
    #[error("{path} delivered too little within {limit:?}")]
    SlowDevice {
        /// The device.
        path: String,
        /// The time that it had.
        limit: Duration,
    },
}

impl FetchError {
    /// The status of an answer other than 200.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Http(HttpError::Status { status, .. }) => Some(*status),
            _ => None,
        }
    }

    /// What the failure asks of the schedule.
    #[must_use]
    pub fn kind(&self) -> FetchFault {
        match self {
            Self::Http(HttpError::Status {
                status: 400 | 401 | 403 | 404 | 422,
                ..
            }) => FetchFault::Refused,
            Self::Answer { fault, .. } => FetchFault::Invalid(fault.check()),
            Self::Http(HttpError::Cached(_)) => FetchFault::Invalid(Check::Form),
            Self::Limits => FetchFault::Limits,
            _ => FetchFault::Transient,
        }
    }

    /// A short word that stays the same, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Http(error) => error.code(),
            Self::Answer { fault, .. } => fault.check().name(),
            Self::Limits => "limits",
            Self::Device { .. } => "device",
            Self::SlowDevice { .. } => "timeout",
        }
    }
}

/// What a status means when it comes from an entropy service.
fn meaning(error: &HttpError) -> &'static str {
    let HttpError::Status { status, .. } = error else {
        return "";
    };
    match status {
        204 => ": there is no entropy in it",
        300..=399 => ": it redirects elsewhere, which qseed never follows; check the url",
        400 | 422 => ": it considers the request malformed",
        401 => {
            ": what qseed shows it (an access token, a client certificate) is missing, wrong or \
             expired"
        }
        403 => ": not allowed, or the account's allotment is used up",
        404 => ": there is no such service; check the url",
        429 => ": too many requests",
        503 => ": it is not ready, or short of entropy",
        _ => "",
    }
}
