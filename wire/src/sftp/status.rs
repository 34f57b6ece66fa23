/// How a request ended, section 7: all codes of version 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StatusCode {
    /// It was done.
    Ok = 0,
    /// The end of a file's data or a directory's entries.
    Eof = 1,
    /// The file does not exist.
    NoSuchFile = 2,
    /// The user may not do this.
    PermissionDenied = 3,
    /// It failed, and no other code says why.
    Failure = 4,
    /// The packet is malformed or makes no sense.
    BadMessage = 5,
    /// Only within a client: it has no connection yet.
    NoConnection = 6,
    /// Only within a client: the connection is lost.
    ConnectionLost = 7,
    /// The server does not know this request.
    OpUnsupported = 8,
}

impl StatusCode {
    const ALL: [StatusCode; 9] = {
        use StatusCode::*;
        [
            Ok,
            Eof,
            NoSuchFile,
            PermissionDenied,
            Failure,
            BadMessage,
            NoConnection,
            ConnectionLost,
            OpUnsupported,
        ]
    };

    /// The message of OpenSSH's server.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            StatusCode::Ok => "Success",
            StatusCode::Eof => "End of file",
            StatusCode::NoSuchFile => "No such file",
            StatusCode::PermissionDenied => "Permission denied",
            StatusCode::Failure => "Failure",
            StatusCode::BadMessage => "Bad message",
            StatusCode::NoConnection => "No connection",
            StatusCode::ConnectionLost => "Connection lost",
            StatusCode::OpUnsupported => "Operation unsupported",
        }
    }

    /// The code of this number; [`StatusCode::Failure`] for one that version 3 does not have.
    #[must_use]
    pub fn of(number: u32) -> StatusCode {
        StatusCode::ALL.into_iter().find(|code| *code as u32 == number).unwrap_or(StatusCode::Failure)
    }
}
