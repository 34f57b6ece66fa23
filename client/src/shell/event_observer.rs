//! Reports a transfer's progress as JSON events.

use super::event::{
    FileEvent, LinkEvent, NameFields, OperationKind, OutputEvent, ProgressEvent, TargetFields,
};
use super::{ShellOutput, sync};
use crate::transfer::{FinishedFile, FinishedLink, Observer, Retry, SyncChange, TreeDifference};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minimum interval between progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// Writes the events of one transfer. A closed output is noticed with the next result of a command.
#[derive(Debug)]
pub(super) struct EventObserver {
    out: ShellOutput,
    direction: OperationKind,
    state: Mutex<ObserverState>,
}

#[derive(Debug, Default)]
struct ObserverState {
    files: u64,
    files_total: u64,
    bytes: u64,
    bytes_total: Option<u64>,
    told: Option<Instant>,
}

impl ShellOutput {
    /// An observer that writes the events of a transfer; `None` without `--json`.
    pub(super) fn observer(&self, direction: OperationKind) -> Option<Arc<dyn Observer>> {
        self.is_for_programs()
            .then(|| Arc::new(EventObserver::new(self.clone(), direction)) as Arc<dyn Observer>)
    }
}

impl EventObserver {
    pub(super) fn new(out: ShellOutput, direction: OperationKind) -> EventObserver {
        EventObserver { out, direction, state: Mutex::default() }
    }

    /// Reports the progress on one file, of `total` bytes; 0 if the server does not know the total.
    pub(super) fn reach(&self, bytes: u64, total: u64) {
        self.step(|state| {
            (state.files_total, state.bytes, state.bytes_total) = (1, bytes, (total > 0).then_some(total));
        });
    }

    /// Records a change, and writes an event if the last one is long enough ago.
    fn step(&self, change: impl FnOnce(&mut ObserverState)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.out.is_quiet() || state.told.is_some_and(|told| told.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        state.told = Some(Instant::now());
        let ObserverState { files, files_total, bytes, bytes_total, .. } = *state;
        let direction = self.direction;
        // Here and below: a closed output is noticed with the next result of a command.
        let _ = self.out.event(&OutputEvent::Progress(ProgressEvent {
            direction,
            files,
            files_total,
            bytes,
            bytes_total,
        }));
    }
}

impl Observer for EventObserver {
    fn begin(&self, files: u64, bytes: Option<u64>) {
        self.step(|state| {
            *state = ObserverState { files_total: files, bytes_total: bytes, ..ObserverState::default() }
        });
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
        let (name, direction) = (NameFields::new(remote), self.direction);
        let _ = self.out.event(&OutputEvent::Resumed { name, direction, offset });
        self.advance(offset);
    }

    fn rewind(&self, bytes: u64) {
        self.step(|state| state.bytes = state.bytes.saturating_sub(bytes));
    }

    fn done(&self, file: &FinishedFile<'_>) {
        let transferred = !matches!(file.status, sshome_wire::Status::FileExists);
        self.out.count(file.size, transferred);
        let _ = self.out.event(&OutputEvent::File(FileEvent {
            name: NameFields::new(file.remote),
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

    fn linked(&self, link: &FinishedLink<'_>) {
        let _ = self.out.event(&OutputEvent::Link(LinkEvent {
            name: NameFields::new(link.remote),
            local: link.local.map(text),
            direction: self.direction,
            target: TargetFields::new(link.target),
            status: link.status.code(),
        }));
    }

    fn retry(&self, retry: &Retry<'_>) {
        let Retry { why: message, pause, attempt, attempts } = *retry;
        let _ =
            self.out.event(&OutputEvent::Retry { message, attempt, attempts, seconds: pause.as_secs_f64() });
    }

    fn changes(&self, change: &SyncChange<'_>) {
        let kind = if change.is_directory { "directory" } else { "file" };
        let (action, name) = (sync::word(change.action), NameFields::new(change.path));
        let _ = self.out.event(&OutputEvent::Change { action, name, local: change.local.map(text), kind });
    }

    fn differs(&self, difference: &TreeDifference<'_>) {
        let kind = if difference.is_directory { "directory" } else { "file" };
        let (name, difference) = (NameFields::new(difference.path), sync::difference_word(difference.kind));
        let _ = self.out.event(&OutputEvent::Difference { difference, name, kind });
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
