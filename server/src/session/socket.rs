//! The socket below russh, with a send queue, rate limits and backpressure.
//!
//! russh's session loop awaits each write and does not read meanwhile. With a peer that does the same, both would
//! wait forever. So a write to this socket never waits: bytes that the kernel does not accept are queued, and
//! written whenever the loop reads. The queue stays short because producers wait for [`FlowControl::drained`] first.

use super::flow_control::FlowControl;
use bytes::{Buf, BytesMut};
use sshome_ssh::{Pause, hand_out};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// After this many bytes in a row, reading yields to other connections.
const READ_SLICE_BYTES: usize = 256 << 10;

/// A read of fewer bytes than this reads ahead. russh reads the length of a packet, the packet, and then looks for
/// another: three system calls for each request of a client that waits for every reply. A large packet is read directly
/// into its buffer, except for its beginning.
const READ_AHEAD_BYTES: usize = 8 << 10;

/// The memory that an empty queue keeps, in bytes.
const IDLE_QUEUE_BYTES: usize = 64 << 10;

/// Reading stops while more than this is queued, in bytes. Producers wait while anything is queued, so a longer queue
/// holds small replies to a peer that sends requests without reading.
const MAX_QUEUED_BYTES_WHILE_READING: usize = 16 << 20;

/// The largest send queue, in bytes. A connection that exceeds it fails.
const MAX_QUEUED_BYTES: usize = 48 << 20;

/// The interval at which a connection checks whether its user's memory budget allows reading again.
const RECHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A connection whose writes never wait. Cancelling its token makes it read end-of-file.
pub(super) struct PacedSocket<S> {
    stream: S,
    /// Bytes that were read ahead.
    ahead: BytesMut,
    queue: BytesMut,
    flow: Arc<FlowControl>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The time until the rate limit allows reading again.
    pause: Pause,
    /// Bytes that were read since the last yield.
    slice_bytes: usize,
}

impl<S: AsyncWrite + Unpin> PacedSocket<S> {
    pub(super) fn new(stream: S, flow: Arc<FlowControl>, cut: CancellationToken) -> PacedSocket<S> {
        let cut = Box::pin(cut.cancelled_owned());
        let (ahead, queue) = (BytesMut::new(), BytesMut::new());
        PacedSocket { stream, ahead, queue, flow, cut, pause: Pause::default(), slice_bytes: 0 }
    }

