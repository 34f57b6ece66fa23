//! Writes results: as text for people, or as events for programs.

use super::ShellError;
use super::escaping::EscapingWriter;
use super::event::{OutputEvent, SummaryEvent};
use super::pipe::PipeOutput;
use crate::conversation::ConversationError;
use crate::exit::Exit;
use crate::messages::{MessageLog, print_error};
use crate::transfer;
use sshome_wire::Status;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Standard output, as text or as one line of JSON per event. Errors are reported on standard error in both forms.
/// Clones share the totals.
#[derive(Clone, Debug)]
pub struct ShellOutput {
    events: bool,
    quiet: bool,
    begun: Instant,
    tally: Arc<Mutex<Tally>>,
    sink: Sink,
}

/// Where results go.
#[derive(Clone, Debug, Default)]
enum Sink {
    #[default]
    Stdout,
    /// A local command reads them.
    Pipe(PipeOutput),
    /// They are those of a background job.
    Log(MessageLog),
}

/// The totals for the summary.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    saved: u64,
    unchanged: u64,
    trusted: u64,
    matched: u64,
    copied: u64,
    failures: u64,
    batch_line: Option<BatchLine>,
}

/// A line of a batch file.
#[derive(Clone, Debug)]
pub(super) struct BatchLine {
    /// The file, safe to show.
    pub(super) file: String,
    /// The number of the line, from 1.
    pub(super) line: u64,
}

impl ShellOutput {
    /// Output as events if `events` is set, otherwise as text. Quiet output has results and errors only.
    #[must_use]
    pub fn new(events: bool, quiet: bool) -> ShellOutput {
        ShellOutput { events, quiet, begun: Instant::now(), tally: Arc::default(), sink: Sink::default() }
    }

    /// Whether the output is quiet.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether the output is events.
    pub(super) fn is_for_programs(&self) -> bool {
        self.events
    }

    /// This output, with a local command that reads the results.
    pub(super) fn piped(self, pipe: PipeOutput) -> ShellOutput {
        ShellOutput { sink: Sink::Pipe(pipe), ..self }
    }

    /// This output, as that of a background job.
    pub(super) fn logged(self, log: MessageLog) -> ShellOutput {
        ShellOutput { sink: Sink::Log(log), ..self }
    }

    /// Whether a local command reads the results.
    pub(super) fn is_piped(&self) -> bool {
        matches!(self.sink, Sink::Pipe(_))
    }

    /// Whether the results go to a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Stdout) && io::stdout().is_terminal()
    }

    /// Where the bytes of a file go, unchanged.
    pub(super) fn raw(&self) -> Box<dyn Write + Send> {
        match &self.sink {
            Sink::Pipe(pipe) => Box::new(pipe.clone()),
            // No job writes a file there.
            Sink::Stdout | Sink::Log(_) => Box::new(io::stdout()),
        }
    }

    /// Where the content of a file goes. Nothing in it controls a terminal or a pager; others get its bytes.
    pub(super) fn content(&self) -> Box<dyn Write + Send> {
        match &self.sink {
            Sink::Pipe(pipe) if pipe.is_pager => Box::new(EscapingWriter::new(pipe.clone())),
            Sink::Stdout if self.is_terminal() => Box::new(EscapingWriter::new(io::stdout())),
            _ => self.raw(),
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn print(&self, bytes: &[u8]) -> Result<(), ShellError> {
        match &self.sink {
            Sink::Pipe(pipe) => pipe.send(bytes),
            Sink::Log(log) => {
                log.add(&String::from_utf8_lossy(bytes));
                Ok(())
            }
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
        }
        .map_err(ShellError::Output)
    }

    /// Writes a result.
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
            false => self.print(text().as_bytes()),
        }
    }

    /// Writes several results, which are one text for people.
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
            false => self.print(text().as_bytes()),
        }
    }

    /// Writes a result without fields.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn say(&self, text: &str) -> Result<(), ShellError> {
        self.show(&OutputEvent::Text { text: text.trim_end() }, || text.to_owned())
    }

    /// Writes a text for people. Programs get the same information in other events.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn note(&self, text: &str) -> Result<(), ShellError> {
        if self.events { Ok(()) } else { self.print(text.as_bytes()) }
    }

    /// Writes an event for programs. People get the same information in another form.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn event(&self, event: &OutputEvent<'_>) -> Result<(), ShellError> {
        if !self.events {
            return Ok(());
        }
        let mut line = serde_json::to_vec(event).map_err(|error| ShellError::Output(error.into()))?;
        line.push(b'\n');
        self.print(&line)
    }

    /// Sets the line of the batch file that later failures belong to, if there is one.
    pub(super) fn at(&self, batch_line: Option<BatchLine>) {
        self.tally().batch_line = batch_line;
    }

    /// Reports why a command failed, unless that was done before or the error is not a failure.
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

    /// Reports why no command could be run.
    pub fn failed_to_begin(&self, error: &dyn Display) {
        let text = error.to_string();
        self.failure(None, None, &text, Some(&text));
    }

    /// Reports a file that failed: to programs always, to people if there is a text.
    pub(super) fn not_transferred(&self, failure: &transfer::Failure, text: Option<&str>) {
        self.failure(Some(&failure.what), failure.status, &failure.why, text);
    }

    /// Reports the number of further failures, which were not stored.
    pub(super) fn not_listed(&self, count: u64) {
        if count > 0 {
            let text = format!("and {count} more files failed; fix the first ones and repeat the command");
            self.failure(None, None, &text, Some(&text));
            self.tally().failures += count - 1;
        }
    }

    /// Writes the last event, with the totals and the exit code.
    pub fn finish(&self, exit: Exit) {
        let summary = {
            let tally = self.tally();
            SummaryEvent {
                files: tally.files,
                bytes: tally.bytes,
                saved_by_compression: tally.saved,
                unchanged: tally.unchanged,
                compared_by_stored_digest: tally.trusted,
                matched: tally.matched,
                copied: tally.copied,
                sent: tally.bytes.saturating_sub(tally.matched).saturating_sub(tally.copied),
                seconds: self.begun.elapsed().as_secs_f64(),
                failures: tally.failures,
                exit_code: exit as u8,
            }
        };
        // If nobody reads, the exit code remains.
        let _ = self.event(&OutputEvent::Summary(summary));
    }

    /// Reports a failure: `text` to people, the rest to programs.
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
        // A closed output is noticed with the next result.
        let _ = self.event(&OutputEvent::Failed { what, status, line, message });
    }

    /// Counts a finished file for the summary.
    pub(super) fn count(&self, bytes: u64, transferred: bool) {
        let mut tally = self.tally();
        tally.files += u64::from(transferred);
        tally.bytes += if transferred { bytes } else { 0 };
        tally.unchanged += u64::from(!transferred);
    }

    /// Counts bytes for the summary that were not sent: compression saved them, or the destination had them.
    pub(super) fn count_spared(&self, summary: &transfer::TransferSummary) {
        let mut tally = self.tally();
        tally.saved += summary.saved;
        tally.matched += summary.matched;
        tally.copied += summary.copied;
    }

    /// Counts files for the summary that need not be transferred, and those that were compared by the server's stored
    /// digests.
    pub(super) fn count_unchanged(&self, files: u64, trusted: u64) {
        let mut tally = self.tally();
        tally.unchanged += files;
        tally.trusted += trusted;
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
