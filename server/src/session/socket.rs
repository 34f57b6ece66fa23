//! The socket below russh, with a send queue, rate limits and backpressure.
//!
//! russh's session loop awaits each write and does not read meanwhile. With a peer that does the same, both would
//! wait forever. So a write to this socket never waits: bytes that the kernel does not accept are queued, and
//! written whenever the loop reads. The queue stays short because producers wait for [`FlowControl::drained`] first.

use super::bulk_gate::{BulkGate, GatePass};
use super::flow_control::FlowControl;
use bytes::BytesMut;
use sshome_ssh::{Pause, SendQueue, hand_out};
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
    queue: SendQueue,
    flow: Arc<FlowControl>,
    /// The turn of a connection that moves much.
    pass: GatePass,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The time until the rate limit allows reading again.
    pause: Pause,
    /// Bytes that were read since the last yield.
    slice_bytes: usize,
}

impl<S: AsyncWrite + Unpin> PacedSocket<S> {
    pub(super) fn new(
        stream: S,
        flow: Arc<FlowControl>,
        gate: Arc<BulkGate>,
        cut: CancellationToken,
    ) -> PacedSocket<S> {
        let pass = GatePass::new(gate);
        let cut = Box::pin(cut.cancelled_owned());
        let (ahead, queue) = (BytesMut::new(), SendQueue::default());
        PacedSocket { stream, ahead, queue, flow, pass, cut, pause: Pause::default(), slice_bytes: 0 }
    }

    /// Writes the queue, as far as the kernel accepts it now.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            if self.poll_turn(cx).is_pending() {
                // Now it waits for other connections, not for the link.
                self.flow.link().end_wait();
                return Poll::Pending;
            }
            let Some(front) = self.queue.front() else { break };
            let written = Pin::new(&mut self.stream).poll_write(cx, front)?;
            let written = ready!(self.written(written))?;
            self.queue.advance(written);
            self.flow.set_queued(self.queue.len());
        }
        Poll::Ready(Ok(()))
    }

    /// Counts what the kernel has accepted. A connection that has to wait for the kernel gives its permit back.
    fn written(&mut self, written: Poll<usize>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                self.pass.release();
                self.flow.link().begin_wait();
                Poll::Pending
            }
            Poll::Ready(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => {
                self.flow.wrote(written);
                self.moved(written);
                Poll::Ready(Ok(written))
            }
        }
    }
}

impl<S> PacedSocket<S> {
    /// Ready if the connection may use its socket now.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.pass.poll(cx, || self.flow.user());
        self.flow.set_contended(self.pass.is_contended);
        turn
    }

    /// Counts bytes that were read or written.
    fn moved(&mut self, bytes: usize) {
        self.pass.moved(bytes);
        self.flow.set_bulk(self.pass.is_bulk());
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
        ready!(self.poll_turn(cx));
        let read = self.poll_receive(cx, buf)?;
        if read.is_pending() {
            self.pass.release();
        }
        let read = ready!(read);
        self.moved(read);
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
            while !rest.is_empty() && self.poll_turn(cx).is_ready() {
                let written = Pin::new(&mut self.stream).poll_write(cx, rest)?;
                let Poll::Ready(written) = self.written(written)? else { break };
                rest = rest.get(written..).unwrap_or_default();
            }
        }
        if self.queue.len() + rest.len() > MAX_QUEUED_BYTES {
            let text = "the peer sends requests and does not read the replies";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        self.queue.push(rest);
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
mod tests;
