//! Checksum commands in the format of coreutils: `md5sum`, `sha256sum` and others.

use super::arguments::{Arguments, path};
use super::error::Result;
use super::task::{CommandIo, CommandTask, InputRead, TaskState, each};
use crate::service::{
    DigestAlgorithm, DigestRange, FileDigest, Hasher, OpenFile, OpenMode, STEP_BYTES, StepLimit, User,
};

/// The operand for standard input.
const STDIN_OPERAND: &[u8] = b"-";

/// Whether standard input is one of the operands.
pub(super) fn reads(arguments: &Arguments) -> bool {
    arguments.operands.is_empty() || arguments.operands.iter().any(|operand| operand == STDIN_OPERAND)
}

pub(super) fn begin(algorithm: DigestAlgorithm, mut arguments: Arguments) -> Result<Box<dyn CommandTask>> {
    let mut operands = std::mem::take(&mut arguments.operands);
    if operands.is_empty() {
        operands.push(STDIN_OPERAND.to_vec());
    }
    let binary = arguments.has("b");
    Ok(each(operands, move |user, _, operand| {
        let name = operand.to_vec();
        if operand == STDIN_OPERAND {
            return Ok(Some(Box::new(InputSumTask { hasher: Hasher::new(algorithm), binary })));
        }
        let file = OpenFile::open(user, &path(operand)?, OpenMode::READ_ONLY)?;
        let digest = FileDigest::begin(&file, algorithm, DigestRange::default())?;
        Ok(Some(Box::new(FileSumTask { file, digest, name, binary })))
    }))
}

struct FileSumTask {
    file: OpenFile,
    digest: FileDigest,
    name: Vec<u8>,
    binary: bool,
}

impl CommandTask for FileSumTask {
    fn run_slice(&mut self, _: &User, io: &mut CommandIo) -> Result<TaskState> {
        let Some(digest) = self.digest.step(&self.file, StepLimit::bytes(STEP_BYTES))? else {
            return Ok(TaskState::Busy);
        };
        let line = line(&digest, &self.name, self.binary);
        io.line(&io.name(&line));
        Ok(TaskState::Done(0))
    }
}

struct InputSumTask {
    hasher: Hasher,
    binary: bool,
}

impl CommandTask for InputSumTask {
    fn run_slice(&mut self, _: &User, io: &mut CommandIo) -> Result<TaskState> {
        let mut taken = 0;
        while taken < STEP_BYTES {
            match io.input.read(usize::MAX)? {
                InputRead::Bytes(data) => {
                    self.hasher.update(&data);
                    taken += data.len() as u64;
                }
                InputRead::Nothing => return Ok(TaskState::Waiting),
                InputRead::End => {
                    let mut digest = Vec::new();
                    self.hasher.finish_into(&mut digest);
                    io.line(&line(&digest, STDIN_OPERAND, self.binary));
                    return Ok(TaskState::Done(0));
                }
            }
        }
        Ok(TaskState::Busy)
    }
}

/// `DIGEST  NAME`. A name with a line break or backslash is escaped, and a backslash before the digest marks that.
fn line(digest: &[u8], name: &[u8], binary: bool) -> Vec<u8> {
    let mut line = Vec::new();
    if name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        line.push(b'\\');
    }
    line.extend(digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
    line.extend_from_slice(if binary { b" *" } else { b"  " });
    for byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_match_coreutils() {
        for (name, wanted) in [
            (&b"-"[..], &b"00ff  -"[..]),
            (b"a b", b"00ff  a b"),
            (b"new\nline", b"\\00ff  new\\nline"),
            (b"back\\slash\r", b"\\00ff  back\\\\slash\\r"),
            (b"\xff", b"00ff  \xff"),
        ] {
            assert_eq!(line(&[0, 255], name, false), wanted);
        }
        assert_eq!(line(&[1], b"f", true), b"01 *f");
    }
}
