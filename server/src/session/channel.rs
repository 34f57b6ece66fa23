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

impl Outgoing for Writer {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        let send = async {
            self.backlog.low().await;
            self.half.data_bytes(bytes).await.map_err(|_| Gone)
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => Err(Gone),
            sent = send => sent,
        }
    }

    fn is_closed(&self) -> bool {
        self.cut.is_cancelled()
    }
}
