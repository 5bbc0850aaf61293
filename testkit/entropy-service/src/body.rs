//! Bodies that are sent as a script: pieces, blanks, silence, an abrupt end.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// What a body does next.
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends so many blanks.
    Blanks(u64),
    /// Lets what was sent reach the network before the next step.
    Flush,
    /// Sends nothing more and leaves the connection open.
    Silence,
    /// Ends the connection.
    Break,
}

/// A body, and what happens when it has been handed over or given up.
pub(crate) struct ScriptedBody {
    steps: VecDeque<Step>,
    /// The length for `Content-Length`; without it the body is chunked.
    length: Option<u64>,
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];

impl ScriptedBody {
    /// A body of these steps. The length that is announced is that of the bytes and blanks in it.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps: VecDeque<Step> = steps.into_iter().collect();
        let length = steps.iter().map(Step::length).sum();
        Self {
            steps,
            length: Some(length),
            at_end: None,
        }
    }

    /// A body of these bytes.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new([Step::Send(bytes.into())])
    }

    /// Announces another length, or none.
    pub(crate) fn announce(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// Calls `at_end` once, when the last byte was handed over or the client left.
    pub(crate) fn at_end(mut self, at_end: impl FnOnce() + Send + 'static) -> Self {
        self.at_end = Some(Box::new(at_end));
        self
    }
}

impl Step {
    fn length(&self) -> u64 {
        match self {
            Self::Send(bytes) => bytes.len() as u64,
            Self::Blanks(count) => *count,
            Self::Flush | Self::Silence | Self::Break => 0,
        }
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(step) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        match step {
            Step::Send(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Step::Blanks(count) => {
                let now = usize::try_from(count)
                    .unwrap_or(usize::MAX)
                    .min(BLANKS.len());
                let rest = count - now as u64;
                if rest > 0 {
                    self.steps.push_front(Step::Blanks(rest));
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLANKS[..now])))))
            }
            Step::Flush => {
                // hyper flushes whenever a body has nothing for it.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Silence => {
                self.steps.push_front(Step::Silence);
                Poll::Pending
            }
            Step::Break => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        if let Some(at_end) = self.at_end.take() {
            at_end();
        }
    }
}
