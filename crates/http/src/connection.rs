//! One connection to a service, kept open between requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Join, ReadBuf, ReadHalf, WriteHalf};
use tokio::task::JoinSet;

use crate::error::HttpError;
use crate::tls::TlsFault;

/// The longest head of an answer, and the largest buffer for its body, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// The most header lines of an answer: as many as proxies usually let through.
const MAX_HEADERS: usize = 256;

/// A connection and the task that drives it; both end together.
pub(crate) struct Connection {
    endpoint: String,
    requires_post_quantum: bool,
    sender: SendRequest<Full<Bytes>>,
    /// Bytes of answers that arrived so far.
    received: Arc<AtomicU64>,
    /// Returns the stream, if it is still good, once the sender is gone.
    driver: JoinSet<Option<Io>>,
}

/// A TCP connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Io = TokioIo<Join<Counted, WriteHalf<Box<dyn Stream>>>>;

/// Counts what arrives, inside of TLS: whether anything of an answer came decides whether the
/// request may be sent again.
struct Counted {
    stream: ReadHalf<Box<dyn Stream>>,
    received: Arc<AtomicU64>,
}

/// Why no head of an answer came.
pub(crate) struct NoAnswer {
    pub(crate) error: HttpError,
    /// The request left this process.
    pub(crate) sent: bool,
    /// Something of an answer arrived.
    pub(crate) began: bool,
}

impl Connection {
    /// Speaks HTTP/1 over `stream` from now on.
    pub(crate) async fn start(
        stream: Box<dyn Stream>,
        endpoint: String,
        requires_post_quantum: bool,
    ) -> Result<Self, HttpError> {
        let received = Arc::new(AtomicU64::new(0));
        let (stream, writer) = tokio::io::split(stream);
        let reader = Counted {
            stream,
            received: Arc::clone(&received),
        };
        let io = TokioIo::new(tokio::io::join(reader, writer));
        Self::over(io, received, endpoint, requires_post_quantum).await
    }

    async fn over(
        io: Io,
        received: Arc<AtomicU64>,
        endpoint: String,
        requires_post_quantum: bool,
    ) -> Result<Self, HttpError> {
        let mut builder = Builder::new();
        // One flat buffer: head and body of a request leave in one TLS record.
        builder
            .max_buf_size(HEAD_LIMIT)
            .max_headers(MAX_HEADERS)
            .writev(false);
        let begun = builder.handshake(io).await;
        let (sender, connection) = begun.map_err(|_| HttpError::Closed)?;
        // The task notices at once when the server closes the idle connection, and frees it.
        // Errors reach the request that waits for an answer; without one they do not matter.
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let ended = connection.without_shutdown().await;
            ended.ok().map(|parts| parts.io)
        });
        Ok(Self {
            endpoint,
            requires_post_quantum,
            sender,
            received,
            driver,
        })
    }

    /// The connection for the next request, with new buffers in hyper: the old ones, which hold the
    /// access token and the answer, are freed and so wiped. `None` if the server does not keep the
    /// connection.
    pub(crate) async fn renewed(mut self) -> Option<Self> {
        self.sender.ready().await.ok()?;
        drop(self.sender);
        let io = self.driver.join_next().await?.ok()??;
        let renewed = Self::over(io, self.received, self.endpoint, self.requires_post_quantum);
        renewed.await.ok()
    }

    /// Whether the connection can still carry a request, as far as this side knows.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok() && self.driver.try_join_next().is_none()
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let before = self.received.load(Ordering::Relaxed);
        let answer = self.sender.try_send_request(request).await;
        answer.map_err(|mut refused| NoAnswer {
            sent: refused.take_message().is_none(),
            began: self.received.load(Ordering::Relaxed) > before,
            error: self.failure(refused.error()),
        })
    }

    /// Why no answer came, or broke off.
    pub(crate) fn failure(&self, error: &hyper::Error) -> HttpError {
        // In TLS 1.3 a server refuses the client's certificate only after the handshake.
        if let Some(fault) = TlsFault::behind(error, self.requires_post_quantum) {
            let endpoint = self.endpoint.clone();
            HttpError::Tls { endpoint, fault }
        } else if error.is_parse_too_large() {
            HttpError::TooLarge(format!(
                "a header of more than {HEAD_LIMIT} bytes or {MAX_HEADERS} lines"
            ))
        } else if error.is_parse() {
            HttpError::NotHttp
        } else {
            HttpError::Closed
        }
    }
}

impl AsyncRead for Counted {
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
