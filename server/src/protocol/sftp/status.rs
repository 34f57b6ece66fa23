//! The SFTP status code and text of each error.

use crate::service::Error;
use sshome_store::Cause;
use sshome_wire::sftp::{Flaw, Response, StatusCode};
use sshome_wire::{PathError, Status};
use std::fmt;

/// The error of an SFTP request.
#[derive(Debug)]
pub(super) struct SftpError {
    code: StatusCode,
    /// Details that the code does not express. May be empty.
    text: String,
}

impl SftpError {
    pub(super) fn new(code: StatusCode, text: impl Into<String>) -> SftpError {
        SftpError { code, text: text.into() }
    }

    /// The end of a file or of a directory.
    pub(super) fn end() -> SftpError {
        SftpError::new(StatusCode::Eof, "")
    }

    pub(super) fn response(&self) -> Response {
        Response::Status { code: self.code, message: self.to_string().into() }
    }
}

impl fmt::Display for SftpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Programs match the words of OpenSSH's server, so these come first.
        f.write_str(self.code.words())?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl From<Error> for SftpError {
    fn from(error: Error) -> SftpError {
        let code = code(&error);
        let text = match (error.status(), code) {
            // The status adds nothing to the code.
            (Status::Failed, _)
            | (Status::NoSuchFile, StatusCode::NoSuchFile)
            | (Status::PermissionDenied, StatusCode::PermissionDenied) => error.to_string(),
            // Clients show the text, and SFTP 3 has no code for most statuses.
            _ => error.message(),
        };
        SftpError { code, text }
    }
}

impl From<PathError> for SftpError {
    fn from(error: PathError) -> SftpError {
        SftpError::new(StatusCode::BadMessage, error.to_string())
    }
}

impl From<Flaw> for SftpError {
    fn from(flaw: Flaw) -> SftpError {
        let code = match flaw {
            Flaw::UnknownKind => StatusCode::OpUnsupported,
            _ => StatusCode::BadMessage,
        };
        SftpError::new(code, flaw.to_string())
    }
}

/// The most precise SFTP code. Errors of the kernel get the same code as in OpenSSH, because clients depend on it.
fn code(error: &Error) -> StatusCode {
    match error.cause() {
        Some(Cause::NotDirectory | Cause::TooManyLinks) => return StatusCode::NoSuchFile,
        Some(Cause::NameTooLong | Cause::Invalid) => return StatusCode::BadMessage,
        Some(Cause::NotOpenForThis) => return StatusCode::PermissionDenied,
        Some(Cause::Unsupported) => return StatusCode::OpUnsupported,
        _ => {}
    }
    match error.status() {
        Status::NoSuchFile | Status::NoSuchDirectory => StatusCode::NoSuchFile,
        Status::PermissionDenied | Status::Protected => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}
