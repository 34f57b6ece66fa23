//! An SSH channel as a subsystem sees it: bytes in, bytes out.

use super::socket::Backlog;
use crate::subsystem::{Arrival, Gone, Incoming, Outgoing};
use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the client sends.
pub(super) struct Reader(pub(super) ChannelReadHalf);

impl Incoming for Reader {
    async fn next(&mut self) -> Arrival {
        loop {
            match self.0.wait().await {
                Some(ChannelMsg::Data { data }) => return Arrival::Data(data),
                Some(ChannelMsg::Eof) => return Arrival::Eof,
                Some(ChannelMsg::Close) | None => return Arrival::Gone,
                Some(_) => {}
            }
        }
    }
}

/// What we send, paced: see [`super::socket`].
pub(super) struct Writer {
    pub(super) half: Arc<ChannelWriteHalf<Msg>>,
    pub(super) backlog: Arc<Backlog>,
    /// Cancelled with the connection. Neither the backlog nor russh's window wakes a sender then.
    pub(super) cut: CancellationToken,
}

/// The number of the standard error among the kinds of extended data (RFC 4254, section 5.2).
const STANDARD_ERROR: u32 = 1;

impl Outgoing for Writer {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.paced(self.half.data_bytes(bytes)).await
    }

    async fn send_error(&self, bytes: Bytes) -> Result<(), Gone> {
        self.paced(self.half.extended_data_bytes(STANDARD_ERROR, bytes)).await
    }

    fn is_closed(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Writer {
    async fn paced(&self, sent: impl Future<Output = Result<(), russh::Error>>) -> Result<(), Gone> {
        let send = async {
            self.backlog.low().await;
            sent.await.map_err(|_| Gone)
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(Gone),
            sent = send => sent,
        }
    }
}
