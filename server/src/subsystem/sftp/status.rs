//! The status that each error becomes.

use crate::home;
use crate::operations::Error;
use rustix::io::Errno;
use sshome_wire::sftp::{Flaw, Response, StatusCode};
use sshome_wire::{PathError, Status};
use std::fmt;

/// What a request is answered with that is not done.
#[derive(Debug)]
pub(super) struct SftpError {
    code: StatusCode,
    /// What the code does not say; empty where that is all.
    text: String,
}

impl SftpError {
    pub(super) fn new(code: StatusCode, text: impl Into<String>) -> SftpError {
        SftpError { code, text: text.into() }
    }

    /// There is no more of a file or of a directory.
    pub(super) fn end() -> SftpError {
        SftpError::new(StatusCode::Eof, "")
    }

    pub(super) fn response(&self) -> Response {
        Response::Status { code: self.code, message: self.to_string().into() }
    }
}

impl fmt::Display for SftpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Programs look for the words of OpenSSH's server, and find them first.
        f.write_str(self.code.words())?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl From<Error> for SftpError {
    fn from(error: Error) -> SftpError {
        let code = code(&error);
        let text = match (error.status(), code) {
            // Its words say no more than the code's.
            (Status::Failed, _)
            | (Status::NoSuchFile, StatusCode::NoSuchFile)
            | (Status::PermissionDenied, StatusCode::PermissionDenied) => error.to_string(),
            // Clients show the text, and version 3 has no code for most of them.
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

/// The most precise code that there is; for the kernel's errors that which OpenSSH gives, since its
/// clients tell them apart by it.
fn code(error: &Error) -> StatusCode {
    if let Error::Disk { error: home::Error::Os(errno), .. } = error.cause() {
        match *errno {
            Errno::NOTDIR | Errno::LOOP => return StatusCode::NoSuchFile,
            Errno::NAMETOOLONG | Errno::INVAL => return StatusCode::BadMessage,
            Errno::BADF => return StatusCode::PermissionDenied,
            Errno::OPNOTSUPP => return StatusCode::OpUnsupported,
            _ => {}
        }
    }
    match error.status() {
        Status::NoSuchFile | Status::NoSuchDirectory => StatusCode::NoSuchFile,
        Status::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}
