//! What programs hear of a transfer while it goes.

use super::Output;
use super::event::{Direction, Event, File, Link, Name, Progress, Target};
use crate::transfer::{Done, Linked, Observer, Retry};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a program is told of the progress at most.
const PROGRESS: Duration = Duration::from_millis(300);

/// Tells programs of one transfer. An output that is gone is noticed with the next result of a command.
#[derive(Debug)]
pub(super) struct Watch {
    out: Output,
    direction: Direction,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: u64,
    files_total: u64,
    bytes: u64,
    bytes_total: Option<u64>,
    told: Option<Instant>,
}

impl Output {
    /// Somebody who tells of a transfer; none where no program listens.
    pub(super) fn observer(&self, direction: Direction) -> Option<Arc<dyn Observer>> {
        self.is_for_programs().then(|| Arc::new(Watch::new(self.clone(), direction)) as Arc<dyn Observer>)
    }
}

impl Watch {
    pub(super) fn new(out: Output, direction: Direction) -> Watch {
        Watch { out, direction, state: Mutex::default() }
    }

    /// Work on one file has come so far, of so many bytes; 0 where the server does not know how many.
    pub(super) fn reach(&self, bytes: u64, total: u64) {
        self.step(|state| {
            (state.files_total, state.bytes, state.bytes_total) = (1, bytes, (total > 0).then_some(total));
        });
    }

    /// Notes what has changed, and tells of it now and then.
    fn step(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.out.is_quiet() || state.told.is_some_and(|told| told.elapsed() < PROGRESS) {
            return;
        }
        state.told = Some(Instant::now());
        let State { files, files_total, bytes, bytes_total, .. } = *state;
        let direction = self.direction;
        let _ =
            self.out.event(&Event::Progress(Progress { direction, files, files_total, bytes, bytes_total }));
    }
}

impl Observer for Watch {
    fn begin(&self, files: u64, bytes: Option<u64>) {
        self.step(|state| *state = State { files_total: files, bytes_total: bytes, ..State::default() });
    }

    fn grow(&self, files: u64, bytes: Option<u64>) {
        self.step(|state| {
            state.files_total += files;
            state.bytes_total = state.bytes_total.zip(bytes).map(|(some, more)| some.saturating_add(more));
        });
    }

    fn advance(&self, bytes: u64) {
        self.step(|state| state.bytes = state.bytes.saturating_add(bytes));
    }

    fn resume_at(&self, remote: &[u8], offset: u64) {
        let (name, direction) = (Name::new(remote), self.direction);
        let _ = self.out.event(&Event::Resumed { name, direction, offset });
        self.advance(offset);
    }

    fn rewind(&self, bytes: u64) {
        self.step(|state| state.bytes = state.bytes.saturating_sub(bytes));
    }

    fn done(&self, file: &Done<'_>) {
        let transferred = !matches!(file.status, sshome_wire::Status::FileExists);
        self.out.count(file.size, transferred);
        let _ = self.out.event(&Event::File(File {
            name: Name::new(file.remote),
            local: file.local.map(text),
            direction: self.direction,
            bytes: file.size,
            digest: file.digest.map(|digest| digest.to_string()),
            resumed_at: file.resumed_at,
            status: file.status.code(),
        }));
        if transferred {
            self.step(|state| state.files += 1);
        }
    }

    fn linked(&self, link: &Linked<'_>) {
        let _ = self.out.event(&Event::Link(Link {
            name: Name::new(link.remote),
            local: link.local.map(text),
            direction: self.direction,
            target: Target::new(link.target),
            status: link.status.code(),
        }));
    }

    fn retry(&self, retry: &Retry<'_>) {
        let Retry { why: message, pause, attempt, attempts } = *retry;
        let _ = self.out.event(&Event::Retry { message, attempt, attempts, seconds: pause.as_secs_f64() });
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
