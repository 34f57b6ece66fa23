//! The replay buffer: stream data that the server has not acknowledged, for a resend after a reconnect.

use bytes::{Bytes, BytesMut};
use sshome_wire::BLOCK_BYTES;
use sshome_wire::frame::{HEADER_BYTES, data_head};
use std::collections::VecDeque;

/// Cap on buffered bytes: 16 MiB in flight and 16 MiB that the server has not yet acknowledged, so that the stream
/// does not stall.
const MAX_REPLAY_BYTES: u64 = 32 << 20;

/// Shorter chunks are merged: thousands of them would take more memory than their bytes.
const GATHER_BELOW_BYTES: usize = 32 << 10;

/// Cap on the bytes merged into one frame.
const MAX_GATHERED_BYTES: usize = 128 << 10;

/// Consecutive data frames. No frame crosses a block boundary.
#[derive(Debug, Default)]
pub(super) struct ReplayBuffer {
    begin: u64,
    end: u64,
    frames: VecDeque<Bytes>,
    /// Short chunks after them: a frame without its header.
    gathered: BytesMut,
}

impl ReplayBuffer {
    /// Stream offset of the first buffered byte; the server has acknowledged everything before it.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Stream offset of its end.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Number of buffered bytes.
    pub(super) fn length(&self) -> u64 {
        self.end - self.begin
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.length() < MAX_REPLAY_BYTES
    }

    /// Adds a frame of data.
    pub(super) fn push(&mut self, frame: &Bytes) {
        let data = frame.get(HEADER_BYTES..).unwrap_or_default();
        self.end += data.len() as u64;
        if data.len() >= GATHER_BELOW_BYTES {
            self.gather();
            self.frames.push_back(frame.clone());
            return;
        }
        if self.gathered.len() + data.len() > HEADER_BYTES + MAX_GATHERED_BYTES {
            self.gather();
        }
        if self.gathered.is_empty() {
            self.gathered.extend_from_slice(&[0; HEADER_BYTES]);
        }
        self.gathered.extend_from_slice(data);
        if self.end.is_multiple_of(BLOCK_BYTES) {
            self.gather();
        }
    }

    /// Discards everything before `offset`, which is a block boundary.
    pub(super) fn release(&mut self, offset: u64) {
        while self.begin < offset {
            let Some(frame) = self.frames.pop_front() else { break };
            self.begin += frame.len().saturating_sub(HEADER_BYTES) as u64;
        }
    }

    /// The buffered data as frames.
    pub(super) fn frames(&mut self) -> Vec<Bytes> {
        self.gather();
        self.frames.iter().cloned().collect()
    }

    fn gather(&mut self) {
        let length = self.gathered.len().saturating_sub(HEADER_BYTES);
        if length > 0 {
            let mut frame = std::mem::take(&mut self.gathered);
            if let Some(head) = frame.first_chunk_mut::<HEADER_BYTES>() {
                *head = data_head(u32::try_from(length).unwrap_or(0));
            }
            self.frames.push_back(frame.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{Decoder, Frame};

    fn frame(data: &[u8]) -> Bytes {
        [&data_head(data.len() as u32)[..], data].concat().into()
    }

    fn content(frames: Vec<Bytes>) -> Vec<u8> {
        let mut decoder = Decoder::new();
        frames.into_iter().for_each(|frame| decoder.push(frame));
        let mut content = Vec::new();
        while let Some(frame) = decoder.next().unwrap() {
            let Frame::Data(data) = frame else { panic!("{frame:?}") };
            content.extend_from_slice(&data);
        }
        assert!(decoder.at_boundary());
        content
    }

    #[test]
    fn pieces_of_all_sizes_are_replayed() {
        let block = BLOCK_BYTES as usize;
        let stream: Vec<u8> = (0..2 * block + 5).map(|at| (at * 31 % 251) as u8).collect();
        let mut replay = ReplayBuffer::default();
        let mut at = 0;
        for size in [1, 7, GATHER_BELOW_BYTES - 1, GATHER_BELOW_BYTES, 200_000].into_iter().cycle() {
            let size = size.min(block - at % block).min(stream.len() - at);
            if size == 0 {
                break;
            }
            replay.push(&frame(&stream[at..at + size]));
            at += size;
        }
        assert!(content(replay.frames()) == stream);
        replay.release(BLOCK_BYTES);
        assert_eq!((replay.begin(), replay.length()), (BLOCK_BYTES, BLOCK_BYTES + 5));
        assert!(content(replay.frames()) == stream[block..]);
        replay.release(2 * BLOCK_BYTES);
        assert!(content(replay.frames()) == stream[2 * block..]);
    }

    #[test]
    fn many_short_pieces_take_little_more_than_their_bytes() {
        let mut replay = ReplayBuffer::default();
        let mut pieces = 0;
        while replay.has_room() {
            replay.push(&frame(&[7; 20]));
            pieces += 1;
        }
        assert_eq!(pieces, MAX_REPLAY_BYTES.div_ceil(20));
        assert!(replay.frames().len() <= MAX_REPLAY_BYTES as usize / (MAX_GATHERED_BYTES - 20) + 8);
    }
}
