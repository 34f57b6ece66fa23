//! Layers between russh and a connection, which change reads or writes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A layer's part in reads and writes. A method that is not implemented passes the call to the stream.
pub trait StreamLayer: Unpin {
    /// Reads from `stream` into `buf`, as [`AsyncRead::poll_read`] does.
    ///
    /// # Errors
    /// The stream's, or the layer's own.
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_read(cx, buf)
    }

    /// Writes to `stream` from `data`, as [`AsyncWrite::poll_write`] does.
    ///
    /// # Errors
    /// The stream's, or the layer's own.
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(cx, data)
    }
}

/// A stream with a layer. Flush and shutdown pass to the stream.
pub struct LayeredStream<S, L> {
    stream: S,
    layer: L,
}

impl<S, L: StreamLayer> LayeredStream<S, L> {
    /// Puts a layer on a stream.
    #[must_use]
    pub fn new(stream: S, layer: L) -> LayeredStream<S, L> {
        LayeredStream { stream, layer }
    }
}

impl<S: AsyncRead + Unpin, L: StreamLayer> AsyncRead for LayeredStream<S, L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.layer.poll_read(&mut this.stream, cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, L: StreamLayer> AsyncWrite for LayeredStream<S, L> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.layer.poll_write(&mut this.stream, cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, duplex};

    struct NoLayer;

    impl StreamLayer for NoLayer {}

    #[tokio::test]
    async fn a_layer_passes_other_calls_on() {
        let (near, mut far) = duplex(100);
        let mut near = LayeredStream::new(BufStream::new(near), NoLayer);
        near.write_all(b"buffered").await.unwrap();
        near.flush().await.unwrap();
        let mut read = [0; 8];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"buffered");
        near.shutdown().await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 0);
        far.write_all(b"answered").await.unwrap();
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"answered");
    }
}
