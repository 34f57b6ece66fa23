//! Reads a channel of a jump host whether or not somebody takes what arrives.
//!
//! russh's session loop stops reading while a channel's messages are not taken. Then it misses the window adjustments
//! that the other direction of the channel may wait for. So they are always taken. The receive window of the inner
//! connection limits what waits here.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

/// The most that may wait, in bytes: twice the inner connection's window. A jump host that sends more is refused.
const MAX_WAITING_BYTES: usize = 32 << 20;

/// The size of a read, in bytes.
const READ_BYTES: usize = 64 << 10;

/// What was read from a stream. Dropping it ends the reading.
pub(super) struct EagerReader {
    arrived: UnboundedReceiver<io::Result<Bytes>>,
    waiting: Arc<AtomicUsize>,
    current: Bytes,
    _reading: AbortOnDropHandle<()>,
}

impl EagerReader {
    /// Begins to read a stream.
    pub(super) fn new(stream: impl AsyncRead + Send + Unpin + 'static) -> EagerReader {
        let (sender, arrived) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let reading = tokio::spawn(read_all(stream, sender, Arc::clone(&waiting)));
        let (current, reading) = (Bytes::new(), AbortOnDropHandle::new(reading));
        EagerReader { arrived, waiting, current, _reading: reading }
    }
}

async fn read_all(
    mut stream: impl AsyncRead + Unpin,
    sender: UnboundedSender<io::Result<Bytes>>,
    waiting: Arc<AtomicUsize>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        let read = match stream.read_buf(&mut buffer).await {
            Ok(0) => return,
            Ok(read) if waiting.fetch_add(read, Ordering::Relaxed) + read > MAX_WAITING_BYTES => {
                Err(io::Error::other("the jump host sends more than was asked for"))
            }
            Ok(_) => Ok(buffer.split().freeze()),
            Err(error) => Err(error),
        };
        let is_error = read.is_err();
        // It fails if the reader is dropped.
        if sender.send(read).is_err() || is_error {
            return;
        }
    }
}

impl AsyncRead for EagerReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.current.is_empty() {
            match ready!(self.arrived.poll_recv(cx)) {
                Some(arrived) => self.current = arrived?,
                // The stream has ended.
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.current.len().min(buf.remaining());
        buf.put_slice(self.current.get(..taken).unwrap_or_default());
        self.current.advance(taken);
        self.waiting.fetch_sub(taken, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_writer_does_not_wait_for_the_reader() {
        let (mut near, far) = duplex(1000);
        let mut reader = EagerReader::new(far);
        near.write_all(&vec![7; 4 << 20]).await.unwrap();
        drop(near);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == vec![7; 4 << 20] && reader.waiting.load(Ordering::Relaxed) == 0);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (mut near, far) = duplex(READ_BYTES);
        let mut reader = EagerReader::new(far);
        // The reading ends, so a write fails.
        while near.write_all(&[0; READ_BYTES]).await.is_ok() {}
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).await.unwrap_err();
        assert!(error.to_string().contains("more than was asked for") && read.len() <= MAX_WAITING_BYTES);
    }

    #[tokio::test]
    async fn dropping_it_ends_the_reading() {
        let (mut near, far) = duplex(1000);
        drop(EagerReader::new(far));
        while near.write_all(&[0; 100]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
