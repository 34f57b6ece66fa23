//! Files that are open through us, and how long each of them is booked to be.

use super::ledger::LedgerState;
use super::{FileId, Ledger, QuotaExceeded};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the books say of an open file.
#[derive(Debug)]
pub(super) struct OpenFileEntry {
    open_count: u64,
    /// Bytes that are booked for it.
    length: u64,
    /// Its last name is gone: its bytes are free at the last close.
    orphaned: bool,
    content: Arc<ContentState>,
}

/// What all who have a file open share.
#[derive(Debug, Default)]
struct ContentState {
    /// Held while the content changes, so that what is booked and what is there change as one.
    lock: Mutex<()>,
    /// Counts beginnings and ends of changes: odd while there is one.
    changes: AtomicU64,
}

/// A file that is open. Dropping it says that it is closed: to be done before the handle closes,
/// after which another file could have the same inode.
#[derive(Debug)]
#[must_use]
pub struct HeldFile {
    ledger: Arc<Ledger>,
    file: FileId,
    content: Arc<ContentState>,
    closed: bool,
}

impl Ledger {
    /// Says that a file is open, until the result is dropped. `length` tells how many bytes it has. It is
    /// asked under the books' lock, and only if nobody else has the file open: then it cannot change.
    ///
    /// # Errors
    /// What `length` says.
    pub fn hold<E>(
        self: &Arc<Ledger>,
        file: FileId,
        length: impl FnOnce() -> Result<u64, E>,
    ) -> Result<HeldFile, E> {
        let mut state = self.state();
        let content = match state.open.get_mut(&file) {
            Some(open) => {
                open.open_count += 1;
                Arc::clone(&open.content)
            }
            None => {
                let open = OpenFileEntry {
                    open_count: 1,
                    length: length()?,
                    orphaned: false,
                    content: Arc::default(),
                };
                Arc::clone(&state.open.entry(file).or_insert(open).content)
            }
        };
        Ok(HeldFile { ledger: Arc::clone(self), file, content, closed: false })
    }
}

impl HeldFile {
    /// Which file it is.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Bytes that are booked for the file.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length_in(&self.ledger.state())
    }

    /// Whether somebody else has the file open as well.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared_in(&self.ledger.state())
    }

    pub(super) fn is_shared_in(&self, state: &LedgerState) -> bool {
        state.open.get(&self.file).is_some_and(|open| open.open_count > 1)
    }

    pub(super) fn length_in(&self, state: &LedgerState) -> u64 {
        state.open.get(&self.file).map_or(0, |open| open.length)
    }

    /// A number that is another one after each change of the content; none while there is one.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        Some(self.content.changes.load(SeqCst)).filter(|changes| changes % 2 == 0)
    }

    /// Begins a change of the content. Others who want to change it wait until the result is dropped.
    pub fn change(&self) -> ContentChange<'_> {
        let lock = self.content.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.content.changes.fetch_add(1, SeqCst);
        ContentChange { held: self, _lock: lock }
    }

    /// Closes the file in these books, which are its ledger's.
    pub(super) fn close_in(mut self, state: &mut LedgerState, orphaned: bool) {
        if let Some(open) = state.open.get_mut(&self.file) {
            open.orphaned |= orphaned;
        }
        self.closed = true;
        state.close(self.file);
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        if !self.closed {
            self.ledger.state().close(self.file);
        }
    }
}

/// A change of an open file's content, while it is made.
#[derive(Debug)]
#[must_use]
pub struct ContentChange<'a> {
    held: &'a HeldFile,
    _lock: MutexGuard<'a, ()>,
}

impl ContentChange<'_> {
    /// Books that the file becomes `length` bytes long, before it does. Less than it has is no change.
    ///
    /// # Errors
    /// If what is lacking does not fit. Then nothing is booked.
    pub fn grow_to(&self, length: u64) -> Result<(), QuotaExceeded> {
        let ledger = &self.held.ledger;
        let mut state = ledger.state();
        let recorded = state.open.get(&self.held.file).map_or(0, |open| open.length);
        state.check(length.saturating_sub(recorded), 0)?;
        state.set_length(self.held.file, length.max(recorded));
        Ok(())
    }

    /// Books what the file's length has become: less than before, or less than was booked.
    pub fn settle(&self, length: u64) {
        self.held.ledger.state().set_length(self.held.file, length);
    }
}

impl Drop for ContentChange<'_> {
    fn drop(&mut self) {
        self.held.content.changes.fetch_add(1, SeqCst);
    }
}

impl LedgerState {
    fn set_length(&mut self, file: FileId, length: u64) {
        if let Some(open) = self.open.get_mut(&file) {
            self.used.bytes = self.used.bytes.saturating_sub(open.length).saturating_add(length);
            open.length = length;
            self.change_count += 1;
            self.credits.shrink(file, length);
        }
    }

    fn close(&mut self, file: FileId) {
        let Some(open) = self.open.get_mut(&file) else { return };
        open.open_count -= 1;
        if open.open_count == 0 {
            let freed = open.orphaned.then_some(open.length);
            self.open.remove(&file);
            if let Some(freed) = freed {
                // As one with the credit: what the file lent is the upload's own from now on, and another
                // file that gets its inode lends nothing.
                self.used.bytes = self.used.bytes.saturating_sub(freed);
                self.credits.end(file);
                self.change_count += 1;
            }
        }
    }

    /// Whether no open file is just being changed.
    pub(super) fn is_at_rest(&self) -> bool {
        self.open.values().all(|open| open.content.changes.load(SeqCst) % 2 == 0)
    }

    /// Bytes of open files whose last names are gone: booked, and not to be found by a scan.
    pub(super) fn orphaned(&self) -> u64 {
        self.open.values().filter(|open| open.orphaned).map(|open| open.length).sum()
    }
}
