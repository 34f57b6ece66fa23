//! The exit codes. Scripts depend on them: they are documented in `--help` and do not change.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Ok = 0,
    /// A command failed.
    Failed = 1,
    /// Usage error: the arguments, a command line or ~/.ssh/config.
    Usage = 2,
    /// The connection could not be made, or was lost.
    Connection = 3,
    /// The host's key is unknown, changed or revoked.
    HostKey = 4,
    /// The login was refused.
    Authentication = 5,
    /// Ctrl-C interrupted the login, a transfer or another command.
    Interrupted = 6,
}

/// The description of the codes in `--help`.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0  success
  1  a command failed
  2  usage error: the arguments, a command line or ~/.ssh/config
  3  the connection failed or was lost
  4  the host's key is unknown, changed or revoked
  5  the login was refused
  6  interrupted by Ctrl-C";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_documents_every_exit_code() {
        use Exit::{Authentication, Connection, Failed, HostKey, Interrupted, Ok, Usage};
        for exit in [Ok, Failed, Usage, Connection, HostKey, Authentication, Interrupted] {
            assert!(EXIT_CODES_HELP.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
        assert_eq!(EXIT_CODES_HELP.lines().count(), 8);
    }
}
