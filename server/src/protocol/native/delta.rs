//! Delta downloads: the client describes its old version of a file, and gets copies in place of what that contains.

use super::output::{GET_STEP_BYTES, NativeOutput};
use crate::service::{Download, Error, StepLimit, User};
use sshome_delta::{ChunkKey, DeltaStep, DescriptionError, Encoder, Index};
use sshome_wire::frame::DATA_BYTES;
use sshome_wire::{Chunk, Frame};
use tokio::sync::OwnedSemaphorePermit;

/// The bytes of the file that one step reads at most: copies produce no output to speak of.
const STEP_BYTES: u64 = 16 << 20;

/// A description that is arriving, or has arrived. Of one user, only a few are in memory.
pub(super) struct HeldDescription {
    index: Index,
    /// `None` if the user has all that are allowed: the chunks are dropped, and the get is refused.
    permit: Option<OwnedSemaphorePermit>,
}

impl HeldDescription {
    pub(super) fn new(user: &User) -> HeldDescription {
        HeldDescription { index: Index::default(), permit: user.permits().description() }
    }

    /// Adds the next chunks.
    pub(super) fn extend(&mut self, chunks: &[Chunk]) -> Result<(), DescriptionError> {
        match self.permit {
            Some(_) => self.index.extend(chunks),
            None => Ok(()),
        }
    }

    /// The complete description.
    pub(super) fn into_index(self) -> Result<(Index, OwnedSemaphorePermit), Error> {
        Ok((self.index, self.permit.ok_or(Error::TooManyDescriptions)?))
    }
}

/// Encodes a file for a client that has an old version.
pub(super) struct DeltaEncoder {
    encoder: Encoder,
    _permit: Option<OwnedSemaphorePermit>,
}

impl DeltaEncoder {
    /// Without a description, everything is sent.
    pub(super) fn new(key: ChunkKey, description: Option<(Index, OwnedSemaphorePermit)>) -> DeltaEncoder {
        let (index, permit) =
            description.map_or((Index::default(), None), |(index, permit)| (index, Some(permit)));
        DeltaEncoder { encoder: Encoder::new(key, index), _permit: permit }
    }

    /// Reads on and encodes, until about `most` bytes of output or a step's share was read. Returns whether the file is
    /// at its end.
    pub(super) fn step(
        &mut self,
        file: &mut Download,
        output: &mut NativeOutput,
        most: usize,
    ) -> Result<bool, Error> {
        let full = output.len() + GET_STEP_BYTES.min(most);
        let (limit, start) = (StepLimit::bytes(STEP_BYTES), file.position());
        loop {
            let at_end = file.read(self.encoder.buffer())? == 0;
            while let Some(step) = self.encoder.next(at_end) {
                match step {
                    DeltaStep::Copy(range) => output.frame(&Frame::Copy(range)),
                    DeltaStep::Literal(bytes) => bytes.chunks(DATA_BYTES).for_each(|piece| {
                        let mut buffer = output.data_buffer(piece.len() as u64, most);
                        buffer.extend_from_slice(piece);
                        output.data(buffer);
                    }),
                }
            }
            if at_end {
                return Ok(true);
            }
            if output.len() >= full || limit.is_reached(file.position() - start) {
                return Ok(false);
            }
        }
    }
}
