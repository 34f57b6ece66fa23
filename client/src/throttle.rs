//! The throttle: counts network traffic and limits its rate with token buckets.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Reads and writes of up to this many bytes do not count as traffic: keepalives and window adjustments continue
/// even if the server has stopped answering.
const MAX_KEEPALIVE_BYTES: usize = 512;

/// Burst size: unused rate of this long may be used at once.
const BURST: Duration = Duration::from_millis(250);

/// Traffic counter and rate limits of all connections of the program. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    moved: Arc<AtomicU64>,
    /// `None` without a limit.
    paces: Option<Arc<TokenBuckets>>,
}

/// The buckets of both directions.
#[derive(Debug)]
struct TokenBuckets {
    reading: TokenBucket,
    writing: TokenBucket,
}

/// A token bucket.
#[derive(Debug)]
struct TokenBucket {
    /// Bytes a second, never 0.
    rate: u64,
    /// When the bytes moved so far are paid for at that rate.
    through: Mutex<Instant>,
}

impl Throttle {
    /// Limits the total of all connections to `limit` Kbit/s in each direction.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Throttle {
        let paces = limit.map(|kbits| {
            let rate = kbits.saturating_mul(1000 / 8).max(1);
            Arc::new(TokenBuckets { reading: TokenBucket::new(rate), writing: TokenBucket::new(rate) })
        });
        Throttle { moved: Arc::default(), paces }
    }

    /// A counter that changes with each read or write that counts.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize, pace: Option<&TokenBucket>) {
        if let Some(pace) = pace {
            pace.moved(bytes);
        }
        if bytes > MAX_KEEPALIVE_BYTES {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn reading(&self) -> Option<&TokenBucket> {
        self.paces.as_ref().map(|paces| &paces.reading)
    }

    fn writing(&self) -> Option<&TokenBucket> {
        self.paces.as_ref().map(|paces| &paces.writing)
    }
}

impl TokenBucket {
    fn new(rate: u64) -> TokenBucket {
        TokenBucket { rate, through: Mutex::new(Instant::now()) }
    }

    /// When the next bytes may move.
    fn next(&self) -> Instant {
        *self.through.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self, bytes: usize) {
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let from = now.checked_sub(BURST).map_or(*through, |earliest| earliest.max(*through));
        *through = from + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
    }

    /// Bytes per read or write, so that the rate is even.
    fn slice_bytes(&self) -> usize {
        usize::try_from(self.rate / 8).unwrap_or(usize::MAX).clamp(1 << 10, 256 << 10)
    }
}

/// A stream that obeys the throttle and counts its traffic.
pub struct ThrottledStream<S> {
    stream: S,
    throttle: Throttle,
    reading: BucketWait,
    writing: BucketWait,
    /// Buffer for reads that are longer than a slice.
    slice: Vec<u8>,
}

/// Waits until the bucket has tokens.
#[derive(Default)]
struct BucketWait(Option<Pin<Box<Sleep>>>);

impl BucketWait {
    fn poll(&mut self, pace: Option<&TokenBucket>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pace) = pace else { return Poll::Ready(()) };
        loop {
            if let Some(sleep) = &mut self.0 {
                ready!(sleep.as_mut().poll(cx));
                self.0 = None;
            }
            // Another connection may have used the tokens meanwhile.
            let next = pace.next();
            if next <= Instant::now() {
                return Poll::Ready(());
            }
            self.0 = Some(Box::pin(sleep_until(next)));
        }
    }
}

impl<S> ThrottledStream<S> {
    /// Wraps a connection.
    #[must_use]
    pub fn new(stream: S, throttle: Throttle) -> ThrottledStream<S> {
        ThrottledStream {
            stream,
            throttle,
            reading: BucketWait::default(),
            writing: BucketWait::default(),
            slice: Vec::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ThrottledStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.reading.poll(this.throttle.reading(), cx));
        let before = buf.filled().len();
        let read = match this.throttle.reading() {
            // A long read would be followed by a long pause.
            Some(pace) if pace.slice_bytes() < buf.remaining() => {
                this.slice.resize(pace.slice_bytes(), 0);
                let mut slice = ReadBuf::new(&mut this.slice);
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut slice))
                    .map(|()| buf.put_slice(slice.filled()))
            }
            _ => ready!(Pin::new(&mut this.stream).poll_read(cx, buf)),
        };
        read?;
        this.throttle.count(buf.filled().len() - before, this.throttle.reading());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ThrottledStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.writing.poll(this.throttle.writing(), cx));
        let slice_bytes = this.throttle.writing().map_or(data.len(), TokenBucket::slice_bytes);
        let now = data.get(..slice_bytes).unwrap_or(data);
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, now))?;
        this.throttle.count(written, this.throttle.writing());
        Poll::Ready(Ok(written))
    }

    crate::stream_wrapper::flush_and_shutdown_inner!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// How long it takes to write, and to read, so many bytes at so many Kbit/s.
    async fn seconds(kbits: u64, length: usize) -> (f64, f64) {
        let throttle = Throttle::new(Some(kbits));
        let (near, mut far) = duplex(length);
        let mut near = ThrottledStream::new(near, throttle);
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
        // A quarter of a second's worth may go at once.
        assert!((9.5..10.1).contains(&written), "{written}");
        assert!((9.5..10.1).contains(&read), "{read}");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_the_limit() {
        let throttle = Throttle::new(Some(800));
        let (a, _a) = duplex(1 << 20);
        let (b, _b) = duplex(1 << 20);
        let (mut a, mut b) = (ThrottledStream::new(a, throttle.clone()), ThrottledStream::new(b, throttle));
        let data = vec![0; 500_000];
        let begun = Instant::now();
        let (first, second) = tokio::join!(a.write_all(&data), b.write_all(&data));
        first.and(second).unwrap();
        let taken = begun.elapsed().as_secs_f64();
        assert!((9.0..10.1).contains(&taken), "{taken}");
    }

    #[tokio::test]
    async fn only_what_is_no_keepalive_counts() {
        let throttle = Throttle::new(None);
        let (near, _far) = duplex(1 << 20);
        let mut near = ThrottledStream::new(near, throttle.clone());
        near.write_all(&[0; MAX_KEEPALIVE_BYTES]).await.unwrap();
        assert_eq!(throttle.moved(), 0);
        near.write_all(&[0; MAX_KEEPALIVE_BYTES + 1]).await.unwrap();
        assert_eq!(throttle.moved(), 1);
    }
}
