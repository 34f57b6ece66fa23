//! What homes need from the system.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// What the system lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// The system call openat2.
    #[error(
        "the system refuses openat2, with which every file of a home is opened: Linux has it since 5.6; in a systemd unit, \
         RestrictSUIDSGID=yes forbids it, and so do old filters for containers"
    )]
    NoOpenat2,
}

/// Checks that this process can use what homes need.
///
/// # Errors
/// If something is missing.
pub fn check_system() -> Result<(), SystemError> {
    let opened = openat2(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH);
    judged(opened.err())
}

fn judged(error: Option<Errno>) -> Result<(), SystemError> {
    match error {
        Some(Errno::NOSYS | Errno::PERM) => Err(SystemError::NoOpenat2),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_forbids_a_call_is_told_from_other_errors() {
        assert_eq!(check_system(), Ok(()));
        assert_eq!(judged(Some(Errno::NOSYS)), Err(SystemError::NoOpenat2));
        assert_eq!(judged(Some(Errno::PERM)), Err(SystemError::NoOpenat2));
        // The current directory is out of reach, or was removed.
        assert_eq!(judged(Some(Errno::ACCESS)), Ok(()));
    }
}
