//! One request and its answer.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::watch;

use crate::answer::{Answer, Question, Refusal, give, refuse};
use crate::api::{Api, Ask};
use crate::body::ScriptedBody;
use crate::fault::Fault;
use crate::lock::lock;
use crate::log::{Request, Served};
use crate::options::Scope;
use crate::pending::Struck;
use crate::state::Shared;
use crate::wire::Flow;

/// The longest request body that is read, in bytes. Requests for entropy have about fifty.
const MAX_REQUEST_BODY: usize = 64 * 1024;

/// A connection while it lasts.
pub(crate) struct Visit {
    pub(crate) number: u64,
    pub(crate) flow: Arc<Mutex<Flow>>,
    /// When the connection is to be closed for being idle.
    pub(crate) idle_until: watch::Sender<Option<tokio::time::Instant>>,
    requests: AtomicU64,
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed instead of an answer")]
pub(crate) struct Unanswered;

/// What is made of a request.
struct Judged {
    api: Option<Api>,
    verdict: Result<Option<Ask>, Refusal>,
}

impl Visit {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            flow: Arc::default(),
            idle_until: watch::Sender::new(None),
            requests: AtomicU64::new(0),
        }
    }

    /// Notes a request; whether it came on a connection that was kept open for it.
    fn request_came(&self) -> bool {
        self.idle_until.send_replace(None);
        *lock(&self.flow) = Flow::Free;
        self.requests.fetch_add(1, Ordering::Relaxed) > 0
    }
}

/// Answers a request, or closes the connection.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    visit: Arc<Visit>,
    request: hyper::Request<Incoming>,
) -> Result<Response<ScriptedBody>, Unanswered> {
    let (at, time) = (Instant::now(), SystemTime::now());
    let kept = visit.request_came();
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return Err(Unanswered),
    };
    let judged = judge(&shared, &head, body, at);
    let ask = judged.verdict.ok().flatten();
    let request = Request {
        number: 0,
        at,
        time,
        connection: visit.number,
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or("", |path| path.as_str())
            .to_owned(),
        headers: visible_headers(&head.headers),
        ask,
    };
    let request = shared.record.write(|log| log.requested(request));
    let struck = strike(&shared, &judged, kept);
    for manner in &struck.manners {
        if let Fault::Latency(latency) = manner {
            tokio::time::sleep(*latency).await;
        }
    }
    match struck.answer {
        Some(Fault::Hang) => match pending::<Infallible>().await {},
        Some(Fault::CloseUnanswered | Fault::StaleClose) => Err(Unanswered),
        _ => Ok(send(&shared, &visit, request, &judged, struck)),
    }
}

/// Checks path, credentials, rate and content, in this order.
fn judge(shared: &Shared, head: &Parts, body: Result<Bytes, StatusCode>, at: Instant) -> Judged {
    let path = head.uri.path();
    let known = Api::route(&head.method, path, &shared.base);
    let known = known.and_then(|api| match shared.older_api {
        Some(status) if api == Api::Qrypt => Err(status),
        _ => Ok(api),
    });
    let api = match known {
        Ok(api) => api,
        Err(status) => {
            return Judged {
                api: None,
                verdict: Err(status.into()),
            };
        }
    };
    let verdict = admit(shared, head, at).and_then(|()| {
        let body = body?;
        if api.takes_body() && !is_json(head) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into());
        }
        Ok(api.ask(head.uri.query(), &body, shared.limits)?)
    });
    Judged {
        api: Some(api),
        verdict,
    }
}

fn admit(shared: &Shared, head: &Parts, at: Instant) -> Result<(), Refusal> {
    let mut settings = shared.settings();
    if !settings.admit(&head.headers) {
        return Err(StatusCode::UNAUTHORIZED.into());
    }
    let refused = |retry_after| Refusal {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after,
    };
    settings.rate.admit(at).map_err(refused)
}

fn is_json(head: &Parts) -> bool {
    let value = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

fn strike(shared: &Shared, judged: &Judged, kept: bool) -> Struck {
    let in_scope = match shared.scope {
        Scope::Everything => true,
        Scope::Entropy => judged.api.is_some_and(Api::has_entropy),
    };
    if in_scope {
        shared
            .settings()
            .pending
            .strike_answer(kept, judged.verdict.is_ok())
    } else {
        Struck::default()
    }
}

/// Makes the answer, writes it down and hands it over.
fn send(
    shared: &Shared,
    visit: &Arc<Visit>,
    request: Arc<Request>,
    judged: &Judged,
    struck: Struck,
) -> Response<ScriptedBody> {
    let answer = match (judged.api, judged.verdict) {
        (Some(api), Ok(ask)) => {
            let replayed = (struck.answer == Some(Fault::Replay))
                .then(|| shared.settings().previous.clone())
                .flatten();
            let previous = replayed.map(|served| served.blocks.clone());
            give(
                Question {
                    api,
                    ask,
                    limits: shared.limits,
                },
                &struck,
                previous,
            )
        }
        (_, Err(refusal)) => refuse(refusal, &struck.manners),
        (None, Ok(_)) => refuse(StatusCode::NOT_FOUND.into(), &struck.manners),
    };
    let Answer {
        response,
        blocks,
        flow,
        idle_close,
    } = answer;
    let served = Served {
        number: 0,
        at: Instant::now(),
        time: SystemTime::now(),
        request,
        api: judged.api,
        status: response.status().as_u16(),
        blocks,
        faults: struck.manners.into_iter().chain(struck.answer).collect(),
    };
    let served = shared.record.write(|log| log.answered(served));
    if served.is_good() {
        shared.settings().previous = Some(served);
    }
    *lock(&visit.flow) = flow;
    match idle_close {
        None => response,
        Some(after) => {
            let visit = Arc::clone(visit);
            let close = move || {
                let deadline = tokio::time::Instant::now() + after;
                visit.idle_until.send_replace(Some(deadline));
            };
            response.map(|body| body.at_end(close))
        }
    }
}

/// The headers without the credentials in them.
fn visible_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let visible = |(name, value): (&HeaderName, &HeaderValue)| {
        let hidden = matches!(name.as_str(), "authorization" | "x-api-key");
        let value = if hidden {
            b"(left out)"
        } else {
            value.as_bytes()
        };
        (
            name.to_string(),
            String::from_utf8_lossy(value).into_owned(),
        )
    };
    headers.iter().map(visible).collect()
}
