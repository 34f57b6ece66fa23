//! The exit codes. Scripts depend on them: they are documented in `--help` and do not change.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Ok = 0,
    /// A command failed.
    Failed = 1,
    /// The arguments, a command line or ~/.ssh/config make no sense.
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

/// What `--help` says about the codes.
pub const HELP: &str = "\
Exit codes:
  0  all was done
  1  a command failed
  2  the arguments, a command line or ~/.ssh/config make no sense
  3  the connection could not be made, or was lost
  4  the host's key is unknown, changed or revoked
  5  the login was refused
  6  Ctrl-C interrupted the login, a transfer or another command";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_every_code() {
        use Exit::{Authentication, Connection, Failed, HostKey, Interrupted, Ok, Usage};
        for exit in [Ok, Failed, Usage, Connection, HostKey, Authentication, Interrupted] {
            assert!(HELP.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
        assert_eq!(HELP.lines().count(), 8);
    }
}
