//! The outcome of a request, and what all handlers of requests share.

use super::job::SftpJob;
use super::status::SftpError;
use sshome_wire::RemotePath;
use sshome_wire::sftp::{Response, StatusCode};

/// The outcome of a request's first step.
pub(super) enum SftpOutcome {
    Response(Response),
    /// It is answered: its data are put out already.
    Sent,
    /// It takes long.
    Job(Box<SftpJob>),
}

pub(super) type SftpResult = Result<SftpOutcome, SftpError>;

/// The path that a client means. There is no working directory: a relative path begins at the top. An empty one
/// is none, as for the kernel.
pub(super) fn at(path: &[u8]) -> Result<RemotePath, SftpError> {
    match path {
        b"" => Err(SftpError::new(StatusCode::NoSuchFile, "an empty path names nothing; . is the home")),
        path => Ok(RemotePath::root().join(path)?),
    }
}

/// The answer of what was done.
pub(super) fn done() -> SftpOutcome {
    let message = bytes::Bytes::from_static(StatusCode::Ok.words().as_bytes());
    SftpOutcome::Response(Response::Status { code: StatusCode::Ok, message })
}
