//! Answers: the HTTP around a document, good or spoiled.

use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Response, StatusCode, Version};

use crate::ENTROPY_ORIGIN;
use crate::api::{Api, Ask};
use crate::blocks::Blocks;
use crate::body::{ScriptedBody, Step};
use crate::document;
use crate::fault::{Fault, RetryAfter, StatusFault};
use crate::gzip::gzip;
use crate::options::Limits;
use crate::pending::Struck;
use crate::wire::Flow;

const JSON: &str = "application/json";

/// An answer that is ready to be sent.
pub(crate) struct Answer {
    pub(crate) response: Response<ScriptedBody>,
    /// The entropy in it.
    pub(crate) blocks: Blocks,
    /// How its bytes are to leave.
    pub(crate) flow: Flow,
    /// How long after it the connection closes, unannounced.
    pub(crate) idle_close: Option<Duration>,
}

/// A refusal and, where it says so, when to come back.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<RetryAfter>,
}

/// What a valid request wants.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) api: Api,
    pub(crate) ask: Option<Ask>,
    pub(crate) limits: Limits,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self {
            status,
            retry_after: None,
        }
    }
}

/// The answer to a request that is refused.
pub(crate) fn refuse(refusal: Refusal, manners: &[Fault]) -> Answer {
    let mut answer = plain(
        refusal.status,
        JSON,
        document::refusal(refusal.status).into(),
    );
    if let Some(when) = refusal.retry_after {
        set(&mut answer, RETRY_AFTER, &retry_after(when));
    }
    with_manners(answer, manners)
}

/// The answer to a valid request, with whatever befell it. `previous` is what a replay repeats.
pub(crate) fn give(question: Question, struck: &Struck, previous: Option<Blocks>) -> Answer {
    let ok = StatusCode::OK;
    let answer = match &struck.answer {
        Some(Fault::Status(fault)) => with_status(fault),
        Some(Fault::CaptivePortal) => plain(ok, "text/html; charset=utf-8", CAPTIVE_PORTAL.into()),
        Some(Fault::ThrottleSentence) => plain(ok, JSON, THROTTLE_SENTENCE.into()),
        Some(Fault::EndlessHeaders) => Answer {
            flow: Flow::EndlessHeaders,
            ..plain(ok, JSON, Bytes::new())
        },
        fault => with_document(question, fault.as_ref(), &struck.manners, previous),
    };
    with_manners(answer, &struck.manners)
}

const CAPTIVE_PORTAL: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>\
     <body><h1>Please sign in to use this network</h1></body></html>\n";

const THROTTLE_SENTENCE: &str =
    "Requests are limited to one a minute at present. Please try again later.\n";

fn plain(status: StatusCode, media_type: &str, content: Bytes) -> Answer {
    let mut answer = Answer {
        response: Response::new(ScriptedBody::whole(content)),
        blocks: Blocks::default(),
        flow: Flow::Free,
        idle_close: None,
    };
    *answer.response.status_mut() = status;
    set(
        &mut answer,
        HeaderName::from_static("x-entropy-origin"),
        ENTROPY_ORIGIN,
    );
    set(&mut answer, CONTENT_TYPE, media_type);
    answer
}

/// Sets a header; a value that HTTP cannot carry is left out.
fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.response.headers_mut().insert(name, value);
    }
}

fn with_status(fault: &StatusFault) -> Answer {
    let status = StatusCode::from_u16(fault.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let content = if has_body {
        document::refusal(status)
    } else {
        String::new()
    };
    let mut answer = plain(status, JSON, content.into());
    if let Some(when) = fault.retry_after {
        set(&mut answer, RETRY_AFTER, &retry_after(when));
    }
    if let Some(location) = &fault.location {
        set(&mut answer, LOCATION, location);
    }
    answer
}

fn retry_after(when: RetryAfter) -> String {
    match when {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Date(ahead) => {
            let now = jiff::Timestamp::try_from(SystemTime::now());
            let then = now.and_then(|now| now.checked_add(jiff::SignedDuration::from_secs(ahead)));
            let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
            // A date outside of what HTTP can say is sent as the nonsense that it is.
            then.and_then(|then| printer.timestamp_to_rfc9110_string(&then))
                .unwrap_or_else(|_| "never".to_owned())
        }
    }
}

fn with_document(
    question: Question,
    fault: Option<&Fault>,
    manners: &[Fault],
    previous: Option<Blocks>,
) -> Answer {
    let mut blocks = Blocks::default();
    let json = match (question.ask, question.api) {
        (Some(ask), api) => {
            blocks = match (fault, previous) {
                (Some(Fault::Replay), Some(previous)) => previous,
                _ => Blocks::draw_spoiled(ask, fault),
            };
            document::entropy(api, &mut blocks, fault)
        }
        (None, Api::HealthTest) => document::health_test(),
        (None, _) => document::capabilities(question.limits),
    };
    let zipped = manners.contains(&Fault::Gzip);
    let content = if zipped {
        gzip(json.as_bytes())
    } else {
        json.into_bytes()
    };
    let media_type = match fault {
        Some(Fault::ContentType(media_type)) => media_type,
        _ => JSON,
    };
    let mut answer = plain(StatusCode::OK, media_type, Bytes::new());
    if zipped {
        set(&mut answer, CONTENT_ENCODING, "gzip");
    }
    *answer.response.body_mut() = script(content.into(), fault);
    Answer { blocks, ..answer }
}

/// How the content is sent: whole, or broken off or blown up.
fn script(mut content: Bytes, fault: Option<&Fault>) -> ScriptedBody {
    let length = content.len() as u64;
    let half = content.len() / 2;
    match fault {
        Some(Fault::Stall) => {
            ScriptedBody::new([Step::Send(content.split_to(half)), Step::Silence])
                .announce(Some(length))
        }
        Some(Fault::Truncate) => {
            ScriptedBody::new([Step::Send(content.split_to(half)), Step::Flush, Step::Break])
                .announce(Some(length))
        }
        Some(Fault::HugeBody(blanks)) => {
            // Blanks may stand behind the opening brace (RFC 8259 section 2).
            let brace = content.split_to(1);
            ScriptedBody::new([
                Step::Send(brace),
                Step::Blanks(*blanks),
                Step::Send(content),
            ])
        }
        _ => ScriptedBody::whole(content),
    }
}

fn with_manners(mut answer: Answer, manners: &[Fault]) -> Answer {
    for manner in manners {
        match manner {
            Fault::Chunked => answer = without_length(answer),
            Fault::Http10 => {
                answer = without_length(answer);
                *answer.response.version_mut() = Version::HTTP_10;
                set(&mut answer, CONNECTION, "close");
            }
            Fault::CloseAfterAnswer => set(&mut answer, CONNECTION, "close"),
            Fault::IdleClose(after) => answer.idle_close = Some(*after),
            Fault::SlowDrip { bytes, every } if answer.flow == Flow::Free => {
                answer.flow = Flow::Drip {
                    bytes: *bytes,
                    every: *every,
                };
            }
            _ => {}
        }
    }
    answer
}

fn without_length(answer: Answer) -> Answer {
    Answer {
        response: answer.response.map(|body| body.announce(None)),
        ..answer
    }
}
