//! `put -` and `get … -`: standard input and standard output as files.

use super::event::OperationKind;
use super::failure_text::shown;
use super::flag::{B3_LETTER, SIZE_LETTER};
use super::invocation::Invocation;
use super::stream_usage::misuse;
use super::value;
use super::{Shell, ShellError, ShellOutput};
use crate::conversation::ConversationError;
use crate::transfer::{self, ExpectedContent, TransferSummary};
use std::io::{self, IsTerminal};
use std::time::Instant;

impl Shell {
    /// Uploads standard input.
    pub(super) async fn put_stream(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if !std::mem::replace(&mut self.stdin_is_free, false) {
            return Err(
                misuse(invocation, "standard input holds the commands, or was uploaded already").into()
            );
        }
        let Some(target) = invocation.operands.last() else { return Err(ShellError::Reported) };
        let target =
            self.conversation.absolute(&self.remote_path(target)).map_err(ConversationError::from)?;
        let (progress, expected) = (self.watch(OperationKind::Put), expected(invocation));
        let begun = Instant::now();
        let summary = transfer::put_stream(self.context(&progress), io::stdin(), &target, expected).await?;
        self.report(&summary, begun.elapsed())
    }

    /// Downloads a file to standard output.
    pub(super) async fn get_stream(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if self.out.is_for_programs() {
            return Err(misuse(invocation, "events and a file cannot both go to standard output").into());
        }
        let sources = invocation.operands.get(..1).unwrap_or_default();
        let [source] = &self.remote_paths(sources).await?[..] else {
            return Err(misuse(invocation, "one file at a time goes to standard output").into());
        };
        let source = self.conversation.absolute(source).map_err(ConversationError::from)?;
        let mut progress = self.watch(OperationKind::Get);
        let is_piped = self.out.is_piped();
        if is_piped || io::stdout().is_terminal() {
            // The output shows the file itself.
            progress = transfer::ProgressDisplay::new(false).quiet(self.out.is_quiet());
        }
        let output = self.out.raw();
        let done = transfer::get_stream(self.context(&progress), &source, output).await?;
        match done.output {
            Ok(()) => {}
            // The reader closed the output, so it needs no message.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(ShellError::Reported),
            Err(error) => {
                return Err(ShellError::Failed(format!("standard output cannot be written: {error}")));
            }
        }
        report_failures(&self.out, &done.summary)
    }
}

/// Reports what failed.
pub(super) fn report_failures(out: &ShellOutput, summary: &TransferSummary) -> Result<(), ShellError> {
    summary.failures.iter().for_each(|failure| out.not_transferred(failure, Some(&shown(failure))));
    if summary.failures.is_empty() { Ok(()) } else { Err(ShellError::Reported) }
}

/// The expected content by `--size` and `--b3`, which were checked when they were parsed.
fn expected(invocation: &Invocation) -> ExpectedContent {
    ExpectedContent {
        size: invocation.value(SIZE_LETTER).and_then(|text| value::size(text).ok()),
        digest: invocation.value(B3_LETTER).and_then(|text| value::digest(text).ok()),
    }
}
