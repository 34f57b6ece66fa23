//! Rate limits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A token bucket: a rate that several connections share. It starts full, and without a limit.
///
/// Taking bytes returns the time at which they are paid for, and a connection takes no more before that. So each
/// connection has at most one unpaid chunk, and chunks are paid for in order. Nothing polls, and nothing waits for a lock.
#[derive(Debug, Default)]
pub struct TokenBucket {
    /// In bytes a second. 0 is no limit.
    rate: AtomicU64,
    /// The time at which all taken bytes are paid for.
    paid: Mutex<Option<Instant>>,
}

impl TokenBucket {
    /// The capacity: unused rate is kept this long.
    pub const MAX_BURST: Duration = Duration::from_millis(200);

    /// Sets the rate, in bytes a second. `None` is no limit.
    pub fn set_rate(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(0), Relaxed);
    }

    /// The rate, in bytes a second. `None` is no limit.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Relaxed)).filter(|rate| *rate > 0)
    }

    /// Takes bytes. Returns the time at which they are paid for, or `None` without a limit.
    pub fn take(&self, bytes: usize) -> Option<Instant> {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate()? as f64);
        let now = Instant::now();
        let full = now.checked_sub(Self::MAX_BURST).unwrap_or(now);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid.map_or(full, |paid| paid.max(full)) + cost;
        *paid = Some(until);
        Some(until)
    }

    /// The time at which all taken bytes are paid for. `None` without a limit, or before any were taken.
    #[must_use]
    pub fn paid(&self) -> Option<Instant> {
        self.rate()?;
        *self.paid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of an eighth of a second: in chunks of this size, shares are fair, the rate is even, and nothing waits
    /// long behind a chunk. `None` without a limit.
    #[must_use]
    pub fn chunk_bytes(&self) -> Option<usize> {
        self.rate().map(|rate| usize::try_from(rate / 8).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_PER_SECOND: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn chunks_are_paid_for_in_order_and_a_burst_is_bounded() {
        let (bucket, begun) = (TokenBucket::default(), Instant::now());
        assert_eq!((bucket.take(1 << 30), bucket.paid(), bucket.chunk_bytes()), (None, None, None));
        bucket.set_rate(Some(BYTES_PER_SECOND));
        assert_eq!(bucket.chunk_bytes(), Some(1 << 17));
        let second = Duration::from_secs(1);
        assert_eq!(bucket.take(BYTES_PER_SECOND as usize), Some(begun + second - TokenBucket::MAX_BURST));
        assert_eq!(bucket.take(BYTES_PER_SECOND as usize), Some(begun + second * 2 - TokenBucket::MAX_BURST));
        assert_eq!(bucket.paid(), Some(begun + second * 2 - TokenBucket::MAX_BURST));
        tokio::time::sleep(second * 3600).await;
        assert_eq!(
            bucket.take(BYTES_PER_SECOND as usize),
            Some(begun + second * 3601 - TokenBucket::MAX_BURST)
        );
        bucket.set_rate(None);
        assert_eq!((bucket.take(1), bucket.paid(), bucket.rate()), (None, None, None));
    }
}
