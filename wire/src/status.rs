//! The status of every reply.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The result of a request. Codes from 400 on are errors.
///
/// The numbers are part of the protocol and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum Status {
    /// 200: the login succeeded; the server's hello carries it.
    Authenticated,
    /// 201: the command was understood, and more follows.
    Understood,
    /// 202: the file exists.
    FileExists,
    /// 203: the directory exists already. An error, except to `mkdir -p` and `put -r`.
    DirectoryExists,
    /// 204: the command is done.
    Done,
    /// 205: there is enough space; begin.
    EnoughSpace,
    /// 206: there is a partial upload; continue after its matching blocks.
    Resuming,
    /// 400: the login was refused.
    AuthenticationFailed,
    /// 401: the command is unknown or malformed.
    BadCommand,
    /// 402: there is no such file.
    NoSuchFile,
    /// 403: there is no such directory.
    NoSuchDirectory,
    /// 404: the command failed for a reason that has no number of its own.
    Failed,
    /// 405: it would exceed the quota.
    QuotaExceeded,
    /// 406: permission denied.
    PermissionDenied,
    /// 407: the digest does not match; nothing was published.
    DigestMismatch,
    /// 408: a directory where a file is needed, or the reverse.
    WrongType,
    /// 409: busy, or a limit is reached.
    Busy,
    /// 410: the source changed while it was read.
    Changed,
    /// 411: cancelled.
    Cancelled,
    /// 412: the outcome is unknown: check before you repeat it.
    OutcomeUnknown,
    /// 413: the key of the login may add files, but not change what exists. For a client that announced
    /// [`Features::KEY_ACCESS`](crate::Features::KEY_ACCESS); others get 406.
    Protected,
}

/// One row per status: its number and its message.
const STATUS_TABLE: [(Status, u16, &str); 21] = [
    (Status::Authenticated, 200, "authenticated"),
    (Status::Understood, 201, "command understood"),
    (Status::FileExists, 202, "file exists"),
    (Status::DirectoryExists, 203, "directory exists already"),
    (Status::Done, 204, "done"),
    (Status::EnoughSpace, 205, "enough space"),
    (Status::Resuming, 206, "resuming"),
    (Status::AuthenticationFailed, 400, "authentication failed"),
    (Status::BadCommand, 401, "command unknown or malformed"),
    (Status::NoSuchFile, 402, "no such file"),
    (Status::NoSuchDirectory, 403, "no such directory"),
    (Status::Failed, 404, "command failed"),
    (Status::QuotaExceeded, 405, "quota exceeded"),
    (Status::PermissionDenied, 406, "permission denied"),
    (Status::DigestMismatch, 407, "digest mismatch"),
    (Status::WrongType, 408, "wrong type"),
    (Status::Busy, 409, "busy"),
    (Status::Changed, 410, "changed while it was read"),
    (Status::Cancelled, 411, "cancelled"),
    (Status::OutcomeUnknown, 412, "outcome unknown"),
    (Status::Protected, 413, "this key may not change what exists"),
];

impl Status {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        self.row().1
    }

    /// The message for users, without the number.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.row().2
    }

    /// Whether the request failed. 203 does not count as a failure; only `mkdir` treats it as one.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.code() >= 400
    }

    /// The text of a refusal for users: the reason once, then the number. `message` names the object.
    #[must_use]
    pub fn explain(self, message: &str) -> String {
        format!("{} ({})", self.describe(message), self.code())
    }

    /// As [`Status::explain`], without the number, as part of a longer message.
    #[must_use]
    pub fn describe(self, message: &str) -> String {
        let words = self.words();
        match message {
            "" => words.to_owned(),
            message if message.contains(words) => message.to_owned(),
            message => format!("{words}: {message}"),
        }
    }

    fn row(self) -> (Status, u16, &'static str) {
        let found = STATUS_TABLE.iter().find(|row| row.0 == self);
        // Every variant has a row; `every_status_has_its_number` checks it.
        found.copied().unwrap_or((self, 404, "command failed"))
    }
}

impl From<Status> for u16 {
    fn from(status: Status) -> u16 {
        status.code()
    }
}

impl TryFrom<u16> for Status {
    type Error = &'static str;

    fn try_from(code: u16) -> Result<Status, Self::Error> {
        STATUS_TABLE.iter().find(|row| row.1 == code).map(|row| row.0).ok_or("unknown status")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.words(), self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_status_has_its_number() {
        for (status, code, _) in STATUS_TABLE {
            assert_eq!(status.code(), code);
            assert_eq!(Status::try_from(code), Ok(status));
        }
        assert_eq!(Status::QuotaExceeded.to_string(), "quota exceeded (405)");
        // A variant without a row would read 404: the numbers are all different.
        for (i, (_, code, _)) in STATUS_TABLE.iter().enumerate() {
            assert!(!STATUS_TABLE[i + 1..].iter().any(|row| row.1 == *code), "{code} stands twice");
        }
    }

    #[test]
    fn the_reason_is_given_once_and_the_number_last() {
        for (status, message, text) in [
            (Status::NoSuchFile, "/x", "no such file: /x (402)"),
            (Status::Busy, "", "busy (409)"),
            (Status::Changed, "it changed while it was read", "it changed while it was read (410)"),
        ] {
            assert_eq!(status.explain(message), text);
        }
    }

    #[test]
    fn an_unknown_number_is_refused() {
        for code in [0, 199, 207, 399, 414, u16::MAX] {
            assert!(Status::try_from(code).is_err(), "{code}");
        }
    }

    #[test]
    fn errors_begin_at_400() {
        assert!(Status::AuthenticationFailed.is_error());
        assert!(!Status::Resuming.is_error());
        assert!(!Status::DirectoryExists.is_error());
    }
}
