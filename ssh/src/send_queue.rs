//! Output that the kernel has not accepted yet.

use bytes::{Buf, BytesMut};
use std::collections::VecDeque;

/// The memory of a piece, in bytes. The allocator caches megabytes per thread for larger buffers, and the queues of many
/// connections are filled and emptied on all threads.
const PIECE_BYTES: usize = 60 << 10;

/// The memory of a piece that begins with a small reply, in bytes.
const SMALL_PIECE_BYTES: usize = 4 << 10;

/// A queue of bytes. It keeps no memory while it is empty.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// None of them is empty.
    pieces: VecDeque<BytesMut>,
    bytes: usize,
}

impl SendQueue {
    /// The number of queued bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            let mut piece = match self.pieces.pop_back() {
                Some(last) if last.len() < last.capacity() => last,
                full => {
                    self.pieces.extend(full);
                    let is_small = bytes.len() < SMALL_PIECE_BYTES;
                    BytesMut::with_capacity(if is_small { SMALL_PIECE_BYTES } else { PIECE_BYTES })
                }
            };
            let (now, rest) = bytes.split_at(bytes.len().min(piece.capacity() - piece.len()));
            piece.extend_from_slice(now);
            self.pieces.push_back(piece);
            bytes = rest;
        }
    }

    /// The bytes at the front, as many as are in one piece. `None` if the queue is empty.
    #[must_use]
    pub fn front(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece[..])
    }

    /// Removes bytes of [`front`](Self::front), which have been sent.
    pub fn advance(&mut self, bytes: usize) {
        let Some(piece) = self.pieces.front_mut() else { return };
        let bytes = bytes.min(piece.len());
        piece.advance(bytes);
        self.bytes -= bytes;
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_in_which_they_came(
            steps in proptest::collection::vec((0..200_000usize, 0..100_000usize), 1..20),
        ) {
            let (mut queue, mut expected) = (SendQueue::default(), VecDeque::new());
            for (step, (pushed, sent)) in (0u8..).zip(steps) {
                let bytes: Vec<u8> = (0..pushed).map(|at| (at % 251) as u8 ^ step).collect();
                queue.push(&bytes);
                expected.extend(bytes);
                let front = queue.front().map(<[u8]>::to_vec).unwrap_or_default();
                prop_assert!(front.len() <= PIECE_BYTES && front.is_empty() == expected.is_empty());
                let sent = sent.min(front.len());
                let gone: Vec<u8> = expected.drain(..sent).collect();
                prop_assert_eq!(&front[..sent], &gone[..]);
                queue.advance(sent);
                prop_assert_eq!(queue.len(), expected.len());
            }
        }
    }

    #[test]
    fn an_empty_queue_keeps_no_memory() {
        let mut queue = SendQueue::default();
        queue.push(&[7; 3 * PIECE_BYTES]);
        for _ in 0..3 {
            queue.advance(PIECE_BYTES);
        }
        assert!(queue.is_empty() && queue.front().is_none() && queue.pieces.capacity() == 0);
    }

    #[test]
    fn many_small_replies_share_pieces() {
        let mut queue = SendQueue::default();
        for _ in 0..10_000 {
            queue.push(&[7; 30]);
        }
        assert_eq!(queue.pieces.len(), 300_000usize.div_ceil(SMALL_PIECE_BYTES));
    }
}
