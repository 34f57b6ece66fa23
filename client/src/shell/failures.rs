//! Failures of a command that do not stop the rest of it.

use super::error::ShellError;
use super::output::ShellOutput;
use crate::exit::Exit;

/// Reports failures that do not stop the rest of a command.
#[derive(Debug)]
pub(super) struct Failures {
    out: ShellOutput,
    any: bool,
}

impl Failures {
    /// Without failures. They are reported to `out`.
    pub(super) fn new(out: &ShellOutput) -> Failures {
        Failures { out: out.clone(), any: false }
    }

    /// Reports a failure and remembers it.
    ///
    /// # Errors
    /// The failure itself, if the command cannot continue.
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

    /// The result of the command.
    ///
    /// # Errors
    /// If anything failed.
    pub(super) fn verdict(self) -> Result<(), ShellError> {
        if self.any { Err(ShellError::Reported) } else { Ok(()) }
    }
}
