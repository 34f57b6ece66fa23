//! The two directions of a conversation's channel: bytes out, frames in.

use super::decompression::Decompression;
use super::{ConversationError, IdleTimeout, LossReason};
use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sshome_ssh::LinkMeter;
use sshome_wire::display::Escaped;
use sshome_wire::{Decoder, Frame};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The largest number of messages, of at most 256 KiB, that wait to be sent.
const SEND_QUEUE_MESSAGES: usize = 4;

/// Receives frames. Nothing is read ahead: while nobody receives, the window fills up and the server waits, which is
/// the backpressure of a get.
pub(super) struct FrameReceiver {
    channel: ChannelReadHalf,
    decoder: Decoder,
    pub(super) decompression: Decompression,
    /// Bytes that arrived since [`taken`](Self::taken) was called.
    taken: u64,
    /// `None` waits forever.
    pub(super) idle_timeout: Option<IdleTimeout>,
    /// The server's text on the channel's error stream; it explains a loss.
    complaint: Vec<u8>,
    /// The reason for a loss.
    pub(super) loss: Option<LossReason>,
}

/// The longest text of the error stream that is kept, in bytes.
const MAX_STDERR_BYTES: usize = 1000;

impl FrameReceiver {
    pub(super) fn new(channel: ChannelReadHalf) -> FrameReceiver {
        let (decoder, complaint) = (Decoder::new(), Vec::new());
        let decompression = Decompression::default();
        FrameReceiver { channel, decoder, decompression, taken: 0, idle_timeout: None, complaint, loss: None }
    }

    /// The next frame. Compressed data is decompressed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Frame, ConversationError> {
        self.next_owed(true).await
    }

    /// The same. If the server does not owe a frame, there is no timeout.
    pub(super) async fn next_owed(&mut self, owed: bool) -> Result<Frame, ConversationError> {
        loop {
            if let Some(data) = self.decompression.finish().await? {
                return Ok(data);
            }
            match self.decoder.next()? {
                Some(Frame::CompressedData(data)) => match self.decompression.begin(data)? {
                    Some(data) => return Ok(data),
                    None => continue,
                },
                Some(frame) => return Ok(frame),
                None => {}
            }
            let message = match &self.idle_timeout {
                Some(idle_timeout) if owed => idle_timeout.wait(self.channel.wait()).await?,
                _ => self.channel.wait().await,
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    self.taken = self.taken.saturating_add(data.len() as u64);
                    self.decoder.push(data);
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => self.complain(&data),
                Some(ChannelMsg::Failure) => return Err(self.no_subsystem()),
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Err(self.lost().await),
                Some(_) => {}
            }
        }
    }

    /// A frame that has arrived; `None` if there is none yet.
    pub(super) async fn ready(&mut self) -> Result<Option<Frame>, ConversationError> {
        tokio::select! {
            biased;
            frame = self.next() => frame.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }

    /// The number of bytes that arrived since the last call, after decompression.
    pub(super) fn taken(&mut self) -> u64 {
        std::mem::take(&mut self.taken).saturating_add(self.decompression.grown())
    }

    fn complain(&mut self, data: &[u8]) {
        let room = MAX_STDERR_BYTES.saturating_sub(self.complaint.len());
        self.complaint.extend(data.iter().take(room));
    }

    /// The error of a channel that has ended.
    pub(super) async fn lost(&self) -> ConversationError {
        let reason = match &self.loss {
            Some(loss) => loss.known().await,
            None => None,
        };
        let reason = reason.unwrap_or_else(|| "the server closed the channel".into());
        ConversationError::Lost(match self.complaint.trim_ascii() {
            [] => reason,
            complaint => format!("{reason}, saying: {}", Escaped(complaint)),
        })
    }

    fn no_subsystem(&self) -> ConversationError {
        ConversationError::Lost("the server has no sshome subsystem; is it an sshomed?".into())
    }
}

/// Sends messages on its own task, so that receiving never waits for sending, and a message that was begun is sent
/// completely.
pub(super) struct FrameSender {
    queue: mpsc::Sender<Bytes>,
    task: JoinHandle<()>,
}

impl FrameSender {
    pub(super) fn new(channel: ChannelWriteHalf<Msg>, link: LinkMeter) -> FrameSender {
        let (queue, mut messages) = mpsc::channel::<Bytes>(SEND_QUEUE_MESSAGES);
        let task = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if link.send(&channel, message).await.is_err() {
                    break;
                }
            }
        });
        FrameSender { queue, task }
    }

    /// Waits for a place in the queue; `None` if nothing can be sent anymore. Cancel-safe.
    pub(super) async fn place(&self) -> Option<mpsc::Permit<'_, Bytes>> {
        self.queue.reserve().await.ok()
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        // It may wait for a window that a lost connection never opens.
        self.task.abort();
    }
}
