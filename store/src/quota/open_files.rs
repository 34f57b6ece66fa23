//! Files that sessions have open, and the length of each in the ledger.

use super::ledger::LedgerState;
use super::{FileId, Ledger, QuotaExceeded};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open file in the ledger.
#[derive(Debug)]
pub(super) struct OpenFileEntry {
    open_count: u64,
    /// Its length in the ledger, in bytes.
    length: u64,
    /// Whether its last name was removed: its bytes are freed at the last close.
    orphaned: bool,
    content: Arc<ContentState>,
}

/// State shared by all handles of a file.
#[derive(Debug, Default)]
struct ContentState {
    /// Held while the content changes, so that the file and the ledger change together.
    lock: Mutex<()>,
    /// Counts beginnings and ends of changes: odd during a change.
    changes: AtomicU64,
}

/// An open file in the ledger. Dropping it accounts for its close. Drop it before the handle closes: afterwards a new file
/// may get the same inode.
#[derive(Debug)]
#[must_use]
pub struct HeldFile {
    ledger: Arc<Ledger>,
    file: FileId,
    content: Arc<ContentState>,
    closed: bool,
}

impl Ledger {
    /// Records that a file is open, until the result is dropped. `length` returns its length in bytes. It is called only if
    /// no other session has the file open. Requires the namespace lock, so that none opens it meanwhile and the length
    /// cannot change.
    ///
    /// # Errors
    /// That of `length`.
    pub fn hold<E>(
        self: &Arc<Ledger>,
        file: FileId,
        length: impl FnOnce() -> Result<u64, E>,
    ) -> Result<HeldFile, E> {
        let open = self.state().reopen(file);
        let content = match open {
            Some(content) => content,
            None => {
                // Without the ledger's lock: it asks the disk.
                let length = length()?;
                self.state().open(file, length)
            }
        };
        Ok(HeldFile { ledger: Arc::clone(self), file, content, closed: false })
    }
}

impl HeldFile {
    /// The file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.file
    }

    /// The file's length in the ledger, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length_in(&self.ledger.state())
    }

    /// Whether the file is open more than once.
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

    /// The content version: it differs after each change. `None` during a change.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        Some(self.content.changes.load(SeqCst)).filter(|changes| changes % 2 == 0)
    }

    /// Begins a change of the content. Other changes wait until the result is dropped.
    pub fn change(&self) -> ContentChange<'_> {
        let lock = self.content.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.content.changes.fetch_add(1, SeqCst);
        ContentChange { held: self, _lock: lock }
    }

    /// Accounts for the close. `state` is that of the file's ledger.
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

/// A change of an open file's content. Dropping it ends the change.
#[derive(Debug)]
#[must_use]
pub struct ContentChange<'a> {
    held: &'a HeldFile,
    _lock: MutexGuard<'a, ()>,
}

impl ContentChange<'_> {
    /// Accounts for growing the file to `length` bytes, before it grows. No effect if it is longer.
    ///
    /// # Errors
    /// If the growth does not fit. The ledger is then unchanged.
    pub fn grow_to(&self, length: u64) -> Result<(), QuotaExceeded> {
        let ledger = &self.held.ledger;
        let mut state = ledger.state();
        let recorded = state.open.get(&self.held.file).map_or(0, |open| open.length);
        state.check(length.saturating_sub(recorded), 0)?;
        state.set_length(self.held.file, length.max(recorded));
        Ok(())
    }

    /// Sets the file's actual length, which may be less than before, or less than was accounted for.
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
    /// Counts one more handle of an open file. `None` if it is not open.
    fn reopen(&mut self, file: FileId) -> Option<Arc<ContentState>> {
        let open = self.open.get_mut(&file)?;
        open.open_count += 1;
        Some(Arc::clone(&open.content))
    }

    fn open(&mut self, file: FileId, length: u64) -> Arc<ContentState> {
        let open = self.open.entry(file).or_insert_with(|| OpenFileEntry {
            open_count: 0,
            length,
            orphaned: false,
            content: Arc::default(),
        });
        open.open_count += 1;
        Arc::clone(&open.content)
    }

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
                // Together with the credit: the upload now pays for itself, and a new file with the same inode
                // lends nothing.
                self.used.bytes = self.used.bytes.saturating_sub(freed);
                self.credits.end(file);
                self.change_count += 1;
            }
        }
    }

    /// Whether no open file is being changed.
    pub(super) fn is_at_rest(&self) -> bool {
        self.open.values().all(|open| open.content.changes.load(SeqCst) % 2 == 0)
    }

    /// Bytes of open files whose last name was removed: in the ledger, but not found by a scan.
    pub(super) fn orphaned(&self) -> u64 {
        self.open.values().filter(|open| open.orphaned).map(|open| open.length).sum()
    }
}
