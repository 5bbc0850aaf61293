//! Wipes what rustls leaves in the buffer that it reads into.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that clears each buffer before it reads into it.
///
/// rustls decrypts an answer where it arrived, and keeps that buffer while the connection is open.
/// Between two answers it waits for more, with the same buffer, which clears it.
pub(crate) struct Wiped<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Wiped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.initialize_unfilled().fill(0);
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wiped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};

    use super::Wiped;

    #[tokio::test]
    async fn a_buffer_is_cleared_before_it_is_read_into() {
        let (mut far, near) = tokio::io::duplex(8);
        let mut near = Wiped(near);
        let mut buffer = *b"secrets that were read before";
        far.write_all(b"more").await.expect("room");
        let read = near.read(&mut buffer).await.expect("it arrived");
        assert_eq!(&buffer[..read], b"more");
        assert!(buffer[read..].iter().all(|byte| *byte == 0));
        // While nothing arrives, too, and not what was read already.
        let mut buffer = *b"keep secrets";
        let mut part = ReadBuf::new(&mut buffer);
        part.advance(4);
        let nothing = std::future::poll_fn(|context| {
            let near = std::pin::Pin::new(&mut near);
            std::task::Poll::Ready(tokio::io::AsyncRead::poll_read(near, context, &mut part))
        });
        assert!(nothing.await.is_pending());
        assert_eq!(&buffer, b"keep\0\0\0\0\0\0\0\0");
    }
}
