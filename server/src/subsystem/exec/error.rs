use super::shell_words::SyntaxError;
use crate::operations;
use sshome_wire::display::Escaped;
use sshome_wire::{PathError, RemotePath};

/// Why a command was not done. Its text is one line for the standard error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The line is not one plain command.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A client of rsync, which wants a program of its own at this end.
    #[error("rsync is not supported: use sshome's put -r and get -r, sftp, or rclone")]
    Rsync,
    /// There is no such command.
    #[error("{}: no such command here; help lists those that there are", Escaped(.0))]
    Unknown(Vec<u8>),
    /// It was given in a way that it does not understand.
    #[error("{why}; usage: {usage}")]
    Usage { why: String, usage: &'static str },
    /// An option's value is none.
    #[error("{what} needs {wanted}")]
    Value { what: &'static str, wanted: &'static str },
    /// A path that cannot be one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path without a byte: for the kernel it is none.
    #[error("an empty name is no path; . is the home")]
    EmptyPath,
    /// It would change something.
    #[error("this account is read-only")]
    ReadOnly,
    /// A directory is there already.
    #[error("{0} exists; -p takes it as it is")]
    Exists(RemotePath),
    /// Two sources have one name in the directory that they go into.
    #[error("{from}: will not overwrite what was just put into {to}")]
    JustPut { from: RemotePath, to: RemotePath },
    /// What the operation says.
    #[error("{}", _0.message())]
    Operation(#[from] operations::Error),
    /// The bytes of a client's standard input did not come whole.
    #[error("the input was cut off; nothing was published")]
    Cut,
    /// Bytes were to come from a terminal.
    #[error("the input is a terminal; send bytes without one (ssh -T)")]
    Terminal,
    /// The client does not keep to the protocol of scp.
    #[error("{0}")]
    Protocol(String),
}

/// What the functions of this module return.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// A command was done, but for what its standard error tells of.
pub(super) const EXIT_FAILURE: u8 = 1;

impl Error {
    /// The exit status that a shell's user expects.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Error::Syntax(_) | Error::Usage { .. } | Error::Value { .. } => 2,
            Error::Unknown(_) | Error::Rsync => 127,
            _ => EXIT_FAILURE,
        }
    }
}
