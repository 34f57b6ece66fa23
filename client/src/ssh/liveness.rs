//! Whether a connection is alive: keepalives, and a limit on writes that make no progress.
//!
//! russh sends keepalives from the same loop that writes. While a write waits for a peer that has vanished, none is
//! sent, and the system gives up only after a quarter of an hour. So a write that makes no progress for as long as
//! unanswered keepalives are tolerated ends the connection, too.

use crate::conversation::LossReason;
use sshome_ssh::StreamLayer;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// When a server counts as dead: `ServerAliveInterval` and `ServerAliveCountMax` of ssh_config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The silence after which a keepalive is sent; `None` for never.
    pub interval: Option<Duration>,
    /// The number of unanswered keepalives that are tolerated; 0 for any number.
    pub count: usize,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive { interval: Some(Duration::from_secs(30)), count: 3 }
    }
}

impl Keepalive {
    /// The longest time without an answer, or without progress of a write; `None` for no limit.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        let questions = u32::try_from(self.count).ok().filter(|count| *count > 0)?;
        Some(self.interval?.saturating_mul(questions.saturating_add(1)))
    }
}

/// Notes why a stream ends, and ends it if a write makes no progress for too long.
pub(super) struct LossMonitor {
    limit: Option<Duration>,
    loss: LossReason,
    /// The timeout of a waiting write.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl LossMonitor {
    pub(super) fn new(limit: Option<Duration>, loss: LossReason) -> LossMonitor {
        LossMonitor { limit, loss, stalled: None }
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| self.loss.fault(|| self.fault(error)))
    }

    /// What an error means. The system gives up, too, if the peer acknowledges nothing within the limit.
    fn fault(&self, error: &io::Error) -> String {
        match (error.kind(), self.limit) {
            (io::ErrorKind::TimedOut, Some(limit)) => taken_nothing(limit),
            (io::ErrorKind::ConnectionReset, _) => RESET_MESSAGE.to_owned(),
            (io::ErrorKind::BrokenPipe, _) => CLOSED_MESSAGE.to_owned(),
            _ => error.to_string(),
        }
    }
}

/// The fault if the peer closed the connection (TCP's FIN).
const CLOSED_MESSAGE: &str = "the server closed the connection";

/// The fault if the connection was reset (TCP's RST): by the server's system, which discards unread data, or by a
/// router or firewall that has forgotten the connection.
const RESET_MESSAGE: &str = "the connection was reset by the server, or on the way to it";

/// Whether a write failed because the peer has closed the connection.
fn has_hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn taken_nothing(limit: Duration) -> String {
    format!("the server has taken nothing for {} s", limit.as_secs_f64())
}

impl StreamLayer for LossMonitor {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(stream).poll_read(cx, buf);
        let is_empty = buf.remaining() > 0 && buf.filled().len() == before;
        if is_empty && matches!(read, Poll::Ready(Ok(()))) {
            self.loss.fault(|| CLOSED_MESSAGE.to_owned());
        }
        read.map(|read| self.noted(read))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(stream).poll_write(cx, data);
        let Some(limit) = self.limit.filter(|_| written.is_pending()) else {
            self.stalled = None;
            return written.map(|written| match self.noted(written) {
                // The reason that the server gave before it hung up has not been read yet. An error here would keep
                // russh from reading it. Nothing counts as sent before the server has answered it.
                Err(error) if has_hung_up(&error) => Ok(data.len()),
                written => written,
            });
        };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| self.noted(Err(io::Error::new(io::ErrorKind::TimedOut, taken_nothing(limit)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_ssh::LayeredStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_last_message_of_a_server_is_read_although_writing_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let loss = LossReason::default();
        let mut client = LayeredStream::new(stream, LossMonitor::new(None, loss.clone()));
        server.write_all(b"the reason").await.unwrap();
        drop(server);
        // The first write is answered with a reset, after which every other one fails.
        while loss.get().is_none() {
            client.write_all(b"data").await.unwrap();
        }
        let mut words = Vec::new();
        let _ = client.read_to_end(&mut words).await;
        assert_eq!(words, b"the reason");
    }

    #[test]
    fn the_limit_follows_from_the_keepalives() {
        let seconds = |interval, count| {
            Keepalive { interval: Some(Duration::from_secs(interval)), count }.limit().map(|it| it.as_secs())
        };
        assert_eq!((seconds(30, 3), seconds(1, 1), seconds(5, 0)), (Some(120), Some(2), None));
        assert_eq!(Keepalive { interval: None, count: 3 }.limit(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_write_ends_the_connection_with_a_reason() {
        let loss = LossReason::default();
        let (near, mut far) = duplex(1000);
        let mut near =
            LayeredStream::new(near, LossMonitor::new(Some(Duration::from_secs(120)), loss.clone()));
        // The total time does not matter as long as the peer keeps reading.
        let writing = async {
            near.write_all(&[0; 5000]).await.unwrap();
            near
        };
        let reading = async {
            for _ in 0..5 {
                sleep(Duration::from_secs(100)).await;
                far.read_exact(&mut [0; 1000]).await.unwrap();
            }
            far
        };
        let (mut near, _far) = tokio::join!(writing, reading);
        assert_eq!(loss.get(), None);
        let error = near.write_all(&[0; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(loss.get().as_deref(), Some("the server has taken nothing for 120 s"));
    }

    /// A connection that the system gives up.
    struct GivenUp;

    impl AsyncRead for GivenUp {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_system_gives_up_has_the_same_message() {
        let loss = LossReason::default();
        let mut given_up =
            LayeredStream::new(GivenUp, LossMonitor::new(Some(Duration::from_secs(6)), loss.clone()));
        given_up.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(loss.get().as_deref(), Some("the server has taken nothing for 6 s"));
    }

    #[tokio::test]
    async fn a_reset_is_reported_as_a_reset() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        let loss = LossReason::default();
        let mut client = LayeredStream::new(stream, LossMonitor::new(None, loss.clone()));
        client.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(
            loss.get().as_deref(),
            Some("the connection was reset by the server, or on the way to it")
        );
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_noted() {
        let loss = LossReason::default();
        let (near, far) = duplex(1000);
        drop(far);
        let mut near = LayeredStream::new(near, LossMonitor::new(None, loss.clone()));
        assert_eq!(near.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!(loss.get().as_deref(), Some("the server closed the connection"));
    }
}
