//! The thread that reads the blocks which a connection sends or compares.

use super::rights::TakenBlocks;
use crate::transfer::put::reader::ReceiverGone;
use crate::transfer::{Failure, ProgressDisplay};
use bytes::Bytes;
use sshome_ssh::DataCompressor;
use sshome_wire::frame::{HEADER_BYTES, data_head};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The size of a read that is only compared, in bytes.
const CHECK_READ_BYTES: usize = 256 << 10;

/// A message to the sending task.
pub(super) enum BlockMessage {
    /// Blocks that are sent: `Piece`s and a `Last` or `Stopped` follow.
    First(Arc<TakenBlocks>),
    /// Bytes of them. The last piece of a block has its digest.
    Piece { bytes: Bytes, length: u64, digest: Option<Digest> },
    /// All were read.
    Last,
    /// They were not read to their end: they are no longer wanted, or the source failed.
    Stopped(Option<Failure>),
    /// Blocks were compared, or are no longer wanted, or the source failed.
    Checked(Arc<TakenBlocks>, Option<Failure>),
}

/// Reads blocks.
pub(super) struct BlockReader {
    pub(super) compressor: DataCompressor,
    /// The longest frame, counted from the kind on, in bytes.
    pub(super) max_frame: usize,
    pub(super) progress: ProgressDisplay,
    pub(super) out: mpsc::Sender<BlockMessage>,
}

/// Why blocks were not read to their end.
enum Interrupted {
    Unwanted,
    Failed(Failure),
    Gone,
}

impl From<ReceiverGone> for Interrupted {
    fn from(_: ReceiverGone) -> Interrupted {
        Interrupted::Gone
    }
}

impl BlockReader {
    /// Reads the blocks that are `wanted`, until either end of the queues is dropped.
    pub(super) fn read(mut self, mut wanted: mpsc::Receiver<Arc<TakenBlocks>>) {
        while let Some(taken) = wanted.blocking_recv() {
            // The receiver knows why it ended.
            let Ok(()) = self.read_taken(&taken) else { return };
        }
    }

    fn read_taken(&mut self, taken: &Arc<TakenBlocks>) -> Result<(), ReceiverGone> {
        let read = match taken.is_check {
            true => self.compare(taken),
            false => self.send_blocks(taken),
        };
        let failure = match read {
            Ok(()) if !taken.is_check => return self.send(BlockMessage::Last),
            Ok(()) | Err(Interrupted::Unwanted) => None,
            Err(Interrupted::Failed(failure)) => Some(failure),
            Err(Interrupted::Gone) => return Err(ReceiverGone),
        };
        self.send(match taken.is_check {
            true => BlockMessage::Checked(Arc::clone(taken), failure),
            false => BlockMessage::Stopped(failure),
        })
    }

    fn send_blocks(&mut self, taken: &Arc<TakenBlocks>) -> Result<(), Interrupted> {
        self.send(BlockMessage::First(Arc::clone(taken)))?;
        for block in taken.blocks.clone() {
            let (start, size) = (block as u64 * BLOCK_BYTES, taken.block_bytes(block));
            let (mut hasher, mut done) = (BlockHasher::at(block as u64), 0);
            while done < size {
                if !taken.is_wanted() {
                    return Err(Interrupted::Unwanted);
                }
                let piece = self.compressor.data_bytes().min(self.max_frame - 1);
                let length = piece.min(usize::try_from(size - done).unwrap_or(piece));
                let mut bytes = data_head(u32::try_from(length).unwrap_or(0)).to_vec();
                bytes.resize(HEADER_BYTES + length, 0);
                let data = bytes.get_mut(HEADER_BYTES..).unwrap_or_default();
                let read = taken.local.read_at(start + done, data);
                read.map_err(|error| failed(taken, &error))?;
                hasher.update(data);
                done += length as u64;
                let digest = if done == size { hasher.subtrees().first().copied() } else { None };
                let bytes = self.compressor.frame(bytes).into();
                self.send(BlockMessage::Piece { bytes, length: length as u64, digest })?;
            }
        }
        Ok(())
    }

    fn compare(&self, taken: &TakenBlocks) -> Result<(), Interrupted> {
        let compared = self.compare_each(taken);
        self.progress.end_check();
        compared
    }

    fn compare_each(&self, taken: &TakenBlocks) -> Result<(), Interrupted> {
        let (name, total) = (taken.file.to.file_name().unwrap_or_default(), taken.blocks.len() as u64);
        let mut buffer = vec![0; CHECK_READ_BYTES];
        for (block, number) in taken.blocks.clone().zip(0..) {
            if self.out.is_closed() {
                return Err(Interrupted::Gone);
            }
            if !taken.is_wanted() {
                return Err(Interrupted::Unwanted);
            }
            self.progress.check(name, number * BLOCK_BYTES, total * BLOCK_BYTES);
            let (start, size) = (block as u64 * BLOCK_BYTES, taken.block_bytes(block));
            let (mut hasher, mut done) = (BlockHasher::at(block as u64), 0);
            while done < size {
                let length = usize::try_from(size - done).unwrap_or(CHECK_READ_BYTES).min(CHECK_READ_BYTES);
                let data = buffer.get_mut(..length).unwrap_or_default();
                taken.local.read_at(start + done, data).map_err(|error| failed(taken, &error))?;
                hasher.update(data);
                done += length as u64;
            }
            if let Some(ours) = hasher.subtrees().first() {
                taken.compare(block, *ours);
            }
        }
        Ok(())
    }

    fn send(&self, message: BlockMessage) -> Result<(), ReceiverGone> {
        self.out.blocking_send(message).map_err(|_| ReceiverGone)
    }
}

fn failed(taken: &TakenBlocks, error: &io::Error) -> Interrupted {
    Interrupted::Failed(taken.local.failure(&taken.file.from, error))
}
