//! Where results go: text for people, or events for programs.

use super::ShellError;
use super::event::{Direction, Event, File, Name, Progress, Summary};
use crate::conversation::ConversationError;
use crate::exit::Exit;
use crate::tell::tell;
use crate::transfer::{self, Done};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a program is told of the progress at most.
const PROGRESS: Duration = Duration::from_millis(300);

/// Standard output, as text or as a line of JSON for each event. Errors are told on standard error
/// either way. Clones share what they count.
#[derive(Clone, Debug)]
pub struct Output {
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
}

impl Output {
    /// Events if `events`, else text. Quiet output has results and errors only.
    #[must_use]
    pub fn new(events: bool, quiet: bool) -> Output {
        Output { events, quiet, begun: Instant::now(), tally: Arc::default() }
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
    pub(super) fn show(&self, event: &Event<'_>, text: impl FnOnce() -> String) -> Result<(), ShellError> {
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
        mut events: impl Iterator<Item = Event<'a>>,
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
        self.show(&Event::Text { text: text.trim_end() }, || text.to_owned())
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
    pub(super) fn event(&self, event: &Event<'_>) -> Result<(), ShellError> {
        if !self.events {
            return Ok(());
        }
        let mut line = serde_json::to_vec(event).map_err(|error| ShellError::Output(error.into()))?;
        line.push(b'\n');
        print(&line)
    }

    /// Tells why a command failed, unless that was done already or there is nothing to tell.
    pub fn failed(&self, error: &ShellError) {
        let status = match error {
            ShellError::Reported => return,
            ShellError::Conversation(ConversationError::Refused(reply)) => Some(reply.status),
            _ if error.exit() == Exit::Ok => return,
            _ => None,
        };
        tell(error);
        self.failure(&Event::failed(None, status, &error.to_string()));
    }

    /// Tells why there is nobody to ask, before any command.
    pub fn failed_to_begin(&self, error: &dyn Display) {
        tell(error);
        self.failure(&Event::failed(None, None, &error.to_string()));
    }

    /// Tells what did not arrive.
    pub(super) fn not_transferred(&self, failure: &transfer::Failure, text: &str) {
        tell(text);
        self.failure(&Event::failed(Some(&failure.what), failure.status, &failure.why));
    }

    /// Tells how all of it ended: the last event.
    pub fn finish(&self, exit: Exit) {
        let summary = {
            let tally = self.tally();
            let Tally { files, bytes, unchanged, failures } = *tally;
            let (seconds, exit_code) = (self.begun.elapsed().as_secs_f64(), exit as u8);
            Summary { files, bytes, unchanged, seconds, failures, exit_code }
        };
        // Where nobody reads any more, the exit code is all that is left to say.
        let _ = self.event(&Event::Summary(summary));
    }

    /// Somebody who tells of a transfer; none where no program listens.
    pub(super) fn observer(&self, direction: Direction) -> Option<Arc<dyn transfer::Observer>> {
        let watch = || Watch { out: self.clone(), direction, state: Mutex::default() };
        self.events.then(|| Arc::new(watch()) as Arc<dyn transfer::Observer>)
    }

    fn failure(&self, event: &Event<'_>) {
        self.tally().failures += 1;
        // An output that is gone is noticed with the next result.
        let _ = self.event(event);
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(bytes: &[u8]) -> Result<(), ShellError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(ShellError::Output)
}

/// Tells programs of one transfer.
#[derive(Debug)]
struct Watch {
    out: Output,
    direction: Direction,
    state: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    files: u64,
    files_total: u64,
    bytes: u64,
    bytes_total: Option<u64>,
    told: Option<Instant>,
}

impl Watch {
    /// Notes what has changed, and tells of it now and then.
    fn step(&self, change: impl FnOnce(&mut Watched)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.out.quiet || state.told.is_some_and(|told| told.elapsed() < PROGRESS) {
            return;
        }
        state.told = Some(Instant::now());
        let Watched { files, files_total, bytes, bytes_total, .. } = *state;
        let direction = self.direction;
        // An output that is gone is noticed with the next result.
        let _ =
            self.out.event(&Event::Progress(Progress { direction, files, files_total, bytes, bytes_total }));
    }
}

impl transfer::Observer for Watch {
    fn begin(&self, files: u64, bytes: Option<u64>) {
        self.step(|state| *state = Watched { files_total: files, bytes_total: bytes, ..Watched::default() });
    }

    fn advance(&self, bytes: u64) {
        self.step(|state| state.bytes = state.bytes.saturating_add(bytes));
    }

    fn resume_at(&self, offset: u64) {
        self.advance(offset);
    }

    fn rewind(&self, bytes: u64) {
        self.step(|state| state.bytes = state.bytes.saturating_sub(bytes));
    }

    fn done(&self, file: &Done<'_>) {
        let transferred = !matches!(file.status, sshome_wire::Status::FileExists);
        {
            let mut tally = self.out.tally();
            tally.files += u64::from(transferred);
            tally.bytes += if transferred { file.size } else { 0 };
            tally.unchanged += u64::from(!transferred);
        }
        let event = Event::File(File {
            name: Name::new(file.remote),
            local: file.local.map(|path| path.to_string_lossy().into_owned()),
            direction: self.direction,
            bytes: file.size,
            digest: file.digest.map(|digest| digest.to_string()),
            resumed_at: file.resumed_at,
            status: file.status.code(),
        });
        // As above.
        let _ = self.out.event(&event);
        if transferred {
            self.step(|state| state.files += 1);
        }
    }
}
