//! `cat` and `less`.

use super::failures::Failures;
use super::invocation::Invocation;
use super::stream::report_failures;
use super::stream_usage::misuse;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::transfer::{self, ProgressDisplay};

impl Shell {
    /// Writes the content of files to the output, one after the other. Each is verified at its end.
    pub(super) async fn cat(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if self.out.is_for_programs() {
            return Err(misuse(invocation, "events and a file cannot both go to standard output").into());
        }
        let mut failures = Failures::new(&self.out);
        for path in self.remote_paths(&invocation.operands).await? {
            let source = self.conversation.absolute(&path).map_err(ConversationError::from)?;
            // The output shows the progress itself.
            let progress = ProgressDisplay::new(false).quiet(self.out.is_quiet());
            let content = self.out.content();
            let done = transfer::get_stream(self.context(&progress), &source, content).await?;
            done.output.map_err(ShellError::Output)?;
            failures.pass(report_failures(&self.out, &done.summary))?;
        }
        failures.verdict()
    }
}
