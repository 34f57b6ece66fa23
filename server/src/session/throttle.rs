//! How fast a user's bytes go: one bucket for each direction, shared by all the user's connections.
//!
//! Whoever takes bytes is told when they are paid for, and takes no more before. So each connection has
//! at most one piece that is not paid for, the pieces are paid for in the order in which they were taken,
//! and connections of one user come to equal shares. Nobody polls, and nobody waits for a lock.

use crate::accounts::Account;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What was not used of the rate stays for so long.
const MAX_BURST: Duration = Duration::from_millis(200);

/// Pieces of so many bytes go ahead of what waits: answers to small requests, beside transfers.
const MAX_PRIORITY_BYTES: usize = 4096;

/// How far ahead.
const PRIORITY_ADVANCE: Duration = Duration::from_secs(1);

/// The rates of all users who have logged in.
#[derive(Debug, Default)]
pub struct RateLimits {
    users: Mutex<HashMap<String, Arc<UserRateLimits>>>,
}

impl RateLimits {
    /// Those of an account, shared by all who ask.
    pub(super) fn of(&self, account: &Account) -> Arc<UserRateLimits> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = Arc::clone(users.entry(account.name.clone()).or_default());
        rates.set(account.upload_rate, account.download_rate);
        rates
    }

    /// Sets what an account has become, if anybody has logged in to it.
    pub fn renew(&self, account: &Account) {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rates) = users.get(&account.name) {
            rates.set(account.upload_rate, account.download_rate);
        }
    }
}

/// The rates of one user.
#[derive(Debug, Default)]
pub(super) struct UserRateLimits {
    upload: TokenBucket,
    download: TokenBucket,
}

impl UserRateLimits {
    /// Sets the rates, in bytes a second; none for no limit.
    pub(super) fn set(&self, upload: Option<u64>, download: Option<u64>) {
        self.upload.set(upload);
        self.download.set(download);
    }

    /// Counts what has been received. Nothing more is to be read before the time that it returns.
    pub(super) fn received(&self, bytes: usize) -> Option<Instant> {
        self.upload.take(bytes)
    }

    /// As much as may be sent at once, in bytes.
    pub(super) fn piece(&self) -> usize {
        self.download.piece()
    }

    /// Counts what is to be sent, and returns when it may be.
    pub(super) async fn send(&self, bytes: usize) {
        if let Some(paid) = self.download.take(bytes) {
            let ahead = if bytes <= MAX_PRIORITY_BYTES { PRIORITY_ADVANCE } else { Duration::ZERO };
            tokio::time::sleep_until(paid.checked_sub(ahead).unwrap_or(paid)).await;
        }
    }

    /// How much a client may have under way to us, in bytes, of `usual`: what is on its way when it
    /// cancels still has to be read.
    pub(super) fn window(&self, usual: u32) -> u32 {
        self.upload.rate().map_or(usual, |rate| usual.min(u32::try_from(rate / 2).unwrap_or(usual)))
    }
}

/// So many bytes a second.
#[derive(Debug, Default)]
struct TokenBucket {
    /// 0 where there is no limit.
    rate: AtomicU64,
    /// When all that was taken is paid for.
    paid: Mutex<Option<Instant>>,
}

impl TokenBucket {
    fn set(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(0), Relaxed);
    }

    fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Relaxed)).filter(|rate| *rate > 0)
    }

    /// Takes bytes; returns when they are paid for. Where there is no limit they cost nothing.
    fn take(&self, bytes: usize) -> Option<Instant> {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate()? as f64);
        let now = Instant::now();
        let full = now.checked_sub(MAX_BURST).unwrap_or(now);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid.map_or(full, |paid| paid.max(full)) + cost;
        *paid = Some(until);
        Some(until)
    }

    /// An eighth of a second's worth: shares are fair, and nothing waits long behind a piece.
    fn piece(&self) -> usize {
        self.rate().map_or(usize::MAX, |rate| {
            usize::try_from(rate / 8).unwrap_or(usize::MAX).max(MAX_PRIORITY_BYTES)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    const RATE: u64 = 1 << 20;

    fn rates() -> Arc<UserRateLimits> {
        let rates = UserRateLimits::default();
        rates.set(Some(RATE), Some(RATE));
        Arc::new(rates)
    }

    /// Takes pieces for ever; returns where they are counted.
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
    async fn all_together_keep_to_the_rate_and_each_has_its_share() {
        let rates = rates();
        let piece = rates.piece();
        let takers: Vec<_> = (0..5).map(|_| taker(&rates, piece)).collect();
        for second in 1..=10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let taken: Vec<u64> = takers.iter().map(|taken| taken.load(Ordering::Relaxed)).collect();
            let sum: u64 = taken.iter().sum();
            assert!(sum <= RATE * second + RATE / 5, "{sum} in {second} s");
            assert!(sum + RATE / 4 >= RATE * second, "{sum} in {second} s");
            let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
            assert!(most - least <= 2 * piece as u64, "{taken:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_answers_go_ahead_but_not_for_ever() {
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
        // What went ahead is taken from what comes after it.
        assert!(sum([&big, &small]) - begun <= 12 * RATE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_soon_gone() {
        let rates = rates();
        assert!(rates.received(1).is_some_and(|paid| paid <= Instant::now()));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let paid = rates.received(RATE as usize).unwrap();
        assert!(paid >= Instant::now() + Duration::from_secs(1) - MAX_BURST);
        // The other direction has a bucket of its own.
        let before = Instant::now();
        rates.send(MAX_PRIORITY_BYTES).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_window_is_as_wide_as_it_helps() {
        assert_eq!(rates().window(16 << 20), 1 << 19);
        let fast = UserRateLimits::default();
        fast.set(Some(1 << 40), None);
        assert_eq!(fast.window(16 << 20), 16 << 20);
        assert!(fast.received(1).is_some());
        assert_eq!(fast.piece(), usize::MAX);
        fast.set(None, Some(RATE));
        assert!(fast.received(1 << 30).is_none());
        assert_eq!(fast.piece(), RATE as usize / 8);
    }
}
