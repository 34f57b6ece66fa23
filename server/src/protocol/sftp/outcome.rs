//! The outcome of an SFTP request, and helpers of all handlers.

use super::job::SftpJob;
use super::status::SftpError;
use sshome_wire::RemotePath;
use sshome_wire::sftp::{Response, StatusCode};

/// The outcome of a request's first step.
pub(super) enum SftpOutcome {
    Response(Response),
    /// The reply was sent already.
    Sent,
    /// It takes long.
    Job(SftpJob),
}

pub(super) type SftpResult = Result<SftpOutcome, SftpError>;

/// Resolves a path of the client. There is no working directory: a relative path begins at the root of the home. An
/// empty path is an error, as for the kernel.
pub(super) fn at(path: &[u8]) -> Result<RemotePath, SftpError> {
    match path {
        b"" => Err(SftpError::new(StatusCode::NoSuchFile, "the path is empty; use . for the home")),
        path => Ok(RemotePath::root().join(path)?),
    }
}

/// The reply of a request that succeeded.
pub(super) fn done() -> SftpOutcome {
    let message = bytes::Bytes::from_static(StatusCode::Ok.words().as_bytes());
    SftpOutcome::Response(Response::Status { code: StatusCode::Ok, message })
}
