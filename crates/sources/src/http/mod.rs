//! One HTTP service: one kept connection, one request at a time, every answer bounded.

mod answer;
mod connection;
mod credential;
mod dial;
mod endpoint;
mod fault;
mod retry_after;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use qseed_entropy::Entropy;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use self::connection::Connection;
use self::credential::Credential;
use self::dial::Resolver;
use self::endpoint::Endpoint;
use self::fault::Fault;
use crate::answer::AnswerError;
use crate::delivery::{Delivery, Link};
use crate::error::{Asked, Failed, FetchError, Phase};
use crate::settings::{Http, SettingsError, Transport};
use crate::tls::{SystemRoots, TlsClient, TlsFault};

/// The longest that looking up, connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query behind the base path, beginning with a slash.
    pub(crate) path: String,
    /// JSON; empty for none.
    pub(crate) body: String,
    /// The longest body, in bytes, that the answer can need.
    pub(crate) answer_limit: usize,
    /// Whether a second request may follow where the kept connection turns out to be closed.
    pub(crate) spare_attempt: bool,
}

impl Call {
    /// A question that costs no entropy.
    pub(crate) fn get(path: &str, answer_limit: usize) -> Self {
        let (method, path, body) = (Method::GET, path.to_owned(), String::new());
        Self {
            method,
            path,
            body,
            answer_limit,
            spare_attempt: true,
        }
    }
}

/// A whole answer with status 200, declared to be JSON.
pub(crate) struct Answer {
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) link: Option<Arc<Link>>,
    /// Requests that were sent for it.
    pub(crate) attempts: u32,
}

impl Answer {
    /// The delivery that its body turned out to be.
    pub(crate) fn delivers(self, entropy: Entropy) -> Delivery {
        let downloaded = entropy.len() as u64;
        Delivery {
            entropy,
            link: self.link,
            attempts: self.attempts,
            downloaded,
        }
    }

    /// The failure that its body turned out to be.
    pub(crate) fn refuse(self, client: &HttpClient, fault: AnswerError) -> Failed {
        let error = FetchError::Answer {
            endpoint: client.endpoint.name.clone(),
            asked: Asked::default(),
            fault,
        };
        Failed {
            error,
            retry_after: None,
            attempts: self.attempts,
            link: self.link,
            secret_changed: false,
        }
    }
}

/// An HTTP service and the connection to it.
pub(crate) struct HttpClient {
    endpoint: Endpoint,
    tls: Option<TlsClient>,
    credential: Credential,
    timeout: Duration,
    user_agent: HeaderValue,
    resolver: Resolver,
    kept: Option<Connection>,
    /// Connections made so far.
    connections: u64,
}

/// How far a call came: what an error must tell even when the call was cut off by its time-out.
#[derive(Default)]
struct Progress {
    phase: Phase,
    attempts: u32,
    link: Option<Arc<Link>>,
    /// The secret that was refused is not the one that its file holds now.
    secret_changed: bool,
}

impl HttpClient {
    pub(crate) fn new(http: Http, roots: &SystemRoots) -> Result<Self, SettingsError> {
        if http.timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        let endpoint = Endpoint::new(&http)?;
        let user_agent = HeaderValue::from_str(&http.user_agent)
            .map_err(|_| SettingsError::UserAgent(http.user_agent.clone()))?;
        Ok(Self {
            resolver: Resolver::new(&endpoint.server_name.to_str(), http.port),
            endpoint,
            tls: match http.transport {
                Transport::Plain => None,
                Transport::Tls(tls) => Some(TlsClient::new(tls, roots.clone())),
            },
            credential: Credential::new(http.auth),
            timeout: http.timeout,
            user_agent,
            kept: None,
            connections: 0,
        })
    }

