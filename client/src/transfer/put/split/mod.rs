//! Large files that several connections send together, in runs of blocks.
//!
//! The reader of a put finds such a file, and leaves it to all connections ([`SplitUploads`]). One of them opens the upload
//! on the server ([`open`]), all take runs of blocks, which a thread reads ([`reader`]) and the connection sends ([`send`]),
//! and one finishes the upload ([`finish`]). A block counts once the server has acknowledged it. If the upload has ended on
//! the server, it is opened again, and the blocks that the server has are compared by their digests.

mod divider;
mod file;
mod finish;
mod open;
mod reader;
mod rights;
mod send;
mod sent_blocks;
#[cfg(test)]
mod tests;

pub(super) use divider::FileDivider;
pub(super) use send::{SplitOptions, send};

use file::SplitUpload;
use rights::{Finishing, TakenBlocks, UploadOpening};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The divided files of a put.
#[derive(Debug)]
pub(super) struct SplitUploads {
    files: Mutex<Vec<Arc<SplitUpload>>>,
    /// The number of connections that may find more files.
    searching: AtomicUsize,
    /// Notified when there may be something to do again.
    changed: Arc<watch::Sender<()>>,
}

/// What a connection can do next.
enum SplitTask {
    Run(TakenBlocks),
    /// Open this file, once nothing else is requested.
    Open(UploadOpening),
    /// Finish this file, once nothing else is requested.
    Finish(Finishing),
    /// Others work on what is left. They may return it.
    Wait,
    Done,
}

/// A connection that may find more files. Dropping it ends that.
pub(super) struct Searching<'a>(&'a SplitUploads);

impl Default for SplitUploads {
    fn default() -> SplitUploads {
        let changed = Arc::new(watch::Sender::new(()));
        SplitUploads { files: Mutex::default(), searching: AtomicUsize::new(0), changed }
    }
}

impl SplitUploads {
    /// A connection begins to send other items, among which it may find large files.
    pub(super) fn search(&self) -> Searching<'_> {
        self.searching.fetch_add(1, Ordering::SeqCst);
        Searching(self)
    }

    /// Adds a file.
    fn add(&self, file: SplitUpload) {
        self.files().push(Arc::new(file));
        self.changed.send_replace(());
    }

    /// Whether all files are stored or have failed, and no connection looks for more.
    pub(super) fn is_finished(&self) -> bool {
        let is_searching = self.searching.load(Ordering::SeqCst) > 0;
        !is_searching && self.files().iter().all(|file| file.is_finished())
    }

    /// What to do next.
    fn next(&self) -> SplitTask {
        let mut files = self.files();
        files.retain(|file| !file.is_finished());
        if let Some(finishing) = files.iter().find_map(Finishing::begin) {
            return SplitTask::Finish(finishing);
        }
        if let Some(run) = files.iter().find_map(TakenBlocks::take) {
            return SplitTask::Run(run);
        }
        if let Some(opening) = files.iter().find_map(UploadOpening::begin) {
            return SplitTask::Open(opening);
        }
        match files.is_empty() && self.searching.load(Ordering::SeqCst) == 0 {
            true => SplitTask::Done,
            false => SplitTask::Wait,
        }
    }

    fn files(&self) -> MutexGuard<'_, Vec<Arc<SplitUpload>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        self.0.searching.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.send_replace(());
    }
}
