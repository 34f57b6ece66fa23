//! Rate limits: a token bucket for each user and direction, shared by all of the user's connections.
//!
//! A connection takes no more bytes before the previous ones are paid for, so the connections of one user get equal
//! shares.

use crate::accounts::Account;
use sshome_ssh::TokenBucket;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Chunks of at most this many bytes have priority: replies to small requests during a transfer.
const MAX_PRIORITY_BYTES: usize = 4096;

/// How much earlier a chunk with priority is sent.
const PRIORITY_ADVANCE: Duration = Duration::from_secs(1);

/// The rate limits of all users who have logged in.
#[derive(Debug, Default)]
pub struct RateLimits {
    users: Mutex<HashMap<String, Arc<UserRateLimits>>>,
}

impl RateLimits {
    /// The rate limits of an account, shared by its connections.
    pub(super) fn of(&self, account: &Account) -> Arc<UserRateLimits> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = Arc::clone(users.entry(account.name.clone()).or_default());
        rates.set(account.upload_rate, account.download_rate);
        rates
    }

    /// Applies changed settings of an account to its connections.
    pub fn renew(&self, account: &Account) {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rates) = users.get(&account.name) {
            rates.set(account.upload_rate, account.download_rate);
        }
    }
}

/// The rate limits of one user.
#[derive(Debug, Default)]
pub(super) struct UserRateLimits {
    upload: TokenBucket,
    download: TokenBucket,
}

impl UserRateLimits {
    /// Sets the rates, in bytes a second. `None` is no limit.
    pub(super) fn set(&self, upload: Option<u64>, download: Option<u64>) {
        self.upload.set_rate(upload);
        self.download.set_rate(download);
    }

    /// Counts received bytes. Do not read more before the time that this returns.
    pub(super) fn received(&self, bytes: usize) -> Option<Instant> {
        self.upload.take(bytes)
    }

    /// The largest chunk to send at once, in bytes.
    pub(super) fn piece(&self) -> usize {
        self.download.chunk_bytes().map_or(usize::MAX, |bytes| bytes.max(MAX_PRIORITY_BYTES))
    }

    /// Counts bytes to send, and returns when they may be sent.
    pub(super) async fn send(&self, bytes: usize) {
        if let Some(paid) = self.download.take(bytes) {
            let ahead = if bytes <= MAX_PRIORITY_BYTES { PRIORITY_ADVANCE } else { Duration::ZERO };
            tokio::time::sleep_until(paid.checked_sub(ahead).unwrap_or(paid)).await;
        }
    }

    /// Reduces a receive window of `usual` bytes for a limited rate: data that is on its way when the client cancels
    /// must still be read.
    pub(super) fn window(&self, usual: u32) -> u32 {
        self.upload.rate().map_or(usual, |rate| usual.min(u32::try_from(rate / 2).unwrap_or(usual)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const BYTES_PER_SECOND: u64 = 1 << 20;

    fn rates() -> Arc<UserRateLimits> {
        let rates = UserRateLimits::default();
        rates.set(Some(BYTES_PER_SECOND), Some(BYTES_PER_SECOND));
        Arc::new(rates)
    }

    /// Takes pieces for ever. Returns their counter.
    fn taker(rates: &Arc<UserRateLimits>, piece: usize) -> Arc<AtomicU64> {
        let (rates, taken) = (Arc::clone(rates), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&taken);
        tokio::spawn(async move {
            loop {
                rates.send(piece).await;
                counter.fetch_add(piece as u64, Ordering::Relaxed);
            }
        });
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_the_rate_fairly() {
        let rates = rates();
        let piece = rates.piece();
        let takers: Vec<_> = (0..5).map(|_| taker(&rates, piece)).collect();
        for second in 1..=10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let taken: Vec<u64> = takers.iter().map(|taken| taken.load(Ordering::Relaxed)).collect();
            let sum: u64 = taken.iter().sum();
            assert!(sum <= BYTES_PER_SECOND * second + BYTES_PER_SECOND / 5, "{sum} in {second} s");
            assert!(sum + BYTES_PER_SECOND / 4 >= BYTES_PER_SECOND * second, "{sum} in {second} s");
            let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
            assert!(most - least <= 2 * piece as u64, "{taken:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_answers_go_first_but_not_for_ever() {
        let rates = rates();
        let big = taker(&rates, 1 << 20);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = Instant::now();
        rates.send(100).await;
        assert!(before.elapsed() <= Duration::from_millis(10), "{:?}", before.elapsed());
        let small = taker(&rates, MAX_PRIORITY_BYTES);
        let sum =
            |takers: [&AtomicU64; 2]| takers.map(|taken| taken.load(Ordering::Relaxed)).iter().sum::<u64>();
        let begun = sum([&big, &small]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        // Bytes that were sent early are deducted from later ones.
        assert!(sum([&big, &small]) - begun <= 12 * BYTES_PER_SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_rate_expires() {
        let rates = rates();
        assert!(rates.received(1).is_some_and(|paid| paid <= Instant::now()));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let paid = rates.received(BYTES_PER_SECOND as usize).unwrap();
        assert!(paid >= Instant::now() + Duration::from_secs(1) - TokenBucket::MAX_BURST);
        // The other direction has its own bucket.
        let before = Instant::now();
        rates.send(MAX_PRIORITY_BYTES).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_window_is_no_wider_than_the_rate_needs() {
        assert_eq!(rates().window(16 << 20), 1 << 19);
        let fast = UserRateLimits::default();
        fast.set(Some(1 << 40), None);
        assert_eq!(fast.window(16 << 20), 16 << 20);
        assert!(fast.received(1).is_some());
        assert_eq!(fast.piece(), usize::MAX);
        fast.set(None, Some(BYTES_PER_SECOND));
        assert!(fast.received(1 << 30).is_none());
        assert_eq!(fast.piece(), BYTES_PER_SECOND as usize / 8);
    }
}
