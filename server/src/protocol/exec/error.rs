use super::shell_words::SyntaxError;
use crate::service;
use sshome_wire::display::Escaped;
use sshome_wire::{PathError, RemotePath};

/// The error of a command. Its text is one line on standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The line is not a single plain command.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// An rsync client, which needs rsync on the server.
    #[error("rsync is not supported: use sshome's push and get -r, sftp, or rclone")]
    Rsync,
    /// There is no such command.
    #[error("{}: no such command; help lists the commands", Escaped(.0))]
    Unknown(Vec<u8>),
    /// The arguments are wrong.
    #[error("{why}; usage: {usage}")]
    Usage { why: String, usage: &'static str },
    /// The value of an option is invalid.
    #[error("{what} needs {wanted}")]
    Value { what: &'static str, wanted: &'static str },
    /// A path is invalid.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path is empty.
    #[error("an empty name is no path; . is the home")]
    EmptyPath,
    /// The account may not change anything.
    #[error("this account is read-only")]
    ReadOnly,
    /// The directory exists already.
    #[error("{0} exists; -p accepts that")]
    Exists(RemotePath),
    /// Two sources have the same name in the target directory.
    #[error("{from}: will not overwrite what was just put into {to}")]
    JustPut { from: RemotePath, to: RemotePath },
    /// The operation failed.
    #[error("{}", _0.message())]
    Operation(service::Error),
    /// The client's standard input is incomplete.
    #[error("the input was cut off; nothing was published")]
    Cut,
    /// The input is a terminal.
    #[error("the input is a terminal; send bytes without one (ssh -T)")]
    Terminal,
    /// The client violates scp's protocol.
    #[error("{0}")]
    Protocol(String),
}

/// The result of functions in this module.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// The exit status of a command that failed, or that failed for some operands.
pub(super) const EXIT_FAILURE: u8 = 1;

impl From<service::Error> for Error {
    fn from(error: service::Error) -> Error {
        match error {
            service::Error::ReadOnly => Error::ReadOnly,
            error => Error::Operation(error),
        }
    }
}

impl Error {
    /// The exit status, as in a shell.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Error::Syntax(_) | Error::Usage { .. } | Error::Value { .. } => 2,
            Error::Unknown(_) | Error::Rsync => 127,
            _ => EXIT_FAILURE,
        }
    }
}
