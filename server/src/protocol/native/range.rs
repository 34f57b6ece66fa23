//! A range of a file, for a client that gets it over several connections.

use super::job::{JobAnswer, NativeJob};
use super::output::{GET_STEP_BYTES, NativeOutput};
use crate::service::{RangeDownload, Result, StepLimit, User};
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{Digest, End, Status};

/// The data that one step reads, in bytes. It is more than its output if it is compressed, or if only digests are sent.
const STEP_READ_BYTES: u64 = 4 << 20;

/// A range that is being sent.
pub(super) struct RangeJob {
    pub(super) file: RangeDownload,
    /// Whether the data are sent, not only their digests.
    pub(super) data: bool,
}

impl NativeJob for RangeJob {
    fn step(&mut self, _: &User, output: &mut NativeOutput, most: usize) -> Result<Option<JobAnswer>> {
        let full = output.len() + GET_STEP_BYTES.min(most);
        let (limit, start) = (StepLimit::bytes(STEP_READ_BYTES), self.file.left());
        while self.file.left() > 0 && output.len() < full && !limit.is_reached(start - self.file.left()) {
            let mut buffer = match self.data {
                true => output.data_buffer(self.file.left(), most),
                false => Vec::with_capacity(GET_STEP_BYTES),
            };
            while self.file.read(&mut buffer)? > 0 {}
            if self.data && buffer.len() > HEADER_BYTES {
                output.data(buffer);
            }
            output.blocks(&self.file.take_digests());
        }
        if self.file.left() > 0 {
            return Ok(None);
        }
        let size = self.file.finish()?;
        // The digest of the whole file is in the header, if it is known.
        output.end(End { status: Status::Done, message: String::new(), digest: Digest([0; 32]), size });
        Ok(Some(JobAnswer::Sent))
    }
}
