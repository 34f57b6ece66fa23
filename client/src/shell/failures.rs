//! Failures of a command that do not stop the rest of it.

use super::error::ShellError;
use super::output::ShellOutput;
use crate::exit::Exit;

/// Counts what failed where one failure does not stop the rest.
#[derive(Debug)]
pub(super) struct Failures {
    out: ShellOutput,
    any: bool,
}

impl Failures {
    /// None yet; they are told to `out`.
    pub(super) fn new(out: &ShellOutput) -> Failures {
        Failures { out: out.clone(), any: false }
    }

    /// Says a failure and remembers that there was one.
    ///
    /// # Errors
    /// The failure itself, if the rest makes no sense after it.
    pub(super) fn pass(&mut self, result: Result<(), ShellError>) -> Result<(), ShellError> {
        match result {
            Err(error) if error.exit() == Exit::Failed && !error.is_fatal() => {
                self.out.failed(&error);
                self.any = true;
                Ok(())
            }
            other => other,
        }
    }

    /// The end of the command.
    ///
    /// # Errors
    /// If anything failed.
    pub(super) fn verdict(self) -> Result<(), ShellError> {
        if self.any { Err(ShellError::Reported) } else { Ok(()) }
    }
}
