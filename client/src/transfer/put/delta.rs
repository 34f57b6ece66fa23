//! A file that is sent as the difference to the server's old version.

use super::message::UploadMessage;
use super::reader::{ReceiverGone, UploadReader};
use super::source::FileInPieces;
use bytes::BytesMut;
use sshome_delta::{DeltaStep, Encoder};
use sshome_wire::frame::{DATA_BYTES, HEADER_BYTES, data_head};
use sshome_wire::{Frame, RemotePath, Request, Status};
use std::io;

impl UploadReader {
    /// An encoder for the new version of a file, if the server has an old one and can describe it.
    pub(super) fn describe(&mut self, to: &RemotePath) -> Result<Option<Encoder>, ReceiverGone> {
        let key = rand::random();
        let answer = self.ask(Request::Describe { path: to.as_bytes().to_vec(), key })?;
        let has_any = answer.status == Status::Done && !answer.description.is_empty();
        Ok(has_any.then(|| Encoder::new(key, answer.description)))
    }

    /// Sends the rest of a file's bytes, or references to them.
    pub(super) fn send_delta(
        &mut self,
        file: &mut FileInPieces<'_>,
        mut encoder: Encoder,
    ) -> Result<io::Result<()>, ReceiverGone> {
        let piece = DATA_BYTES.min(self.manner.max_frame - 1);
        while self.is_wanted() {
            let buffer = encoder.buffer();
            let room = buffer.capacity() - buffer.len();
            let length = room.min(usize::try_from(file.left).unwrap_or(room));
            if let Err(error) = file.source.append(length, buffer, &mut file.hasher) {
                return Ok(Err(error));
            }
            file.left -= length as u64;
            while let Some(step) = encoder.next(file.left == 0) {
                match step {
                    DeltaStep::Copy(range) => {
                        file.matched += range.length;
                        let mut bytes = BytesMut::new();
                        // A frame of this size is always sendable.
                        let _ = Frame::Copy(range).encode(&mut bytes);
                        self.send(UploadMessage::Piece { bytes: bytes.freeze(), length: range.length })?;
                    }
                    DeltaStep::Literal(literal) => {
                        for piece in literal.chunks(piece) {
                            let mut bytes = Vec::with_capacity(HEADER_BYTES + piece.len());
                            bytes.extend_from_slice(&data_head(u32::try_from(piece.len()).unwrap_or(0)));
                            bytes.extend_from_slice(piece);
                            let (bytes, length) = (self.compressor.frame(bytes).into(), piece.len() as u64);
                            self.send(UploadMessage::Piece { bytes, length })?;
                        }
                    }
                }
            }
            if file.left == 0 {
                break;
            }
        }
        Ok(Ok(()))
    }
}
