//! The frames of a put: data, and what ends them.

use super::conversation::{NativeConversation, ReceiveState, violation};
use super::publish_group::refusal;
use crate::metrics::TransferDirection;
use crate::service;
use sshome_ssh::decompress;
use sshome_wire::{CompressedData, CopyRange, End, Features, Frame, Reply, Status, Stored};

impl NativeConversation {
    pub(super) fn data(&mut self, data: &[u8]) -> Result<(), Reply> {
        match &mut self.receiving {
            ReceiveState::Nothing | ReceiveState::Announced(_) => Err(violation("data outside of a put")),
            ReceiveState::Refused => Ok(()),
            ReceiveState::Upload(upload) => {
                match upload.write(data) {
                    Ok(()) => {
                        if let Some(bytes) = upload.newly_stored() {
                            self.output.frame(&Frame::Stored(Stored { bytes }));
                        }
                    }
                    Err(error) => self.refuse_rest(&error),
                }
                Ok(())
            }
            ReceiveState::Blocks(run) => {
                let written = run.write(data);
                if let Some(bytes) = run.newly_stored() {
                    self.output.frame(&Frame::Stored(Stored { bytes }));
                }
                if let Err(error) = written {
                    self.refuse_rest(&error);
                }
                Ok(())
            }
        }
    }

    /// Copies a range of the described file.
    pub(super) fn copy_range(&mut self, range: CopyRange) -> Result<(), Reply> {
        match &mut self.receiving {
            ReceiveState::Nothing | ReceiveState::Announced(_) | ReceiveState::Blocks(_) => {
                Err(violation("a copy outside of a put"))
            }
            ReceiveState::Refused => Ok(()),
            ReceiveState::Upload(upload) => {
                if let Err(error) = upload.copy(range) {
                    self.refuse_rest(&error);
                }
                Ok(())
            }
        }
    }

    /// Data is decompressed when it is written: what waits takes no more memory than has arrived.
    pub(super) fn compressed_data(&mut self, data: &CompressedData) -> Result<(), Reply> {
        if !self.features.has(Features::COMPRESSION) {
            return Err(violation("compressed data from a client that did not announce it"));
        }
        if !matches!(self.receiving, ReceiveState::Upload(_) | ReceiveState::Blocks(_)) {
            return self.data(&[]);
        }
        let content = decompress(data).map_err(|error| violation(&error.to_string()))?;
        let saved = content.len().saturating_sub(data.zstd().len()) as u64;
        self.user.audit().metrics().saved(TransferDirection::Upload, saved);
        self.data(&content)
    }

    pub(super) fn end(&mut self, end: &End) -> Result<(), Reply> {
        match std::mem::replace(&mut self.receiving, ReceiveState::Nothing) {
            ReceiveState::Nothing | ReceiveState::Announced(_) => {
                Err(violation("the end of data outside of a put"))
            }
            ReceiveState::Refused => Ok(()),
            ReceiveState::Blocks(run) => {
                match run.finish(end) {
                    Ok(()) => self.answer(Reply::new(Status::Done, "")),
                    Err(error) => self.answer(refusal(&error)),
                }
                Ok(())
            }
            ReceiveState::Upload(upload) => {
                let is_stream = upload.is_stream();
                match upload.finish(end) {
                    Ok(placement) => self.group.add(placement),
                    Err(error) => self.answer(refusal(&error)),
                }
                if is_stream {
                    // Publish now: if the connection breaks before the next slice, nobody could send a stream again.
                    self.publish();
                }
                Ok(())
            }
        }
    }

    pub(super) fn abort(&mut self) -> Result<(), Reply> {
        match std::mem::replace(&mut self.receiving, ReceiveState::Nothing) {
            ReceiveState::Nothing | ReceiveState::Announced(_) => Err(violation("an abort outside of a put")),
            ReceiveState::Refused => Ok(()),
            ReceiveState::Blocks(_) => {
                self.answer(Reply::new(Status::Cancelled, ""));
                Ok(())
            }
            ReceiveState::Upload(upload) => {
                upload.give_up();
                self.answer(Reply::new(Status::Cancelled, ""));
                Ok(())
            }
        }
    }

    /// Refuses the rest of a put. The reply is sent immediately, so that the client stops sending.
    fn refuse_rest(&mut self, error: &service::Error) {
        self.receiving = ReceiveState::Refused;
        self.answer(refusal(error));
        self.publish();
    }
}
