//! Waiting inside a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};

/// A time that a stream waits for, if any.
#[derive(Debug, Default)]
pub struct Pause(Option<Pin<Box<Sleep>>>);

impl Pause {
    /// Waits until `end`, unless that has passed.
    pub fn until(&mut self, end: Instant) {
        self.0 = (end > Instant::now()).then(|| Box::pin(sleep_until(end)));
    }

    /// Ready if there is nothing to wait for.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            ready!(sleep.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_until_its_end_and_only_once() {
        let (mut pause, begun) = (Pause::default(), Instant::now());
        poll_fn(|cx| pause.poll(cx)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        pause.until(begun + Duration::from_secs(3));
        for _ in 0..2 {
            poll_fn(|cx| pause.poll(cx)).await;
            assert_eq!(begun.elapsed(), Duration::from_secs(3));
        }
        pause.until(begun);
        poll_fn(|cx| pause.poll(cx)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
