//! How long a connection waits for its link.

use crate::{MAX_PACKET_BYTES, StreamLayer};
use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelWriteHalf};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// Written bytes after which older ones count half.
const MEMORY_BYTES: u64 = 16 << 20;

/// Waiting after which older waits count half.
const MEMORY_TIME: Duration = Duration::from_millis(500);

/// Waits are spread over at least this many bytes: one that is due to the scheduler of this machine is no slow link.
const MIN_BYTES: u64 = 1 << 20;

/// Measures how long the output of a connection waits for its link: for room in the socket, for the peer's window, or for a
/// rate limit. Time in which there is nothing to send does not count. Clones share the measurement. It is a layer of the
/// stream, or is told.
#[derive(Clone, Debug, Default)]
pub struct LinkMeter(Arc<Mutex<LinkState>>);

#[derive(Debug, Default)]
struct LinkState {
    /// Recent bytes.
    bytes: u64,
    /// How long they waited.
    waited: Duration,
    /// The begin of the current wait.
    since: Option<Instant>,
}

impl LinkMeter {
    /// Output is waiting from now on, if it was not before.
    pub fn begin_wait(&self) {
        self.lock().since.get_or_insert_with(Instant::now);
    }

    /// Output does not wait for the link any more.
    pub fn end_wait(&self) {
        let mut state = self.lock();
        if let Some(since) = state.since.take() {
            state.add(0, since.elapsed());
        }
    }

    /// The link has taken bytes.
    pub fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        let waited = state.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        state.add(bytes as u64, waited);
    }

    /// Output has waited this long.
    pub fn waited(&self, time: Duration) {
        self.lock().add(0, time);
    }

    /// Sends bytes on a channel. Waiting for its window counts.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn send<S>(&self, channel: &ChannelWriteHalf<S>, mut bytes: Bytes) -> Result<(), russh::Error>
    where
        S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        while !bytes.is_empty() {
            let packet = bytes.split_to(bytes.len().min(MAX_PACKET_BYTES as usize));
            let waits = channel.writable_packet_size().await < packet.len();
            let begun = Instant::now();
            channel.data_bytes(packet).await?;
            if waits {
                self.waited(begun.elapsed());
            }
        }
        Ok(())
    }

    /// How long each byte waited recently, in nanoseconds.
    #[must_use]
    pub fn wait_per_byte(&self) -> f64 {
        let state = self.lock();
        let waited = state.waited + state.since.map_or(Duration::ZERO, |since| since.elapsed());
        waited.as_nanos() as f64 / state.bytes.max(MIN_BYTES) as f64
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkState {
    fn add(&mut self, bytes: u64, waited: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
        if self.bytes > MEMORY_BYTES || self.bytes > MIN_BYTES && self.waited > MEMORY_TIME {
            self.bytes /= 2;
            self.waited /= 2;
        }
    }
}

impl StreamLayer for LinkMeter {
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(stream).poll_write(cx, data);
        match &written {
            Poll::Pending => self.begin_wait(),
            Poll::Ready(written) => self.wrote(*written.as_ref().unwrap_or(&0)),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayeredStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn only_output_that_waits_for_the_link_counts() {
        let (near, mut far) = duplex(1 << 20);
        let meter = LinkMeter::default();
        let mut near = LayeredStream::new(near, meter.clone());
        near.write_all(&[0; 1 << 20]).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        assert_eq!(meter.wait_per_byte(), 0.0, "it had room, and then nothing to send");
        let reading = async {
            sleep(Duration::from_millis(100)).await;
            far.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
        };
        let (written, ()) = tokio::join!(near.write_all(&[0; 1 << 20]), reading);
        written.unwrap();
        let expected = 100e6 / f64::from(2 << 20);
        assert!((meter.wait_per_byte() - expected).abs() < 0.01, "{}", meter.wait_per_byte());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_while_it_lasts_and_fades_once_the_link_is_fast() {
        let meter = LinkMeter::default();
        meter.wrote(1 << 20);
        meter.begin_wait();
        sleep(Duration::from_secs(1)).await;
        meter.begin_wait();
        assert!((900.0..1000.0).contains(&meter.wait_per_byte()), "{}", meter.wait_per_byte());
        meter.end_wait();
        sleep(Duration::from_secs(1)).await;
        let before = meter.wait_per_byte();
        assert!((400.0..1000.0).contains(&before), "{before}");
        for _ in 0..100 {
            meter.wrote(1 << 20);
        }
        assert!(meter.wait_per_byte() < before / 100.0, "{}", meter.wait_per_byte());
        meter.waited(Duration::from_secs(60));
        assert!(meter.wait_per_byte() > 1000.0);
    }

    #[test]
    fn a_pause_of_the_scheduler_at_the_start_is_no_slow_link() {
        let meter = LinkMeter::default();
        meter.wrote(1000);
        meter.waited(Duration::from_millis(1));
        assert!(meter.wait_per_byte() < 1.0);
    }
}
