//! Judging an answer's head and reading its body, bounded.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::{Response, StatusCode};
use zeroize::Zeroizing;

use crate::error::HttpError;
use crate::retry_after::retry_after;

/// What a request's body is, and what its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// JSON for JSON, with status 200.
    Json,
    /// Text for text, with status 200 or this one.
    Text(u16),
}

/// Whether the head announces such an answer.
pub(crate) fn check_head(answer: &Response<Incoming>, exchange: Exchange) -> Result<(), HttpError> {
    let (status, headers) = (answer.status(), answer.headers());
    let wanted = exchange == Exchange::Text(status.as_u16());
    if status != StatusCode::OK && !wanted {
        return Err(HttpError::Status {
            status: status.as_u16(),
            retry_after: retry_after(headers),
            token_changed: false,
        });
    }
    if let Some(found) = other_than_json(headers)
        && exchange == Exchange::Json
    {
        return Err(HttpError::NotJson(found));
    }
    match text(headers, &AGE).and_then(|age| age.parse().ok()) {
        None | Some(0) => Ok(()),
        Some(age) => Err(HttpError::Cached(age)),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // A value that is not even text is not what is looked for either.
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or("?").trim())
}

/// What the body is declared to be, in a word of ours, unless it is JSON.
fn other_than_json(headers: &HeaderMap) -> Option<&'static str> {
    let Some(declared) = text(headers, &CONTENT_TYPE) else {
        return Some("no Content-Type");
    };
    if text(headers, &CONTENT_ENCODING).is_some_and(|it| !it.eq_ignore_ascii_case("identity")) {
        return Some("compressed data");
    }
    let kind = declared.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        None
    } else if kind.eq_ignore_ascii_case("text/html") {
        Some("an HTML page")
    } else if kind
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"))
    {
        Some("text")
    } else {
        Some("another Content-Type")
    }
}

/// Reads the body to its end, at most `limit` bytes. All of it lies in one buffer of the final
/// size: one that grows would leave copies behind.
pub(crate) async fn read_body(
    answer: Response<Incoming>,
    limit: usize,
    broke_off: impl Fn(&hyper::Error) -> HttpError,
) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    let too_large = || {
        let body = format!("more than the {limit} bytes that the request could need");
        HttpError::TooLarge(body)
    };
    let declared = text(answer.headers(), &CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    let room = declared.unwrap_or(limit);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broke_off(&error))?;
        let Some(arrived) = frame.data_ref() else {
            continue;
        };
        if content.len() + arrived.len() > room {
            return Err(too_large());
        }
        content.extend_from_slice(arrived);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::other_than_json;

    #[test]
    fn json_is_recognised_in_every_spelling() {
        let judge = |declared: &'static str| {
            other_than_json(&HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static(declared),
            )]))
        };
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            " application/json ;x",
        ] {
            assert_eq!(judge(json), None, "{json}");
        }
        assert_eq!(judge("text/html; charset=utf-8"), Some("an HTML page"));
        assert_eq!(judge("text/plain"), Some("text"));
        for other in ["application/jsonp", "application/problem+json", "", "json"] {
            assert_eq!(judge(other), Some("another Content-Type"), "{other}");
        }
        assert_eq!(other_than_json(&HeaderMap::new()), Some("no Content-Type"));
    }
}
