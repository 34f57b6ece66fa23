//! The input and output of an SSH channel for the service that runs on it.

use super::flow_control::{FlowControl, HeldBytes, UntakenPackets};
use super::throttle::UserRateLimits;
use crate::protocol::{Arrival, ChannelInput, ChannelOutput, Gone, SlicePriority};
use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sshome_ssh::LinkMeter;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The input of a channel. Dropping it releases the memory that is counted for it.
pub(super) struct ChannelReader {
    pub(super) half: ChannelReadHalf,
    /// Packets that were not taken yet.
    pub(super) untaken: Arc<UntakenPackets>,
    /// Bytes that were taken and are not processed yet.
    pub(super) held: HeldBytes,
    /// An event that was read before the service started.
    pub(super) ahead: Option<Arrival>,
    /// Cancelled when the session ends: later input is ignored.
    pub(super) cut: CancellationToken,
}

/// Waits until a service is started on a channel. Returns it with the event that arrived right behind the request, if
/// any. `None` if an event arrives before a service is started, or none will be.
pub(super) async fn started<T>(
    mut start: oneshot::Receiver<T>,
    incoming: &mut impl ChannelInput,
) -> Option<(T, Option<Arrival>)> {
    tokio::select! {
        biased;
        start = &mut start => Some((start.ok()?, None)),
        // A client need not wait for the reply to its request: both the request and the event behind it may have
        // arrived since `start` was polled.
        arrival = incoming.next() => Some((start.try_recv().ok()?, Some(arrival))),
    }
}

impl ChannelInput for ChannelReader {
    async fn next(&mut self) -> Arrival {
        if let Some(arrival) = self.ahead.take() {
            return arrival;
        }
        loop {
            match self.half.wait().await {
                _ if self.cut.is_cancelled() => return Arrival::Gone,
                Some(ChannelMsg::Data { data }) => {
                    self.untaken.taken(data.len());
                    return Arrival::Data(data);
                }
                Some(ChannelMsg::Eof) => return Arrival::Eof,
                Some(ChannelMsg::Close) | None => return Arrival::Gone,
                Some(_) => {}
            }
        }
    }

    fn hold(&mut self, bytes: usize) {
        self.held.set(bytes);
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        self.untaken.close();
    }
}

/// The output of a channel, with rate limits and backpressure: see [`super::socket`].
pub(super) struct ChannelWriter {
    pub(super) half: Arc<ChannelWriteHalf<Msg>>,
    pub(super) flow: Arc<FlowControl>,
    /// Bytes that wait to be sent.
    pub(super) held: HeldBytes,
    /// Cancelled with the connection. Neither the send queue nor russh's window wakes a sender then.
    pub(super) cut: CancellationToken,
}

/// The stream of the client that output goes to.
#[derive(Clone, Copy, Debug)]
enum OutputStream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Error,
}

/// The number of the standard error among the kinds of extended data (RFC 4254, section 5.2).
const STANDARD_ERROR: u32 = 1;

impl ChannelOutput for ChannelWriter {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.send_to(OutputStream::Output, bytes).await
    }

    async fn send_error(&self, bytes: Bytes) -> Result<(), Gone> {
        self.send_to(OutputStream::Error, bytes).await
    }

    fn closed(&self) -> CancellationToken {
        self.cut.clone()
    }

    fn hold(&self, bytes: usize) {
        self.held.set(bytes);
    }

    fn moved(&self) {
        self.flow.moved();
    }

    fn output_limit(&self) -> Option<usize> {
        self.flow.output_limit()
    }

    fn link(&self) -> LinkMeter {
        self.flow.link().clone()
    }

    fn priority(&self) -> SlicePriority {
        match self.flow.is_bulk() {
            true => SlicePriority::Bulk,
            false => SlicePriority::Interactive,
        }
    }
}

impl ChannelWriter {
    async fn send_to(&self, stream: OutputStream, bytes: Bytes) -> Result<(), Gone> {
        let send = async {
            match self.flow.rates() {
                Some(rates) => self.send_paced(bytes, rates, stream).await,
                None => self.send_at_once(bytes, stream).await,
            }
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(Gone),
            sent = send => sent,
        }
    }

    async fn send_at_once(&self, bytes: Bytes, stream: OutputStream) -> Result<(), Gone> {
        self.flow.drained().await;
        self.flow.moved();
        let sent = match stream {
            OutputStream::Output => self.flow.link().send(&self.half, bytes).await,
            OutputStream::Error => self.half.extended_data_bytes(STANDARD_ERROR, bytes).await,
        };
        sent.map_err(|_| Gone)
    }

    async fn send_paced(
        &self,
        mut bytes: Bytes,
        rates: &UserRateLimits,
        stream: OutputStream,
    ) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(rates.piece()));
            let begun = Instant::now();
            rates.send(piece.len()).await;
            self.flow.link().waited(begun.elapsed());
            self.send_at_once(piece, stream).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client whose request comes just when its channel is read, and the end of its input right behind.
    struct Hasty(Option<oneshot::Sender<u8>>);

    impl ChannelInput for Hasty {
        async fn next(&mut self) -> Arrival {
            if let Some(start) = self.0.take() {
                start.send(7).unwrap();
            }
            Arrival::Eof
        }
    }

    #[tokio::test]
    async fn data_after_a_request_is_not_processed_before_it() {
        let (start, receiver) = oneshot::channel();
        let begun = started(receiver, &mut Hasty(Some(start))).await;
        assert_eq!(begun, Some((7, Some(Arrival::Eof))));
        // Without a request, the event is taken, and no service can be started afterwards.
        let (_start, receiver) = oneshot::channel::<u8>();
        assert_eq!(started(receiver, &mut Hasty(None)).await, None);
    }
}
