//! A stream below russh whose writes never wait.
//!
//! russh's session loop awaits each write and does not read meanwhile. If its peer does the same, both wait forever. So
//! bytes that the stream does not accept are queued, and written whenever the loop reads.

use crate::SendQueue;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest queue, in bytes. A longer one is an error: the peer has stopped reading.
const MAX_QUEUED_BYTES: usize = 48 << 20;

/// A stream with a send queue.
pub struct QueuedStream<S> {
    stream: S,
    queue: SendQueue,
}

impl<S: AsyncWrite + Unpin> QueuedStream<S> {
    /// Puts a queue on a stream.
    #[must_use]
    pub fn new(stream: S) -> QueuedStream<S> {
        QueuedStream { stream, queue: SendQueue::default() }
    }

    /// Writes the queue, as far as the stream accepts it now.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(front) = self.queue.front() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, front))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.queue.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for QueuedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for QueuedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut rest = data;
        // Bytes keep their order: write directly only if the queue is empty.
        if self.poll_drain(cx)?.is_ready() {
            while !rest.is_empty()
                && let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, rest)?
            {
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                rest = rest.get(written..).unwrap_or_default();
            }
        }
        if self.queue.len() + rest.len() > MAX_QUEUED_BYTES {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")));
        }
        self.queue.push(rest);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It does not wait for the stream: that is the purpose of this type.
        match self.poll_drain(cx)? {
            Poll::Ready(()) => Pin::new(&mut self.stream).poll_flush(cx),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn two_ends_that_write_before_they_read_do_not_block_each_other() {
        let (near, far) = duplex(1000);
        let end = |stream, byte: u8| async move {
            let mut stream = QueuedStream::new(stream);
            stream.write_all(&vec![byte; 1 << 20]).await.unwrap();
            stream.flush().await.unwrap();
            let mut read = vec![0; 1 << 20];
            stream.read_exact(&mut read).await.unwrap();
            // The other end still needs what is queued.
            stream.shutdown().await.unwrap();
            read
        };
        let (first, second) = tokio::join!(end(near, 1), end(far, 2));
        assert!(first == vec![2; 1 << 20] && second == vec![1; 1 << 20]);
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let (near, _far) = duplex(1000);
        let mut stream = QueuedStream::new(near);
        stream.write_all(&vec![0; MAX_QUEUED_BYTES]).await.unwrap();
        assert_eq!(stream.write_all(&[0; 2000]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_the_queue() {
        let (near, mut far) = duplex(10);
        let mut stream = QueuedStream::new(near);
        stream.write_all(&[7; 1000]).await.unwrap();
        let mut read = Vec::new();
        let (ended, received) = tokio::join!(stream.shutdown(), far.read_to_end(&mut read));
        assert!(ended.is_ok() && received.unwrap() == 1000);
    }
}
