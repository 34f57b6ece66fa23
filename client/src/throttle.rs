//! The throttle: counts network traffic and limits its rate with token buckets.

use sshome_ssh::{LayeredStream, Pause, StreamLayer, TokenBucket};
use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Reads and writes of up to this many bytes do not count as traffic: keepalives and window adjustments continue
/// even if the server has stopped answering.
const MAX_KEEPALIVE_BYTES: usize = 512;

/// The bytes of a read or write under a limit, so that the rate is even.
const SLICE_BYTES: RangeInclusive<usize> = 1 << 10..=256 << 10;

/// Traffic counter and rate limits of all connections of the program. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    moved: Arc<AtomicU64>,
    reading: Arc<TokenBucket>,
    writing: Arc<TokenBucket>,
    is_limited: bool,
}

impl Throttle {
    /// Limits the total of all connections to `limit` Kbit/s in each direction.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Throttle {
        let throttle = Throttle { is_limited: limit.is_some(), ..Throttle::default() };
        let rate = limit.map(|kbits| kbits.saturating_mul(1000 / 8).max(1));
        throttle.reading.set_rate(rate);
        throttle.writing.set_rate(rate);
        throttle
    }

    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// A counter that changes with each read or write that counts.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// A connection that obeys the throttle and counts its traffic.
    #[must_use]
    pub fn wrap<S>(&self, stream: S) -> LayeredStream<S, ThrottleLayer> {
        let (reading, writing) =
            (ThrottledDirection::new(&self.reading), ThrottledDirection::new(&self.writing));
        let layer = ThrottleLayer { moved: Arc::clone(&self.moved), reading, writing, slice: Vec::new() };
        LayeredStream::new(stream, layer)
    }
}

/// The throttle of one connection.
pub struct ThrottleLayer {
    moved: Arc<AtomicU64>,
    reading: ThrottledDirection,
    writing: ThrottledDirection,
    /// Buffer for reads that are longer than a slice.
    slice: Vec<u8>,
}

impl ThrottleLayer {
    fn count(&self, bytes: usize) {
        if bytes > MAX_KEEPALIVE_BYTES {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One direction of a connection.
struct ThrottledDirection {
    bucket: Arc<TokenBucket>,
    pause: Pause,
}

impl ThrottledDirection {
    fn new(bucket: &Arc<TokenBucket>) -> ThrottledDirection {
        ThrottledDirection { bucket: Arc::clone(bucket), pause: Pause::default() }
    }

    /// Waits until all taken bytes are paid for.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.pause.poll(cx));
            // Another connection may have taken bytes meanwhile.
            match self.bucket.paid() {
                Some(paid) if paid > Instant::now() => self.pause.until(paid),
                _ => return Poll::Ready(()),
            }
        }
    }

    /// The largest number of bytes to move at once.
    fn slice_bytes(&self) -> usize {
        let bytes = self.bucket.chunk_bytes();
        bytes.map_or(usize::MAX, |bytes| bytes.clamp(*SLICE_BYTES.start(), *SLICE_BYTES.end()))
    }
}

impl StreamLayer for ThrottleLayer {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.reading.poll(cx));
        let before = buf.filled().len();
        let slice_bytes = self.reading.slice_bytes();
        if slice_bytes < buf.remaining() {
            // A long read would be followed by a long pause.
            self.slice.resize(slice_bytes, 0);
            let mut slice = ReadBuf::new(&mut self.slice);
            ready!(Pin::new(stream).poll_read(cx, &mut slice))?;
            buf.put_slice(slice.filled());
        } else {
            ready!(Pin::new(stream).poll_read(cx, buf))?;
        }
        let read = buf.filled().len() - before;
        self.reading.bucket.take(read);
        self.count(read);
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writing.poll(cx));
        let now = data.get(..self.writing.slice_bytes()).unwrap_or(data);
        let written = ready!(Pin::new(stream).poll_write(cx, now))?;
        self.writing.bucket.take(written);
        self.count(written);
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// The time to write, and to read, this many bytes at this rate in Kbit/s.
    async fn seconds(kbits: u64, length: usize) -> (f64, f64) {
        let throttle = Throttle::new(Some(kbits));
        let (near, mut far) = duplex(length);
        let mut near = throttle.wrap(near);
        let begun = Instant::now();
        near.write_all(&vec![0; length]).await.unwrap();
        let written = begun.elapsed().as_secs_f64();
        far.write_all(&vec![0; length]).await.unwrap();
        let begun = Instant::now();
        near.read_exact(&mut vec![0; length]).await.unwrap();
        (written, begun.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_kept_in_both_directions() {
        let (written, read) = seconds(800, 1_000_000).await;
        // A fifth of a second's worth may go at once.
        assert!((9.5..10.1).contains(&written), "{written}");
        assert!((9.5..10.1).contains(&read), "{read}");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_the_limit() {
        let throttle = Throttle::new(Some(800));
        let (a, _a) = duplex(1 << 20);
        let (b, _b) = duplex(1 << 20);
        let (mut a, mut b) = (throttle.wrap(a), throttle.wrap(b));
        let data = vec![0; 500_000];
        let begun = Instant::now();
        let (first, second) = tokio::join!(a.write_all(&data), b.write_all(&data));
        first.and(second).unwrap();
        let taken = begun.elapsed().as_secs_f64();
        assert!((9.0..10.1).contains(&taken), "{taken}");
    }

    #[tokio::test]
    async fn keepalives_do_not_count_as_traffic() {
        let throttle = Throttle::new(None);
        let (near, _far) = duplex(1 << 20);
        let mut near = throttle.wrap(near);
        near.write_all(&[0; MAX_KEEPALIVE_BYTES]).await.unwrap();
        assert_eq!(throttle.moved(), 0);
        near.write_all(&[0; MAX_KEEPALIVE_BYTES + 1]).await.unwrap();
        assert_eq!(throttle.moved(), 1);
    }
}
