//! Long-running SFTP requests. They work in steps; between two steps the end of the channel is noticed and other
//! sessions run.

use super::handles::SftpHandles;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use crate::service::{
    CopyData, DigestAlgorithm, DigestRange, FileDigest, OpenFile, OpenMode, StepLimit, User,
};
use bytes::Bytes;
use sshome_wire::sftp::{CheckFile, CheckedFile, StatusCode, Subject};

/// The data that one step processes, in bytes.
const STEP_BYTES: u64 = 32 << 20;

/// The smallest block size for check-file, in bytes: draft-ietf-secsh-filexfer-extensions-00 section 3.
const MIN_BLOCK_BYTES: u32 = 256;

/// A request in progress.
pub(super) enum SftpJob {
    Copy {
        from: Bytes,
        to: Bytes,
        copy: CopyData,
    },
    Check {
        file: CheckedSource,
        algorithm: DigestAlgorithm,
        named: bool,
        digest: FileDigest,
    },
    /// CLOSE of a staged file that lacks part of the content that stays.
    Close {
        file: Option<Box<OpenFile>>,
    },
}

/// The file of a check-file request.
pub(super) enum CheckedSource {
    Open(Bytes),
    Named(Box<OpenFile>),
}

impl CheckedSource {
    fn file<'a>(&'a self, handles: &'a SftpHandles) -> Result<&'a OpenFile, SftpError> {
        match self {
            CheckedSource::Open(handle) => handles.file(handle),
            CheckedSource::Named(file) => Ok(file),
        }
    }
}

impl SftpJob {
    /// `copy-data`: from a handle and an offset to another handle and offset.
    pub(super) fn copy(
        handles: &SftpHandles,
        (from, from_offset): (Bytes, u64),
        length: u64,
        (to, to_offset): (Bytes, u64),
    ) -> Result<SftpJob, SftpError> {
        let (source, target) = (handles.file(&from)?, handles.file(&to)?);
        let copy = CopyData::begin(source, from_offset, length, target, to_offset)?;
        Ok(SftpJob::Copy { from, to, copy })
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
            Subject::Handle(handle) | Subject::HandleNamed(handle) => CheckedSource::Open(handle.clone()),
            Subject::Path(path) => {
                let path = at(path)?;
                CheckedSource::Named(Box::new(OpenFile::open(user, &path, OpenMode::READ_ONLY)?))
            }
        };
        let range =
            DigestRange { offset: check.offset, length: check.length, block: check.block_size.into() };
        let digest = FileDigest::begin(file.file(handles)?, algorithm, range)?;
        Ok(SftpJob::Check { file, algorithm, named, digest })
    }

    /// CLOSE of a file. Its handle is already invalid.
    pub(super) fn close(file: OpenFile) -> SftpJob {
        SftpJob::Close { file: Some(Box::new(file)) }
    }

    /// Does one step. `None` until the request is done. No other request uses the handles meanwhile.
    pub(super) fn step(&mut self, user: &User, handles: &SftpHandles) -> Option<SftpResult> {
        match self {
            SftpJob::Close { file } => {
                if matches!(file.as_ref()?.prepare_close(StepLimit::bytes(STEP_BYTES)), Ok(false)) {
                    return None;
                }
                let closed = file.take()?.finish(user);
                Some(closed.map(|()| done()).map_err(SftpError::from))
            }
            SftpJob::Copy { from, to, copy } => {
                let step = |copy: &mut CopyData| {
                    Ok::<_, SftpError>(copy.step(
                        handles.file(from)?,
                        handles.file(to)?,
                        StepLimit::bytes(STEP_BYTES),
                    )?)
                };
                step(copy).map(|copied| copied.map(|_| done())).transpose()
            }
            SftpJob::Check { file, algorithm, named, digest } => {
                let step = |digest: &mut FileDigest| {
                    Ok::<_, SftpError>(digest.step(file.file(handles)?, StepLimit::bytes(STEP_BYTES))?)
                };
                let answer = |digests: Vec<u8>| {
                    let algorithm = Bytes::from_static(algorithm.name().as_bytes());
                    SftpOutcome::Response(CheckedFile { algorithm, digests: digests.into() }.response(*named))
                };
                step(digest).map(|digests| digests.map(answer)).transpose()
            }
        }
    }
}
