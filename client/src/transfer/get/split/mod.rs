//! Large files that several connections fetch together, in runs of blocks.
//!
//! A file is opened by one connection: it asks the server for the version, and finds or makes the partial file
//! ([`open`]). Then all connections take runs of blocks ([`run`]), which they request ([`fetch`]) and write at their
//! offsets ([`writer`]). A block counts once its digest equals the server's. The partial file has holes: which of its
//! blocks are right is asked when it is resumed. If the server has another version, the file is opened again, and the
//! blocks that exist are compared.

mod fetch;
mod file;
mod open;
mod run;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use fetch::fetch;

use super::plan::Plan;
use file::{Opening, SplitFile};
use run::TakenRun;
use std::sync::Arc;
use tokio::sync::watch;

/// The divided files of a download.
#[derive(Debug)]
pub(super) struct SplitDownloads {
    files: Vec<Arc<SplitFile>>,
    /// The number of connections that are expected.
    connections: usize,
    /// Notified when there may be something to do again.
    changed: Arc<watch::Sender<()>>,
}

/// What a connection can do next.
enum SplitTask {
    Run(TakenRun),
    /// Open this file, once nothing else is requested.
    Open(Opening),
    /// Others work on what is left. They may return it.
    Wait,
    Done,
}

impl SplitDownloads {
    /// Files by their numbers in the plan, for about this many connections.
    pub(super) fn new(plan: &Plan, files: &[usize], connections: usize) -> SplitDownloads {
        let changed = Arc::new(watch::Sender::new(()));
        let file = |number: &usize| {
            Arc::new(SplitFile::new(*number, plan.remote_bytes(*number), Arc::clone(&changed)))
        };
        SplitDownloads { files: files.iter().map(file).collect(), connections, changed }
    }

    /// Whether all files are complete or have failed.
    pub(super) fn is_finished(&self) -> bool {
        self.files.iter().all(|file| file.is_finished())
    }

    /// Closes the partial files. Returns the names of those that have not a single block, with the files' numbers in the plan.
    pub(super) fn close_parts(&self) -> Vec<(usize, Vec<u8>)> {
        let useless = |file: &Arc<SplitFile>| file.close_part().map(|name| (file.number, name));
        self.files.iter().filter_map(useless).collect()
    }

    /// What to do next. A file is only opened if `may_open`.
    fn next(&self, may_open: bool) -> SplitTask {
        if let Some(run) = self.files.iter().find_map(|file| TakenRun::take(file, self.connections)) {
            return SplitTask::Run(run);
        }
        if may_open && let Some(opening) = self.files.iter().find_map(Opening::begin) {
            return SplitTask::Open(opening);
        }
        match self.is_finished() {
            true => SplitTask::Done,
            false => SplitTask::Wait,
        }
    }
}
