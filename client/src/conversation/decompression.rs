//! Decompresses data that arrives.

use super::ConversationError;
use sshome_ssh::{DecompressError, decompress};
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{COMPRESSED_HEAD_BYTES, CompressedData, Frame};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::{JoinHandle, spawn_blocking};

/// Up to this length, in bytes, decompressing takes less time than another thread takes to wake.
const MAX_INLINE_BYTES: usize = 32 << 10;

/// Turns compressed data into plain data, on another thread if that takes long.
#[derive(Default)]
pub(super) struct Decompression {
    /// The data that is being decompressed.
    work: Option<JoinHandle<Result<Vec<u8>, DecompressError>>>,
    /// Whether compressed data was agreed on.
    is_agreed: bool,
    /// Bytes that compression saved.
    saved: Arc<AtomicU64>,
    /// Bytes that data has more than what arrived for it.
    grown: u64,
}

impl Decompression {
    /// Decompression that was agreed on. It counts the bytes that compression saved.
    pub(super) fn agreed(saved: Arc<AtomicU64>) -> Decompression {
        Decompression { is_agreed: true, saved, ..Decompression::default() }
    }

    /// Begins to decompress data. [`finish`](Self::finish) returns it.
    pub(super) fn begin(&mut self, data: CompressedData) -> Result<Option<Frame>, ConversationError> {
        if !self.is_agreed {
            return Err(ConversationError::Protocol(
                "it sent compressed data, which was not agreed on".into(),
            ));
        }
        let (plain, arrived) = (HEADER_BYTES + data.length(), COMPRESSED_HEAD_BYTES + data.zstd().len());
        let saved = plain.saturating_sub(arrived) as u64;
        self.saved.fetch_add(saved, Ordering::Relaxed);
        self.grown = self.grown.saturating_add(saved);
        if data.length() <= MAX_INLINE_BYTES {
            return decompressed(decompress(&data)).map(Some);
        }
        self.work = Some(spawn_blocking(move || decompress(&data)));
        Ok(None)
    }

    /// The data that is being decompressed, if there is any. Cancel-safe.
    pub(super) async fn finish(&mut self) -> Result<Option<Frame>, ConversationError> {
        let Some(work) = &mut self.work else { return Ok(None) };
        let content = work.await;
        self.work = None;
        let failed =
            |error| ConversationError::Local(format!("a thread that decompresses has failed: {error}"));
        decompressed(content.map_err(failed)?).map(Some)
    }

    /// How many bytes data had more than what arrived for it, since the last call.
    pub(super) fn grown(&mut self) -> u64 {
        std::mem::take(&mut self.grown)
    }
}

fn decompressed(content: Result<Vec<u8>, DecompressError>) -> Result<Frame, ConversationError> {
    match content {
        Ok(content) => Ok(Frame::Data(content.into())),
        Err(error) => Err(ConversationError::Protocol(format!("it sent {error}"))),
    }
}
