//! One connection to a service, kept open between requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::Progress;
use super::answer;
use super::fault::Fault;
use crate::delivery::Link;
use crate::error::{FetchError, Phase};
use crate::tls::TlsFault;

/// The longest head of an answer, in bytes, and the most that is buffered of a body at once.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;

/// Most header lines of an answer: as many as proxies usually let through.
const MAX_HEADERS: usize = 256;

/// A connection and the task that drives it; both end together.
pub(super) struct Connection {
    pub(super) link: Option<Arc<Link>>,
    endpoint: String,
    requires_post_quantum: bool,
    sender: SendRequest<Full<Bytes>>,
    /// Bytes of answers that arrived so far.
    received: Arc<AtomicU64>,
    driver: Driver,
}

impl Connection {
    /// Speaks HTTP/1 over `stream` from now on.
    pub(super) async fn start<S>(
        stream: S,
        endpoint: String,
        link: Option<Arc<Link>>,
        requires_post_quantum: bool,
    ) -> Result<Self, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let received = Arc::new(AtomicU64::new(0));
        let io = TokioIo::new(Counted {
            stream,
            received: Arc::clone(&received),
        });
        let mut builder = Builder::new();
        // One flat buffer: head and body of a request leave in one TLS record.
        builder
            .max_buf_size(HEAD_LIMIT)
            .max_headers(MAX_HEADERS)
            .writev(false);
        let (sender, connection) = builder
            .handshake(io)
            .await
            .map_err(|_| FetchError::Closed {
                endpoint: endpoint.clone(),
            })?;
        // The task notices at once when the server closes the idle connection, and frees it.
        // Errors reach whoever waits for an answer; without such a one they do not matter.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        Ok(Self {
            link,
            endpoint,
            requires_post_quantum,
            sender,
            received,
            driver,
        })
    }

    /// Whether the connection can still carry a request, as far as this side knows.
    pub(super) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok() && !self.driver.0.is_finished()
    }

    /// Sends the request and reads the answer's body: at most `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
        progress: &mut Progress,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let before = self.received.load(Ordering::Relaxed);
        progress.phase = Phase::Answer;
        progress.attempts += 1;
        let answer = match self.sender.try_send_request(request).await {
            Ok(answer) => answer,
            Err(mut refused) => {
                let unsent = refused.take_message().is_some();
                if unsent {
                    progress.attempts -= 1;
                }
                let unanswered = self.received.load(Ordering::Relaxed) == before;
                let error = self.no_answer(refused.error(), unanswered);
                return Err(Fault {
                    unsent,
                    unanswered,
                    ..Fault::from(error)
                });
            }
        };
        answer::check_head(&self.endpoint, &answer)?;
        progress.phase = Phase::Body;
        answer::read_body(answer, limit, |error| self.broke_off(error), &self.endpoint)
            .await
            .map_err(Fault::from)
    }

    fn no_answer(&self, error: &hyper::Error, unanswered: bool) -> FetchError {
        let endpoint = self.endpoint.clone();
        // In TLS 1.3 a server refuses the client's certificate only after the handshake.
        if let Some(fault) = TlsFault::behind(error, self.requires_post_quantum) {
            FetchError::Tls { endpoint, fault }
        } else if error.is_parse_too_large() {
            FetchError::HeaderTooLarge {
                endpoint,
                limit: HEAD_LIMIT,
                lines: MAX_HEADERS,
            }
        } else if error.is_parse() {
            FetchError::NotHttp { endpoint }
        } else if unanswered {
            FetchError::Closed { endpoint }
        } else {
            FetchError::Truncated { endpoint }
        }
    }

    fn broke_off(&self, error: &hyper::Error) -> FetchError {
        let endpoint = self.endpoint.clone();
        match TlsFault::behind(error, self.requires_post_quantum) {
            Some(fault) => FetchError::Tls { endpoint, fault },
            None => FetchError::Truncated { endpoint },
        }
    }
}

/// Ends the connection's task with the connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts what arrives, inside of TLS: whether anything of an answer came decides whether the
/// request may be sent again.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let arrived = buffer.filled().len() - before;
        self.received.fetch_add(arrived as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
