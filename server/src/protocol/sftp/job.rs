//! Long SFTP requests. They work in steps; between two of them the end of the channel is noticed and other sessions run.
//! No other request uses the handles meanwhile.

use super::handles::SftpHandles;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use crate::service::{
    CopyData, DigestAlgorithm, DigestRange, FileDigest, LongOperation, OpenFile, OpenMode, OperationResult,
    STEP_BYTES, StepLimit, User,
};
use bytes::Bytes;
use sshome_wire::sftp::{CheckFile, CheckedFile, StatusCode, Subject};
use std::sync::Arc;

/// The smallest block size for check-file, in bytes: draft-ietf-secsh-filexfer-extensions-00 section 3.
const MIN_BLOCK_BYTES: u32 = 256;

/// A request in progress.
pub(super) struct SftpJob {
    operation: Box<dyn LongOperation>,
    /// How digests are sent: the algorithm, and whether the reply has the extension's name.
    sent: Option<(DigestAlgorithm, bool)>,
}

impl SftpJob {
    fn of(operation: impl LongOperation + 'static) -> SftpJob {
        SftpJob { operation: Box::new(operation), sent: None }
    }

    /// Does one step. `None` until the request is done.
    pub(super) fn advance(&mut self, user: &User) -> Option<SftpResult> {
        let result = self.operation.advance(user).transpose()?;
        Some(result.map_err(SftpError::from).map(|result| match (result, self.sent) {
            (OperationResult::Digests(digests), Some((algorithm, named))) => {
                let algorithm = Bytes::from_static(algorithm.name().as_bytes());
                SftpOutcome::Response(CheckedFile { algorithm, digests: digests.into() }.response(named))
            }
            _ => done(),
        }))
    }
}

/// `copy-data`: from a handle and an offset to another handle and offset.
pub(super) fn copy(
    handles: &SftpHandles,
    (from, from_offset): (&[u8], u64),
    length: u64,
    (to, to_offset): (&[u8], u64),
) -> Result<SftpJob, SftpError> {
    let (source, target) = (Arc::clone(handles.file(from)?), Arc::clone(handles.file(to)?));
    let mut copy = CopyData::begin(&source, from_offset, length, &target, to_offset)?;
    Ok(SftpJob::of(move |_: &User| {
        Ok(copy.step(&source, &target, StepLimit::bytes(STEP_BYTES))?.map(|_| OperationResult::Done))
    }))
}

/// `check-file`.
pub(super) fn check(user: &User, handles: &SftpHandles, check: &CheckFile) -> Result<SftpJob, SftpError> {
    if (1..MIN_BLOCK_BYTES).contains(&check.block_size) {
        let text = format!("a block has at least {MIN_BLOCK_BYTES} bytes");
        return Err(SftpError::new(StatusCode::BadMessage, text));
    }
    let mut wanted = check.algorithms.split(|byte| *byte == b',');
    let algorithm = wanted.find_map(DigestAlgorithm::by_name).ok_or_else(|| {
        let known = DigestAlgorithm::ALL.map(DigestAlgorithm::name).join(", ");
        SftpError::new(StatusCode::OpUnsupported, format!("no such algorithm; there are {known}"))
    })?;
    let named = matches!(check.subject, Subject::HandleNamed(_));
    let file = match &check.subject {
        Subject::Handle(handle) | Subject::HandleNamed(handle) => Arc::clone(handles.file(handle)?),
        Subject::Path(path) => Arc::new(OpenFile::open(user, &at(path)?, OpenMode::READ_ONLY)?),
    };
    let range = DigestRange { offset: check.offset, length: check.length, block: check.block_size.into() };
    let mut digest = FileDigest::begin(&file, algorithm, range)?;
    let job = SftpJob::of(move |_: &User| {
        Ok(digest.step(&file, StepLimit::bytes(STEP_BYTES))?.map(OperationResult::Digests))
    });
    Ok(SftpJob { sent: Some((algorithm, named)), ..job })
}

/// CLOSE of a staged file, which may lack part of the content that stays. Its handle is already invalid.
pub(super) fn close(file: OpenFile) -> SftpJob {
    let mut file = Some(file);
    SftpJob::of(move |user: &User| {
        let closed =
            file.take_if(|file| !matches!(file.prepare_close(StepLimit::bytes(STEP_BYTES)), Ok(false)));
        closed.map(|file| file.finish(user).map(|()| OperationResult::Done)).transpose()
    })
}
