//! An SSH channel as a subsystem sees it: bytes in, bytes out.

use super::rate::UserRates;
use super::socket::Backlog;
use crate::subsystem::{Gone, Incoming, Outgoing};
use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the client sends.
pub(super) struct Reader(pub(super) ChannelReadHalf);

impl Incoming for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.0.wait().await? {
                ChannelMsg::Data { data } => return Some(data),
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
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
            match self.backlog.rates() {
                Some(rates) => self.send_paced(bytes, rates).await,
                None => self.send_at_once(bytes).await,
            }
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

impl Writer {
    async fn send_at_once(&self, bytes: Bytes) -> Result<(), Gone> {
        self.backlog.low().await;
        self.backlog.moved();
        self.half.data_bytes(bytes).await.map_err(|_| Gone)
    }

    async fn send_paced(&self, mut bytes: Bytes, rates: &UserRates) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(rates.piece()));
            rates.send(piece.len()).await;
            self.send_at_once(piece).await?;
        }
        Ok(())
    }
}