    /// Host and port, for error texts.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint.name
    }

    /// The url in front of the API's paths.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!(
            "{scheme}://{}{}",
            self.endpoint.name, self.endpoint.base_path
        )
    }

    /// Whose certificates are trusted; `None` without TLS.
    pub(crate) fn trust(&self) -> Option<String> {
        self.tls.as_ref().map(TlsClient::trust)
    }

    /// Opens the connection unless it is open, within the time-out.
    pub(crate) async fn connect(&mut self) -> Result<Option<Arc<Link>>, Failed> {
        let mut progress = Progress::default();
        let deadline = Instant::now() + self.timeout;
        let connected = timeout_at(deadline, self.ready(&mut progress)).await;
        match self.judge(connected, progress) {
            Ok(((connection, _), progress)) => {
                self.kept = Some(connection);
                Ok(progress.link)
            }
            Err(failed) => Err(failed),
        }
    }

    /// Sends the request and reads the whole answer, all within the time-out.
    ///
    /// The connection is kept only where the answer was read to its end: when this future is
    /// dropped or fails, the next call starts on a new one.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Answer, Failed> {
        let mut progress = Progress::default();
        let deadline = Instant::now() + self.timeout;
        let answered = timeout_at(deadline, self.attempt(call, &mut progress)).await;
        let (body, progress) = self.judge(answered, progress)?;
        Ok(Answer {
            body,
            link: progress.link,
            attempts: progress.attempts,
        })
    }

    /// Adds what is known of a call to how it ended.
    fn judge<T>(
        &self,
        ended: Result<Result<T, Fault>, tokio::time::error::Elapsed>,
        progress: Progress,
    ) -> Result<(T, Progress), Failed> {
        let fault = match ended {
            Ok(Ok(done)) => return Ok((done, progress)),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::from(self.timed_out(progress.phase, self.timeout)),
        };
        let Progress {
            attempts,
            link,
            secret_changed,
            ..
        } = progress;
        Err(Failed {
            error: fault.error,
            retry_after: fault.retry_after,
            attempts,
            link,
            secret_changed,
        })
    }

    fn timed_out(&self, phase: Phase, limit: Duration) -> FetchError {
        FetchError::Timeout {
            endpoint: self.endpoint.name.clone(),
            phase,
            limit,
        }
    }

    async fn attempt(
        &mut self,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        loop {
            let (mut connection, was_kept) = self.ready(progress).await?;
            let request = self.request(call)?;
            match connection
                .exchange(request, call.answer_limit, progress)
                .await
            {
                Ok(body) => {
                    self.kept = Some(connection);
                    return Ok(body);
                }
                // The server closed the kept connection meanwhile: no fault, as long as nothing
                // of an answer arrived. Bytes of an answer may be spent, so they are never asked
                // for again.
                Err(fault) if was_kept && fault.unsent => {}
                Err(fault) if was_kept && fault.unanswered && call.spare_attempt => {}
                Err(fault) => {
                    if fault.reusable {
                        self.kept = Some(connection);
                    }
                    if matches!(
                        fault.error,
                        FetchError::Status {
                            status: 401 | 403,
                            ..
                        }
                    ) {
                        progress.secret_changed = self.credential.changed();
                        self.credential.forget();
                    }
                    return Err(fault);
                }
            }
        }
    }

    /// The kept connection (`true`), or a new one.
    async fn ready(&mut self, progress: &mut Progress) -> Result<(Connection, bool), Fault> {
        if self.tls.as_ref().is_some_and(TlsClient::outdated) {
            self.kept = None;
        }
        if let Some(mut kept) = self.kept.take()
            && kept.is_open().await
        {
            progress.link.clone_from(&kept.link);
            return Ok((kept, true));
        }
        let limit = CONNECT_TIMEOUT.min(self.timeout);
        match timeout_at(Instant::now() + limit, self.open(progress)).await {
            Ok(Ok(connection)) => {
                progress.link.clone_from(&connection.link);
                Ok((connection, false))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(self.timed_out(progress.phase, limit).into()),
        }
    }

    async fn open(&mut self, progress: &mut Progress) -> Result<Connection, FetchError> {
        if let Some(tls) = &self.tls {
            tls.read_system_roots().await;
        }
        // Before anything goes over the network: these are faults of ours.
        let config = self.tls.as_mut().map(TlsClient::config).transpose()?;
        progress.phase = Phase::Resolve;
        let addresses = self
            .resolver
            .resolve()
            .await
            .map_err(|source| FetchError::Resolve {
                host: self.resolver.host().to_owned(),
                source,
            })?;
        if self.tls.is_none()
            && let Some(address) = self.resolver.leads_astray(&addresses)
        {
            return Err(FetchError::NotThisMachine { address });
        }
        progress.phase = Phase::Connect;
        let stream = dial::connect(&addresses)
            .await
            .map_err(|source| FetchError::Connect {
                endpoint: self.endpoint.name.clone(),
                source,
            })?;
        self.connections += 1;
        match (config, &mut self.tls) {
            (Some(config), Some(tls)) => {
                progress.phase = Phase::Handshake;
                let connector = TlsConnector::from(config);
                let server = self.endpoint.server_name.clone();
                let requires_post_quantum = tls.requires_post_quantum();
                let stream =
                    connector
                        .connect(server, stream)
                        .await
                        .map_err(|error| FetchError::Tls {
                            endpoint: self.endpoint.name.clone(),
                            fault: TlsFault::from_io(error, requires_post_quantum),
                        })?;
                let link = Arc::new(tls.link(stream.get_ref().1, self.connections));
                let name = self.endpoint.name.clone();
                Connection::start(stream, name, Some(link), requires_post_quantum).await
            }
            _ => Connection::start(stream, self.endpoint.name.clone(), None, false).await,
        }
    }

    fn request(&mut self, call: &Call) -> Result<Request<Full<Bytes>>, FetchError> {
        let mut request = Request::new(Full::new(Bytes::from(call.body.clone())));
        *request.method_mut() = call.method.clone();
        let path = format!("{}{}", self.endpoint.base_path, call.path);
        let path = PathAndQuery::from_maybe_shared(path)
            .expect("the base path was checked, and what follows it is ours");
        *request.uri_mut() = Uri::from(path);
        let json = HeaderValue::from_static("application/json");
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.host.clone());
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT, json.clone());
        // A cache that answers would give several clients the same entropy.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = self.credential.header()? {
            headers.insert(name, value);
        }
        Ok(request)
    }
}