    /// Writes the queue, as far as the kernel accepts it now.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.queue))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.queue.advance(written);
            self.flow.wrote(written);
            self.flow.set_queued(self.queue.len());
        }
        // Free the memory of a long queue: most connections are idle most of the time.
        if self.queue.capacity() > IDLE_QUEUE_BYTES {
            self.queue = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> PacedSocket<S> {
    /// Reads from the stream into `buf`, and ahead if `buf` is small.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        if buf.remaining() >= READ_AHEAD_BYTES {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            return Poll::Ready(Ok(buf.filled().len() - before));
        }
        self.ahead.reserve(READ_AHEAD_BYTES);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.ahead);
        if read.is_pending() {
            // Most connections are idle most of the time.
            self.ahead = BytesMut::new();
        }
        let read = ready!(read)?;
        self.flow.opened_with(&self.ahead);
        hand_out(&mut self.ahead, buf);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PacedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        if !self.ahead.is_empty() {
            hand_out(&mut self.ahead, buf);
            return Poll::Ready(Ok(()));
        }
        // `poll_drain` has registered the waker.
        if self.queue.len() > MAX_QUEUED_BYTES_WHILE_READING {
            return Poll::Pending;
        }
        // Check the limits after writing, so that the queue drains meanwhile.
        loop {
            ready!(self.pause.poll(cx));
            if self.flow.may_read() {
                break;
            }
            self.pause.until(Instant::now() + RECHECK_INTERVAL);
        }
        let slice_bytes = std::mem::take(&mut self.slice_bytes);
        if slice_bytes >= READ_SLICE_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = ready!(self.poll_receive(cx, buf))?;
        self.slice_bytes = slice_bytes + read;
        if let Some(paid) = self.flow.rates().and_then(|rates| rates.received(read)) {
            self.pause.until(paid);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut rest = buf;
        // Bytes keep their order: write directly only if the queue is empty.
        if self.poll_drain(cx)?.is_ready() {
            while !rest.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, rest)? {
                    Poll::Pending => break,
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(written) => {
                        rest = rest.get(written..).unwrap_or_default();
                        self.flow.wrote(written);
                    }
                }
            }
        }
        if self.queue.len() + rest.len() > MAX_QUEUED_BYTES {
            let text = "the peer sends requests and does not read the replies";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        self.queue.extend_from_slice(rest);
        self.flow.set_queued(self.queue.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Do not wait for the kernel: that is the purpose of this type.
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_pending() {
            ready!(self.poll_drain(cx))?;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::flow_control::HeldBytes;
    use super::super::memory_budget::MemoryBudgets;
    use super::super::throttle::UserRateLimits;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn pair() -> (PacedSocket<TcpStream>, TcpStream, Arc<FlowControl>, CancellationToken) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, peer) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let (flow, cut) = (Arc::new(FlowControl::default()), CancellationToken::new());
        let socket = PacedSocket::new(ours.unwrap().0, Arc::clone(&flow), cut.clone());
        (socket, peer.unwrap(), flow, cut)
    }

    #[tokio::test]
    async fn a_write_does_not_wait_for_a_peer_that_does_not_read() {
        let (mut socket, mut peer, flow, _cut) = pair().await;
        let sent: Vec<u8> = (0..32u32 << 20).map(|i| (i % 251) as u8).collect();
        socket.write_all(&sent).await.unwrap();
        assert!(flow.progress().0 > 0);
        // Reading is what moves the queue, and the order is kept.
        let reading = tokio::spawn(async move { socket.read_u8().await.map(|byte| (byte, socket)) });
        let mut got = vec![0; sent.len()];
        peer.read_exact(&mut got).await.unwrap();
        assert!(got == sent);
        flow.drained().await;
        peer.write_u8(7).await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap().0, 7);
        assert_eq!(flow.progress(), (0, sent.len() as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_keeps_to_the_rate_and_what_is_queued_goes_out_meanwhile() {
        const RATE: u64 = 1 << 20;
        let (mut socket, mut peer, flow, _cut) = pair().await;
        let rates = UserRateLimits::default();
        rates.set(Some(RATE), None);
        flow.limit(Arc::new(rates), MemoryBudgets::default().of("ann"));
        let queued: Vec<u8> = vec![7; 16 << 20];
        socket.write_all(&queued).await.unwrap();
        assert!(flow.progress().0 > 0);
        let (mut from, mut to) = peer.split();
        let begun = Instant::now();
        let reading = async {
            let mut buffer = vec![0; 64 << 10];
            let mut read = 0;
            while read < 4 << 20 {
                let count = socket.read(&mut buffer).await.unwrap();
                read += count as u64;
                let most = begun.elapsed().as_secs_f64() * RATE as f64 + (RATE / 5 + (64 << 10)) as f64;
                assert!(read as f64 <= most, "{read} of {most}");
            }
        };
        let mut got = vec![0; queued.len()];
        let sent = vec![1; 4 << 20];
        let (_, written, received) = tokio::join!(reading, to.write_all(&sent), from.read_exact(&mut got));
        written.unwrap();
        received.unwrap();
        assert!(got == queued);
    }

    #[tokio::test]
    async fn who_sends_much_is_not_read_for_ever_in_one_go() {
        // Bytes without end, none of which has to be waited for.
        let endless = tokio::io::join(tokio::io::repeat(3), tokio::io::sink());
        let mut socket =
            PacedSocket::new(endless, Arc::new(FlowControl::default()), CancellationToken::new());
        let mut buffer = vec![0; 16 << 10];
        for _ in 0..2 {
            let mut in_one_go = 0;
            std::future::poll_fn(|cx| {
                let mut read = ReadBuf::new(&mut buffer);
                while in_one_go < 2 * READ_SLICE_BYTES
                    && Pin::new(&mut socket).poll_read(cx, &mut read).is_ready()
                {
                    in_one_go += read.filled().len();
                    read.clear();
                }
                Poll::Ready(())
            })
            .await;
            assert!((READ_SLICE_BYTES..READ_SLICE_BYTES + (16 << 10)).contains(&in_one_go), "{in_one_go}");
        }
    }

    /// Returns at most `each` bytes at a time, and counts the reads.
    struct Counted<'a> {
        rest: &'a [u8],
        each: usize,
        asked: Arc<AtomicUsize>,
    }

    impl AsyncRead for Counted<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let (now, rest) = self.rest.split_at(self.each.min(self.rest.len()).min(buf.remaining()));
            buf.put_slice(now);
            self.rest = rest;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_small_packet_is_one_call_and_a_large_one_goes_where_it_belongs() {
        let sent: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let stream = Counted { rest: &sent, each: 64, asked: Arc::clone(&asked) };
        let stream = tokio::io::join(stream, tokio::io::sink());
        let mut socket = PacedSocket::new(stream, Arc::new(FlowControl::default()), CancellationToken::new());
        let mut got = Vec::new();
        for _ in 0..10 {
            for part in [4, 60] {
                let before = got.len();
                got.resize(before + part, 0);
                socket.read_exact(&mut got[before..]).await.unwrap();
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 10);
        // From here on all is there at once.
        socket.stream.reader_mut().each = usize::MAX;
        for part in [4, 65_536, 4, 65_536] {
            let before = got.len();
            got.resize(before + part, 0);
            socket.read_exact(&mut got[before..]).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 14);
        socket.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
    }

    #[tokio::test]
    async fn nothing_is_read_while_too_much_is_held() {
        let (mut socket, mut peer, flow, _cut) = pair().await;
        let memory = MemoryBudgets::default();
        flow.limit(Arc::default(), memory.of("ann"));
        let held = HeldBytes::new(Arc::clone(&flow));
        held.set(1 << 30);
        peer.write_all(b"x").await.unwrap();
        let reading = tokio::spawn(async move { socket.read_u8().await });
        // It looks, and looks again.
        while flow.reads().1 < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(flow.reads().0, 0);
        held.set(0);
        assert_eq!(reading.await.unwrap().unwrap(), b'x');
    }

    #[tokio::test]
    async fn who_does_not_read_is_not_read_from_for_ever() {
        let (mut socket, mut peer, flow, _cut) = pair().await;
        while flow.progress().0 <= MAX_QUEUED_BYTES_WHILE_READING {
            socket.write_all(&[0; 1 << 16]).await.unwrap();
        }
        peer.write_all(b"x").await.unwrap();
        let mut got = [0];
        let waits = std::future::poll_fn(|cx| {
            Poll::Ready(Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut got)).is_pending())
        });
        assert!(waits.await);
        // As soon as the peer reads, it is read from again.
        let mut sink = vec![0; 1 << 16];
        let sinks = async {
            loop {
                peer.read_exact(&mut sink).await.unwrap();
            }
        };
        tokio::select! {
            read = socket.read_u8() => assert_eq!(read.unwrap(), b'x'),
            () = sinks => {}
        }
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let (mut socket, _peer, _, _cut) = pair().await;
        let chunk = vec![0; 1 << 20];
        let mut result = Ok(());
        for _ in 0..200 {
            result = socket.write_all(&chunk).await;
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn cutting_reads_as_the_end() {
        let (mut socket, _peer, _, cut) = pair().await;
        let reading = tokio::spawn(async move { socket.read(&mut [0; 8]).await });
        cut.cancel();
        assert_eq!(reading.await.unwrap().unwrap(), 0);
    }
}
