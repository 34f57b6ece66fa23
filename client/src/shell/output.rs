//! Where results go: text for people, or events for programs.

use super::ShellError;
use super::event::{OutputEvent, SummaryEvent};
use crate::conversation::ConversationError;
use crate::exit::Exit;
use crate::messages::print_error;
use crate::transfer;
use sshome_wire::Status;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Standard output, as text or as a line of JSON for each event. Errors are told on standard error
/// either way. Clones share what they count.
#[derive(Clone, Debug)]
pub struct ShellOutput {
    events: bool,
    quiet: bool,
    begun: Instant,
    tally: Arc<Mutex<Tally>>,
}

/// What there is to sum up at the end.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    unchanged: u64,
    failures: u64,
    batch_line: Option<BatchLine>,
}

/// A line of a batch file.
#[derive(Clone, Debug)]
pub(super) struct BatchLine {
    /// The file, safe to show.
    pub(super) file: String,
    /// Counted from 1.
    pub(super) line: u64,
}

impl ShellOutput {
    /// Events if `events`, else text. Quiet output has results and errors only.
    #[must_use]
    pub fn new(events: bool, quiet: bool) -> ShellOutput {
        ShellOutput { events, quiet, begun: Instant::now(), tally: Arc::default() }
    }

    /// Whether only results and errors are wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a program is told, and no person.
    pub(super) fn is_for_programs(&self) -> bool {
        self.events
    }

    /// Tells a result.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn show(
        &self,
        event: &OutputEvent<'_>,
        text: impl FnOnce() -> String,
    ) -> Result<(), ShellError> {
        match self.events {
            true => self.event(event),
            false => print(text().as_bytes()),
        }
    }

    /// Tells several results, which people see as one text.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn show_all<'a>(
        &self,
        mut events: impl Iterator<Item = OutputEvent<'a>>,
        text: impl FnOnce() -> String,
    ) -> Result<(), ShellError> {
        match self.events {
            true => events.try_for_each(|event| self.event(&event)),
            false => print(text().as_bytes()),
        }
    }

    /// Tells a result that has nothing but words.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn say(&self, text: &str) -> Result<(), ShellError> {
        self.show(&OutputEvent::Text { text: text.trim_end() }, || text.to_owned())
    }

    /// Shows people something that programs are told otherwise.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn note(&self, text: &str) -> Result<(), ShellError> {
        if self.events { Ok(()) } else { print(text.as_bytes()) }
    }

    /// Tells programs something that people see otherwise.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn event(&self, event: &OutputEvent<'_>) -> Result<(), ShellError> {
        if !self.events {
            return Ok(());
        }
        let mut line = serde_json::to_vec(event).map_err(|error| ShellError::Output(error.into()))?;
        line.push(b'\n');
        print(&line)
    }

    /// From now on failures are those of a line of a batch file, or of none.
    pub(super) fn at(&self, batch_line: Option<BatchLine>) {
        self.tally().batch_line = batch_line;
    }

    /// Tells why a command failed, unless that was done already or there is nothing to tell.
    pub fn failed(&self, error: &ShellError) {
        let status = match error {
            ShellError::Reported => return,
            ShellError::Conversation(ConversationError::Refused(reply)) => Some(reply.status),
            _ if error.exit() == Exit::Ok => return,
            _ => None,
        };
        let text = error.to_string();
        self.failure(None, status, &text, Some(&text));
    }

    /// Tells why there is nobody to ask, before any command.
    pub fn failed_to_begin(&self, error: &dyn Display) {
        let text = error.to_string();
        self.failure(None, None, &text, Some(&text));
    }

    /// Tells what did not arrive: programs always, people if there is a text for them.
    pub(super) fn not_transferred(&self, failure: &transfer::Failure, text: Option<&str>) {
        self.failure(Some(&failure.what), failure.status, &failure.why, text);
    }

    /// Tells that so much more did not arrive, which nobody can be told one by one.
    pub(super) fn not_listed(&self, count: u64) {
        if count > 0 {
            let text = format!("and {count} more files failed; fix the first ones and repeat the command");
            self.failure(None, None, &text, Some(&text));
            self.tally().failures += count - 1;
        }
    }

    /// Tells how all of it ended: the last event.
    pub fn finish(&self, exit: Exit) {
        let summary = {
            let tally = self.tally();
            let Tally { files, bytes, unchanged, failures, .. } = *tally;
            let (seconds, exit_code) = (self.begun.elapsed().as_secs_f64(), exit as u8);
            SummaryEvent { files, bytes, unchanged, seconds, failures, exit_code }
        };
        // Where nobody reads any more, the exit code is all that is left to say.
        let _ = self.event(&OutputEvent::Summary(summary));
    }

    /// Tells people `text`, and programs the rest.
    fn failure(&self, what: Option<&str>, status: Option<Status>, message: &str, text: Option<&str>) {
        let batch_line = {
            let mut tally = self.tally();
            tally.failures += 1;
            tally.batch_line.clone()
        };
        match (&batch_line, text) {
            (Some(BatchLine { file, line }), Some(text)) => {
                print_error(format_args!("{file}, line {line}: {text}"))
            }
            (None, Some(text)) => print_error(text),
            (_, None) => {}
        }
        let (status, line) = (status.map(Status::code), batch_line.map(|batch_line| batch_line.line));
        // An output that is gone is noticed with the next result.
        let _ = self.event(&OutputEvent::Failed { what, status, line, message });
    }

    /// Counts a file that is done with, for the summary.
    pub(super) fn count(&self, bytes: u64, transferred: bool) {
        let mut tally = self.tally();
        tally.files += u64::from(transferred);
        tally.bytes += if transferred { bytes } else { 0 };
        tally.unchanged += u64::from(!transferred);
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(bytes: &[u8]) -> Result<(), ShellError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(ShellError::Output)
}
