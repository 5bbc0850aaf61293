//! One HTTP service: one kept connection, one request at a time, every answer bounded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use qseed_model::PostQuantum;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::answer::{self, Exchange};
use crate::connection::Connection;
use crate::dial::{self, Resolver};
use crate::endpoint::Endpoint;
use crate::error::{HttpError, Phase};
use crate::files::{Credential, Files};
use crate::helper::Helper;
use crate::link::{Link, Traffic};
use crate::settings::Http;
use crate::tls::{self, Loaded, SystemRoots, TlsFault};
use crate::wiped::Wiped;

/// The longest that looking up, connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("qseed/", env!("CARGO_PKG_VERSION"));

/// One request.
pub struct Call {
    /// GET or POST.
    pub method: Method,
    /// Path and query behind the base path, beginning with a slash.
    pub path: String,
    /// Empty for none.
    pub body: String,
    /// What the body is, and what the answer may be.
    pub exchange: Exchange,
    /// The longest body, in bytes, that the answer can need.
    pub answer_limit: usize,
    /// Whether a second request may follow if the kept connection turns out to be closed.
    pub spare_attempt: bool,
}

impl Call {
    /// A request without a body that wants JSON.
    #[must_use]
    pub fn get(path: String, answer_limit: usize) -> Self {
        Self {
            method: Method::GET,
            path,
            body: String::new(),
            exchange: Exchange::Json,
            answer_limit,
            spare_attempt: true,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// 200, or the other one that was asked for.
    pub status: u16,
    /// The body, within its limit.
    pub body: Zeroizing<Vec<u8>>,
}

/// An HTTP service and the connection to it.
pub struct HttpClient {
    settings: Arc<Http>,
    roots: SystemRoots,
    endpoint: Endpoint,
    reading: Helper<Result<Files, HttpError>>,
    tls: Option<Loaded>,
    resolver: Resolver,
    kept: Option<Connection>,
    /// How far the request under way has come.
    phase: Phase,
    traffic: Traffic,
}

impl HttpClient {
    /// Touches neither the network nor a file yet. `roots` is shared, so that the system's
    /// certificates are read once for all clients.
    #[must_use]
    pub fn new(http: Http, roots: &SystemRoots) -> Self {
        let endpoint = Endpoint::new(&http.url);
        Self {
            resolver: Resolver::new(&endpoint.server_name.to_str(), http.url.port),
            endpoint,
            roots: roots.clone(),
            settings: Arc::new(http),
            reading: Helper::new("files"),
            tls: None,
            kept: None,
            phase: Phase::Files,
            traffic: Traffic::default(),
        }
    }

    /// The url in front of the API's paths.
    #[must_use]
    pub fn url(&self) -> String {
        self.settings.url.to_string()
    }

    /// Whose certificates are trusted; `None` without TLS.
    #[must_use]
    pub fn trust(&self) -> Option<String> {
        self.settings.tls().map(tls::trust)
    }

    /// The connection that was used last; `None` without TLS.
    #[must_use]
    pub fn link(&self) -> Option<Arc<Link>> {
        self.traffic.link.clone()
    }

    /// What went over the network since the last call.
    pub fn take_traffic(&mut self) -> Traffic {
        Traffic {
            sent: std::mem::take(&mut self.traffic.sent),
            link: self.link(),
        }
    }

    /// Opens the connection unless it is open, within the time-out.
    ///
    /// # Errors
    /// [`HttpError`] if there is no connection.
    pub async fn connect(&mut self) -> Result<(), HttpError> {
        let limit = self.settings.timeout;
        let ready = async {
            drop(self.read_files().await?);
            self.ready().await
        };
        let (connection, _) = match timeout(limit, ready).await {
            Ok(ready) => ready?,
            Err(_) => return Err(self.timed_out(limit)),
        };
        self.kept = Some(connection);
        Ok(())
    }

    /// Sends the request and reads the whole answer, all within the time-out.
    ///
    /// The connection is kept only if the answer was read to its end: if this future is dropped or
    /// fails, the next call starts on a new one.
    ///
    /// # Errors
    /// [`HttpError`]; whatever of the answer had arrived is wiped.
    pub async fn call(&mut self, call: &Call) -> Result<Answer, HttpError> {
        let limit = self.settings.timeout;
        match timeout(limit, self.attempt(call)).await {
            Ok(answered) => answered,
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    fn timed_out(&self, limit: Duration) -> HttpError {
        HttpError::Timeout {
            endpoint: self.endpoint.name.clone(),
            phase: self.phase,
            limit,
        }
    }

    async fn attempt(&mut self, call: &Call) -> Result<Answer, HttpError> {
        let credential = self.read_files().await?;
        loop {
            let request = self.request(call, credential.clone())?;
            let (mut connection, was_kept) = self.ready().await?;
            self.phase = Phase::Answer;
            self.traffic.sent += 1;
            let answer = match connection.send(request).await {
                Ok(answer) => answer,
                Err(failure) => {
                    self.traffic.sent -= u32::from(!failure.sent);
                    // The server closed the kept connection meanwhile: no fault, as long as nothing
                    // of an answer arrived. Bytes of an answer may be spent, so they are never
                    // asked for again.
                    let may_send_again = !failure.sent || (!failure.began && call.spare_attempt);
                    if was_kept && may_send_again {
                        continue;
                    }
                    return Err(failure.error);
                }
            };
            let mut error = match answer::check_head(&answer, call.exchange) {
                Ok(()) => {
                    let status = answer.status().as_u16();
                    self.phase = Phase::Body;
                    let broke_off = |error: &hyper::Error| connection.failure(error);
                    let body = answer::read_body(answer, call.answer_limit, broke_off).await?;
                    self.kept = connection.renewed().await;
                    return Ok(Answer { status, body });
                }
                Err(error) => error,
            };
            // The connection is ready for another request once this answer is dropped.
            drop(answer);
            if let HttpError::Status {
                status,
                token_changed,
                ..
            } = &mut error
            {
                // A server that says 408 on a kept connection had given it up before the request
                // came.
                if *status == 408 && was_kept && call.spare_attempt {
                    continue;
                }
                self.kept = connection.renewed().await;
                if matches!(status, 401 | 403) {
                    *token_changed = self.token_changed(&credential).await;
                }
            }
            return Err(error);
        }
    }

    /// Reads the access token and, if they changed, the files of TLS. The token is returned, so that
    /// it is in memory for one request.
    async fn read_files(&mut self) -> Result<Credential, HttpError> {
        self.phase = Phase::Files;
        let (http, roots) = (Arc::clone(&self.settings), self.roots.clone());
        let before = self.tls.clone();
        let on_a_thread = Files::are_needed(&http, &roots);
        let read = move || Files::read(&http, &roots, before);
        let files = if on_a_thread {
            self.reading.run(read).await.map_err(HttpError::Thread)??
        } else {
            read()?
        };
        let same_tls = match (&files.tls, &self.tls) {
            (Some(now), Some(before)) => now.is(before),
            _ => true,
        };
        // A connection that was made before a change is no longer what the operator wants.
        self.kept = self.kept.take().filter(|_| same_tls);
        self.tls = files.tls;
        Ok(files.credential)
    }

    /// Whether the token's file holds another one than the token that was refused.
    async fn token_changed(&mut self, refused: &Credential) -> bool {
        let now = self.read_files().await;
        now.is_ok_and(|now| now.is_ok() && now != *refused)
    }

    /// The kept connection (`true`), or a new one.
    async fn ready(&mut self) -> Result<(Connection, bool), HttpError> {
        if let Some(mut kept) = self.kept.take()
            && kept.is_open().await
        {
            return Ok((kept, true));
        }
        let limit = CONNECT_TIMEOUT.min(self.settings.timeout);
        match timeout(limit, self.open()).await {
            Ok(connection) => Ok((connection?, false)),
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    async fn open(&mut self) -> Result<Connection, HttpError> {
        self.phase = Phase::Resolve;
        let host = self.resolver.host.clone();
        let unusable = |source: io::Error| HttpError::Address { host, source };
        let addresses = self.resolver.resolve().await;
        let addresses = match self.settings.tls() {
            Some(_) => addresses,
            None => addresses.and_then(|addresses| {
                self.resolver.stays_here(&addresses)?;
                Ok(addresses)
            }),
        };
        let addresses = addresses.map_err(unusable)?;
        self.phase = Phase::Connect;
        let name = self.endpoint.name.clone();
        let stream = match dial::connect(&addresses).await {
            Ok(stream) => stream,
            Err(source) => {
                let endpoint = name;
                return Err(HttpError::Connect { endpoint, source });
            }
        };
        let (Some(settings), Some(tls)) = (self.settings.tls(), &self.tls) else {
            return Connection::start(Box::new(stream), name, false).await;
        };
        self.phase = Phase::Handshake;
        let requires_post_quantum = settings.post_quantum == PostQuantum::Require;
        let connector = TlsConnector::from(tls.config(self.traffic.link.as_deref()));
        let server = self.endpoint.server_name.clone();
        let stream = match connector.connect(server, Wiped(stream)).await {
            Ok(stream) => stream,
            Err(error) => {
                let fault = TlsFault::from_io(&error, requires_post_quantum);
                let endpoint = name;
                return Err(HttpError::Tls { endpoint, fault });
            }
        };
        self.traffic.link = Some(Arc::new(tls::link(stream.get_ref().1)));
        Connection::start(Box::new(stream), name, requires_post_quantum).await
    }

    fn request(
        &self,
        call: &Call,
        credential: Credential,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        let credential = credential.map_err(HttpError::AccessToken)?;
        let mut request = Request::new(Full::new(Bytes::from(call.body.clone())));
        *request.method_mut() = call.method.clone();
        let path = format!("{}{}", self.settings.url.path, call.path);
        let path = PathAndQuery::from_maybe_shared(path)
            .expect("the base path was checked, and what follows it is ours");
        *request.uri_mut() = Uri::from(path);
        let (sent, accepted) = match call.exchange {
            Exchange::Json => ("application/json", "application/json"),
            Exchange::Text(_) => ("text/plain; charset=utf-8", "*/*"),
        };
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.host.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static(accepted));
        // A cache that answers would give several clients the same entropy.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sent));
        if let Some((name, value)) = credential {
            headers.insert(name, value);
        }
        Ok(request)
    }
}
