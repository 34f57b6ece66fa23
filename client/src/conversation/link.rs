//! The two directions of a conversation's channel: bytes out, frames in.

use super::{ConversationError, IdleTimeout, LossReason};
use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sshome_wire::display::Escaped;
use sshome_wire::{Decoder, Frame};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many messages, of 256 KiB at most, may wait to be sent.
const SEND_QUEUE_MESSAGES: usize = 4;

/// Frames as they come in. Nothing is read ahead: while nobody asks, the connection fills up and
/// the server waits, which is the back-pressure of a get.
pub(super) struct FrameReceiver {
    channel: ChannelReadHalf,
    decoder: Decoder,
    /// Bytes that came since somebody asked how many.
    taken: u64,
    /// None waits for ever.
    pub(super) idle_timeout: Option<IdleTimeout>,
    /// What the server said on the channel's error stream; it explains a loss.
    complaint: Vec<u8>,
    /// Where the reason for a loss is noted.
    pub(super) loss: Option<LossReason>,
}

/// The longest complaint that is kept, in bytes.
const MAX_STDERR_BYTES: usize = 1000;

impl FrameReceiver {
    pub(super) fn new(channel: ChannelReadHalf) -> FrameReceiver {
        let (decoder, complaint) = (Decoder::new(), Vec::new());
        FrameReceiver { channel, decoder, taken: 0, idle_timeout: None, complaint, loss: None }
    }

    /// The next frame. A caller that stops waiting loses nothing.
    pub(super) async fn next(&mut self) -> Result<Frame, ConversationError> {
        self.next_owed(true).await
    }

    /// The same; where the server does not owe a frame, it is waited for without end.
    pub(super) async fn next_owed(&mut self, owed: bool) -> Result<Frame, ConversationError> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(frame);
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

    /// A frame that is here already; none rather than waiting.
    pub(super) async fn ready(&mut self) -> Result<Option<Frame>, ConversationError> {
        tokio::select! {
            biased;
            frame = self.next() => frame.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }

    /// How many bytes have come since this was last asked.
    pub(super) fn taken(&mut self) -> u64 {
        std::mem::take(&mut self.taken)
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

/// Bytes on their way out. A task of its own sends them, so that reading never waits for writing
/// and a message that was begun is sent to its end.
pub(super) struct FrameSender {
    queue: mpsc::Sender<Bytes>,
    task: JoinHandle<()>,
}

impl FrameSender {
    pub(super) fn new(channel: ChannelWriteHalf<Msg>) -> FrameSender {
        let (queue, mut messages) = mpsc::channel::<Bytes>(SEND_QUEUE_MESSAGES);
        let task = tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if channel.data_bytes(message).await.is_err() {
                    break;
                }
            }
        });
        FrameSender { queue, task }
    }

    /// Waits for a place in the queue; `None` if nothing can be sent any more. A caller that stops waiting has
    /// sent nothing.
    pub(super) async fn place(&self) -> Option<mpsc::Permit<'_, Bytes>> {
        self.queue.reserve().await.ok()
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        // It may be waiting for a window that a lost connection never opens.
        self.task.abort();
    }
}
