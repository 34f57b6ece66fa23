//! The conversation as the channel loop drives it.

use super::{MAX_INLINE_FRAMES, NativeConversation, ReceiveState, SLICE_OUTPUT_BYTES, cost};
use crate::metrics::TransferDirection;
use crate::protocol::ChannelEnd;
use crate::protocol::channel_loop::{ChannelProtocol, OutputChunk, SliceOutcome};
use bytes::Bytes;
use sshome_store::Wait;
use sshome_wire::Frame;

impl ChannelProtocol for NativeConversation {
    fn push(&mut self, chunks: Vec<Bytes>) {
        chunks.into_iter().for_each(|chunk| self.decoder.push(chunk));
    }

    fn pending_bytes(&self) -> usize {
        self.queued + self.left.as_ref().map_or(0, cost) + self.decoder.buffered()
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        self.user.audit().metrics().saved(TransferDirection::Download, self.output.take_saved());
        self.output.take().into_iter().map(OutputChunk::Output).collect()
    }

    fn end_wait(&mut self, wait: &Wait) {
        self.user.end_wait(wait);
    }

    fn limit_output(&mut self, bytes: Option<usize>) {
        self.max_output = bytes.unwrap_or(SLICE_OUTPUT_BYTES);
    }

    fn is_under_way(&self) -> bool {
        self.is_receiving()
    }

    /// Writes data of the current upload. Everything else may take long.
    fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
        let _guard = self.user.audit().enter();
        let is_data = match &self.receiving {
            ReceiveState::Upload(upload) => !upload.is_stream(),
            ReceiveState::Blocks(_) => true,
            _ => false,
        };
        if !is_data || self.left.is_some() || !self.queue.is_empty() || !self.group.is_empty() {
            return None;
        }
        for _ in 0..MAX_INLINE_FRAMES {
            match self.decoder.next() {
                Ok(Some(Frame::Data(data))) => self.data(&data).ok()?,
                Ok(Some(frame)) => {
                    self.left = Some(frame);
                    return None;
                }
                Ok(None) => return Some(SliceOutcome::Idle),
                // The next slice finds the same error and reports it.
                Err(_) => return None,
            }
        }
        Some(SliceOutcome::Busy)
    }

    fn run_slice(&mut self, quiet: bool) -> SliceOutcome {
        let _guard = self.user.audit().enter();
        if let Err(reply) = self.decode().and_then(|()| self.work()) {
            tracing::warn!(user = self.user.name(), %reply, "the client breaks the protocol");
            self.publish();
            self.output.reply(reply);
            return SliceOutcome::Ended(ChannelEnd::Violation);
        }
        if quiet || self.group.is_full() || self.waiting.is_some() {
            self.publish();
        }
        if let Some((wait, time)) = self.waiting.take() {
            return SliceOutcome::WaitFor(wait, time);
        }
        if self.job.is_none() && self.queue.is_empty() {
            self.user.may_wait_again();
        }
        match self.job.is_some() || !self.queue.is_empty() {
            true => SliceOutcome::Busy,
            false if self.group.is_empty() => SliceOutcome::Idle,
            false => SliceOutcome::Staged,
        }
    }
}
