//! One question to a service, and its answer in the form that was asked for.

use qseed_http::{Call, HttpClient};

use crate::answer::AnswerError;
use crate::error::FetchError;

/// Sends the request, and reads the answer's body as what was asked for.
pub(crate) async fn ask<T>(
    client: &mut HttpClient,
    call: &Call,
    asked: &'static str,
    parse: impl Fn(&[u8]) -> Result<T, AnswerError>,
) -> Result<T, FetchError> {
    let answer = client.call(call).await?;
    parse(&answer.body).map_err(|fault| FetchError::Answer { asked, fault })
}
