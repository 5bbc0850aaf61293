//! The administration interface: what the handle can do, over plain HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::control::Control;
use crate::durations::parse_duration;
use crate::fault::FaultOrder;
use crate::log::Log;

const USAGE: &str = "\
GET    /counts        totals; with ?answers=N&timeout=10s as soon as N answers were given, else 408
GET    /served        all answers with their entropy in hexadecimal; ?after=NUMBER for later ones
GET    /requests      all requests, also those without an answer; ?after=NUMBER
GET    /connections   all connections; ?after=NUMBER
GET    /faults        the faults in waiting
POST   /faults        orders faults, one a line: NAME[=ARG][*TIMES]
DELETE /faults        clears all faults
PUT    /token         accepts this token from now on (empty: needs none)
PUT    /api-key       accepts this API key from now on (empty: needs none)
PUT    /rate          limits the rate: 30/10s (empty: no limit)
PUT    /certificate   good, expired, not-yet-valid, wrong-name, other-authority, self-signed,
               self-signed-expired, self-signed-wrong-name, expires-in=TIME
POST   /stop          closes the listener and all connections
POST   /restart       opens it again on the same port
";

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;

/// Listens on `address` and serves from now on, on the runtime of the caller.
pub(crate) async fn open(address: SocketAddr, control: Control) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, control.clone()))),
                // No descriptor is free: one may be in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    Ok(address)
}

async fn serve(stream: tokio::net::TcpStream, control: Control) {
    let service = service_fn(move |request| {
        let control = control.clone();
        async move { Ok::<_, Infallible>(administrate(&control, request).await) }
    });
    // A client that leaves early loses its answer, nothing else.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn administrate(control: &Control, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match (&head.method, head.uri.path()) {
        (&Method::GET, path) => look(control, path, &query).await,
        (_, path) => match change(control, &head.method, path, &body) {
            Err(why) => text(StatusCode::BAD_REQUEST, why),
            Ok(false) => text(StatusCode::NOT_FOUND, USAGE.to_owned()),
            Ok(true) => match control.settled().await {
                Ok(()) => text(StatusCode::OK, String::new()),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
        },
    }
}

/// Answers a question about the service.
async fn look(control: &Control, path: &str, query: &str) -> Answer {
    let record = &control.shared.record;
    let after = match parameter(query, "after") {
        Ok(after) => after.unwrap_or(0),
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    match path {
        "/" => text(StatusCode::OK, USAGE.to_owned()),
        "/counts" => counts(control, query).await,
        "/served" => {
            let log = record.read();
            json(
                &log.served()
                    .iter()
                    .skip(after)
                    .map(Arc::as_ref)
                    .collect::<Vec<_>>(),
            )
        }
        "/requests" => {
            let log = record.read();
            json(
                &log.requests()
                    .iter()
                    .skip(after)
                    .map(Arc::as_ref)
                    .collect::<Vec<_>>(),
            )
        }
        "/connections" => {
            let log = record.read();
            json(&log.connections().iter().skip(after).collect::<Vec<_>>())
        }
        "/faults" => {
            let orders = control.shared.settings().pending.orders();
            json(&orders.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        _ => text(StatusCode::NOT_FOUND, USAGE.to_owned()),
    }
}

/// The totals, at once or as soon as there were so many answers.
async fn counts(control: &Control, query: &str) -> Answer {
    let wanted = parameter::<u64>(query, "answers");
    let timeout = parameter::<String>(query, "timeout");
    let timeout = timeout
        .and_then(|text| text.map_or(Ok(Duration::from_secs(10)), |text| parse_duration(&text)));
    let (answers, timeout) = match (wanted, timeout) {
        (Ok(answers), Ok(timeout)) => (answers.unwrap_or(0), timeout),
        (Err(why), _) | (_, Err(why)) => return text(StatusCode::BAD_REQUEST, why),
    };
    let record = &control.shared.record;
    let enough = |log: &Log| log.counts().answers >= answers;
    let reached = record.wait_async(enough, timeout).await;
    let mut answer = json(&record.read().counts());
    if !reached {
        *answer.status_mut() = StatusCode::REQUEST_TIMEOUT;
    }
    answer
}

/// Carries out a change; false if no change has that name.
fn change(control: &Control, method: &Method, path: &str, body: &str) -> Result<bool, String> {
    let some = || (!body.is_empty()).then(|| body.to_owned());
    match (method.as_str(), path) {
        ("POST", "/faults") => {
            // All lines or none.
            let orders = body
                .lines()
                .map(str::parse)
                .collect::<Result<Vec<FaultOrder>, _>>();
            for order in orders.map_err(|error| error.to_string())? {
                control.order(order);
            }
        }
        ("DELETE", "/faults") => control.clear_faults(),
        ("PUT", "/token") => control.set_token(some()),
        ("PUT", "/api-key") => control.set_api_key(some()),
        ("PUT", "/rate") => {
            let limit = some().map(|text| text.parse()).transpose();
            control
                .set_rate_limit(limit.map_err(|error: crate::RateLimitError| error.to_string())?);
        }
        ("PUT", "/certificate") => {
            control
                .set_certificate(body.parse()?)
                .map_err(|error| error.to_string())?;
        }
        ("POST", "/stop") => control.set_stopped(true),
        ("POST", "/restart") => control.set_stopped(false),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The value of a parameter in a query, if it is there.
fn parameter<T: FromStr>(query: &str, name: &str) -> Result<Option<T>, String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
    value
        .map(|value| value.parse().map_err(|_| format!("{name}={value}?")))
        .transpose()
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(content) => answer(StatusCode::OK, "application/json", content.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn text(status: StatusCode, content: String) -> Answer {
    answer(status, "text/plain; charset=utf-8", content.into())
}

fn answer(status: StatusCode, media_type: &'static str, content: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(content));
    *answer.status_mut() = status;
    let media_type = hyper::header::HeaderValue::from_static(media_type);
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}
