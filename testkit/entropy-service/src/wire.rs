//! The connection below HTTP, which can trickle or go on for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::lock::lock;

/// How bytes leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// As they come.
    #[default]
    Free,
    /// So many at once, then a pause.
    Drip { bytes: usize, every: Duration },
    /// Not at all; header lines without end instead of them.
    EndlessHeaders,
}

/// A stream whose flow is set from outside, before each answer.
pub(crate) struct Wire<S> {
    stream: S,
    flow: Arc<Mutex<Flow>>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Where the endless lines are.
    endless: Endless,
}

#[derive(Default)]
struct Endless {
    begun: bool,
    offset: usize,
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
const LINE: &[u8] = b"X-Endless: another line of a head that never ends, and then one more\r\n";

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, flow: Arc<Mutex<Flow>>) -> Self {
        Self {
            stream,
            flow,
            pause: None,
            endless: Endless::default(),
        }
    }
}

impl Endless {
    /// The bytes to write next.
    fn rest(&self) -> &'static [u8] {
        if self.begun {
            &LINE[self.offset..]
        } else {
            &HEAD[self.offset..]
        }
    }

    fn wrote(&mut self, count: usize) {
        if count == self.rest().len() {
            *self = Self {
                begun: true,
                offset: 0,
            };
        } else {
            self.offset += count;
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_drip(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &[u8],
        bytes: usize,
        every: Duration,
    ) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        // A buffered stream (TLS) must let each drop go by itself.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let drop = &buffer[..buffer.len().min(bytes)];
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, drop))?;
        self.pause = Some(Box::pin(tokio::time::sleep(every)));
        Poll::Ready(Ok(wrote))
    }

    /// Ends with the client's patience: by an error on the stream.
    fn poll_endless(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Bounded: a fast reader must not keep the thread from other connections.
        for _ in 0..64 {
            let rest = self.endless.rest();
            let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            self.endless.wrote(wrote);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let flow = *lock(&self.flow);
        match flow {
            Flow::Free => Pin::new(&mut self.stream).poll_write(cx, buffer),
            Flow::Drip { bytes, every } => self.poll_drip(cx, buffer, bytes, every),
            Flow::EndlessHeaders => self.poll_endless(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if *lock(&self.flow) == Flow::Free {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        }
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        first.map_or(Poll::Ready(Ok(0)), |first| self.poll_write(cx, first))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}
