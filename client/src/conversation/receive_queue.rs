//! The receive queue: frames that arrived while the client was sending.

use super::ConversationError;
use sshome_wire::Frame;
use std::collections::VecDeque;

/// Cap on queued bytes: several SSH windows. A server that sends more without reading is in error.
const MAX_QUEUED_BYTES: u64 = 64 << 20;

/// Frames that arrived during a send, oldest first.
#[derive(Debug, Default)]
pub(super) struct ReceiveQueue {
    /// Each with its bytes on the wire.
    frames: VecDeque<(Frame, u64)>,
    bytes: u64,
}

impl ReceiveQueue {
    /// Queues a frame that took `bytes` on the wire.
    ///
    /// # Errors
    /// `Protocol` if the queue is full.
    pub(super) fn push(&mut self, frame: Frame, bytes: u64) -> Result<(), ConversationError> {
        // Newer progress replaces older progress.
        if matches!(frame, Frame::Progress(_)) {
            return Ok(());
        }
        let queued = self.bytes.saturating_add(bytes);
        if queued > MAX_QUEUED_BYTES {
            return Err(ConversationError::Protocol("it sends endlessly and receives nothing".into()));
        }
        self.bytes = queued;
        self.frames.push_back((frame, bytes));
        Ok(())
    }

    /// The oldest frame.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let (frame, bytes) = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{Progress, Reply, Status};

    #[test]
    fn a_queue_that_is_never_empty_may_carry_any_number_of_bytes() {
        let mut receive_queue = ReceiveQueue::default();
        let reply = || Frame::Reply(Reply::new(Status::Done, ""));
        receive_queue.push(reply(), 1).unwrap();
        for _ in 0..10 {
            receive_queue.push(reply(), MAX_QUEUED_BYTES - 1).unwrap();
            assert_eq!(receive_queue.pop(), Some(reply()));
            receive_queue.push(reply(), 1).unwrap();
            assert_eq!(receive_queue.pop(), Some(reply()));
        }
    }

    #[test]
    fn progress_is_dropped_and_the_rest_is_bounded() {
        let mut receive_queue = ReceiveQueue::default();
        for _ in 0..100 {
            receive_queue.push(Frame::Progress(Progress { done: 1, total: 2 }), MAX_QUEUED_BYTES).unwrap();
        }
        assert!(receive_queue.is_empty());
        let reply = || Frame::Reply(Reply::new(Status::Done, ""));
        receive_queue.push(reply(), MAX_QUEUED_BYTES / 2).unwrap();
        receive_queue.push(reply(), MAX_QUEUED_BYTES / 2).unwrap();
        assert!(matches!(receive_queue.push(reply(), 1), Err(ConversationError::Protocol(_))));
        while receive_queue.pop().is_some() {}
        receive_queue.push(reply(), MAX_QUEUED_BYTES).unwrap();
        assert_eq!(receive_queue.pop(), Some(reply()));
    }
}
