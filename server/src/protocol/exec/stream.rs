//! Transfers over standard streams: `get` to standard output, `put` from standard input.

use super::arguments::{Arguments, path};
use super::error::{Error, Result};
use super::task::{CommandIo, CommandTask, InputRead, TaskState, each};
use crate::metrics::TransferDirection;
use crate::service::{self, Download, PutUpload, User};
use sshome_store::NEW_FILE_MODE;
use sshome_wire::{Digest, RemotePath};

/// The size of a read from the disk, in bytes.
const READ_BYTES: usize = 256 << 10;

/// The input after which a slice ends, in bytes.
const SLICE_INPUT_BYTES: usize = 4 << 20;

pub(super) fn get(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    Ok(each(arguments.operands, |user, _, operand| {
        let file = Download::begin(user, &path(operand)?)?;
        Ok(Some(Box::new(GetTask(file))))
    }))
}

/// Sends a file.
struct GetTask(Download);

impl CommandTask for GetTask {
    fn run_slice(&mut self, _: &User, io: &mut CommandIo) -> Result<TaskState> {
        while !io.is_full() {
            let Some(data) = next_chunk(&mut self.0)? else {
                self.0.finish()?;
                return Ok(TaskState::Done(0));
            };
            io.data(data);
        }
        Ok(TaskState::Busy)
    }
}

/// The next bytes of a file. `None` at its end.
pub(super) fn next_chunk(file: &mut Download) -> Result<Option<Vec<u8>>> {
    let left = usize::try_from(file.size() - file.position()).unwrap_or(READ_BYTES);
    let mut buffer = Vec::with_capacity(left.min(READ_BYTES));
    while file.read(&mut buffer)? > 0 {}
    Ok((!buffer.is_empty()).then_some(buffer))
}

pub(super) fn put(arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let size = arguments.value("size").map(number).transpose()?;
    let digest = arguments.value("b3").map(hexadecimal).transpose()?;
    let operand = arguments.operands.first().map(Vec::as_slice).unwrap_or_default();
    let path = path(operand)?;
    Ok(Box::new(PutTask { path, size, digest, upload: None }))
}

/// Receives a file. It is published only after EOF.
struct PutTask {
    path: RemotePath,
    size: Option<u64>,
    digest: Option<Digest>,
    upload: Option<PutUpload>,
}

impl CommandTask for PutTask {
    fn run_slice(&mut self, user: &User, io: &mut CommandIo) -> Result<TaskState> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(begin(user, &self.path, self.size)?),
        };
        let mut taken = 0;
        while taken < SLICE_INPUT_BYTES {
            match io.input.read(SLICE_INPUT_BYTES)? {
                InputRead::Bytes(data) => {
                    upload.write(&data)?;
                    taken += data.len();
                }
                InputRead::Nothing => return Ok(TaskState::Waiting),
                InputRead::End => {
                    let Some(upload) = self.upload.take() else { return Ok(TaskState::Done(0)) };
                    publish(user, upload, self.digest)?;
                    return Ok(TaskState::Done(0));
                }
            }
        }
        Ok(TaskState::Busy)
    }
}

fn begin(user: &User, path: &RemotePath, size: Option<u64>) -> Result<PutUpload> {
    Ok(PutUpload::begin_new(user, path, size, NEW_FILE_MODE, TransferDirection::Upload)?)
}

/// Publishes a complete upload.
pub(super) fn publish(user: &User, upload: PutUpload, digest: Option<Digest>) -> Result<()> {
    let placement = upload.finish_at_eof(digest)?;
    let (placed, synced) = service::publish(user, vec![placement], Vec::new());
    for result in placed.into_iter().chain([synced]) {
        result?;
    }
    Ok(())
}

fn number(text: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(Error::Value { what: "--size", wanted: "a number of bytes" })
}

/// A digest of 64 hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Result<Digest> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut digest = Digest([0; 32]);
    let wrong = || Error::Value { what: "--b3", wanted: "a BLAKE3 of 64 hexadecimal digits" };
    if text.len() != 2 * digest.0.len() {
        return Err(wrong());
    }
    for (byte, pair) in digest.0.iter_mut().zip(text.chunks_exact(2)) {
        let value = pair.iter().try_fold(0, |value, byte| Some(value * 16 + digit(*byte)?));
        *byte = value.and_then(|value| u8::try_from(value).ok()).ok_or_else(wrong)?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_are_parsed() {
        let digest = Digest(*blake3::hash(b"x").as_bytes());
        assert_eq!(hexadecimal(digest.to_string().as_bytes()).unwrap(), digest);
        assert_eq!(hexadecimal(digest.to_string().to_uppercase().as_bytes()).unwrap(), digest);
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"+0".repeat(32), &"g0".repeat(32)] {
            assert!(hexadecimal(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(number(b"0").unwrap(), 0);
        for text in ["", "-1", "1k", "99999999999999999999"] {
            assert!(number(text.as_bytes()).is_err(), "{text}");
        }
    }
}
