//! Transfers in progress, and their log lines.

use super::{Audit, AuditableError, READ_LOG_TARGET, log_event, shown};
use crate::metrics::TransferDirection;
use sshome_wire::{Digest, RemotePath};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The progress of a transfer.
#[derive(Clone, Debug)]
pub struct TransferProgress {
    /// Its direction.
    pub direction: TransferDirection,
    /// The file.
    pub path: RemotePath,
    /// Transferred bytes.
    pub done: u64,
    /// The total in bytes, if known.
    pub total: Option<u64>,
    /// Its duration so far.
    pub lasted: Duration,
}

/// The transfers of one session.
#[derive(Debug, Default)]
pub(super) struct ActiveTransfers {
    next: AtomicU64,
    under_way: Mutex<BTreeMap<u64, Arc<TransferState>>>,
}

#[derive(Debug)]
struct TransferState {
    direction: TransferDirection,
    path: RemotePath,
    total: Option<u64>,
    done: AtomicU64,
    begun: Instant,
    /// Why it failed, if it did before its end.
    failure: OnceLock<String>,
}

impl ActiveTransfers {
    pub(super) fn list(&self) -> Vec<TransferProgress> {
        let progress = |state: &Arc<TransferState>| TransferProgress {
            direction: state.direction,
            path: state.path.clone(),
            done: state.done.load(Relaxed),
            total: state.total,
            lasted: state.begun.elapsed(),
        };
        self.under_way().values().map(progress).collect()
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<TransferState>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transfer in progress. Dropping it before its end logs it as not finished, or as failed if part of it was refused.
#[derive(Debug)]
pub struct Transfer {
    audit: Audit,
    id: u64,
    state: Arc<TransferState>,
    ended: bool,
}

impl Transfer {
    pub(super) fn begin(
        audit: Audit,
        direction: TransferDirection,
        path: &RemotePath,
        total: Option<u64>,
    ) -> Transfer {
        let (done, begun) = (AtomicU64::new(0), Instant::now());
        let state = Arc::new(TransferState {
            direction,
            path: path.clone(),
            total,
            done,
            begun,
            failure: OnceLock::new(),
        });
        let transfers = &audit.0.transfers;
        let id = transfers.next.fetch_add(1, Relaxed);
        transfers.under_way().insert(id, Arc::clone(&state));
        Transfer { audit, id, state, ended: false }
    }

    /// Counts bytes that the receiver has already.
    pub fn skip(&self, bytes: u64) {
        self.state.done.fetch_add(bytes, Relaxed);
    }

    /// Counts transferred bytes.
    pub fn moved(&self, bytes: u64) {
        self.state.done.fetch_add(bytes, Relaxed);
        self.audit.metrics().bytes(self.state.direction, bytes);
    }

    /// Notes that part of it was refused or failed. Only the first failure is logged.
    pub fn refused(&self, error: &impl AuditableError) {
        if self.state.failure.set(error.to_string()).is_ok() {
            self.audit.refused(error);
        }
    }

    /// Its duration so far.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.state.begun.elapsed()
    }

    /// Ends it: the file was published.
    pub fn published(mut self, bytes: u64, digest: Option<Digest>, replaced: bool) {
        self.end("done");
        self.audit.published(&self.state.path, bytes, self.lasted(), digest, replaced);
    }

    /// Ends it: the file was read to its end.
    pub fn read(mut self, digest: Digest) {
        self.end("done");
        self.log_read(Some(digest));
    }

    /// Ends it: the file was closed. It is not known whether all of it was transferred.
    pub fn closed(mut self, changed: bool) {
        let bytes = self.bytes();
        if bytes == 0 && !changed {
            self.ended = true;
            return;
        }
        self.end("done");
        match self.state.direction {
            TransferDirection::Download => self.log_read(None),
            _ => {
                let (path, seconds) = (&self.state.path, self.lasted().as_secs_f64());
                log_event!(self.audit, "written", path = shown(path.as_bytes()), bytes, seconds);
            }
        }
    }

    /// Ends it: the connection or channel ended before the client closed the file.
    pub fn cut(mut self, changed: bool) {
        // Without transferred bytes nothing is logged.
        self.ended = self.bytes() == 0 && !changed;
    }

    /// Ends it: it failed.
    pub fn failed(self, why: &impl Display) {
        // An earlier failure is the cause of this one. Dropping it logs the failure.
        let _ = self.state.failure.set(why.to_string());
    }

    fn bytes(&self) -> u64 {
        self.state.done.load(Relaxed)
    }

    fn end(&mut self, result: &'static str) {
        self.ended = true;
        self.audit.metrics().transfer(self.state.direction, result);
    }

    fn log_read(&self, digest: Option<Digest>) {
        if !self.audit.user_has_line() {
            return;
        }
        let (path, bytes) = (&self.state.path, self.bytes());
        let seconds = self.lasted().as_secs_f64();
        match digest {
            Some(digest) => {
                log_event!(target: READ_LOG_TARGET, self.audit, "read", path = shown(path.as_bytes()), bytes, seconds, digest = %digest);
            }
            None => {
                log_event!(target: READ_LOG_TARGET, self.audit, "read", path = shown(path.as_bytes()), bytes, seconds)
            }
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.audit.0.transfers.under_way().remove(&self.id);
        if self.ended {
            return;
        }
        let failure = self.state.failure.get().cloned();
        self.end(if failure.is_some() { "failed" } else { "cut" });
        // An upload over SFTP may have changed a file in place.
        if self.state.direction == TransferDirection::Download && !self.audit.user_has_line() {
            return;
        }
        let (direction, path) = (self.state.direction.name(), &self.state.path);
        let (bytes, seconds) = (self.bytes(), self.lasted().as_secs_f64());
        match failure {
            Some(why) => {
                log_event!(
                    self.audit,
                    "failed",
                    direction,
                    path = shown(path.as_bytes()),
                    bytes,
                    seconds,
                    why
                )
            }
            None => {
                log_event!(
                    self.audit,
                    "not finished",
                    direction,
                    path = shown(path.as_bytes()),
                    bytes,
                    seconds
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditRefusal;

    #[derive(Debug, thiserror::Error)]
    #[error("read-only")]
    struct ReadOnly;

    impl AuditableError for ReadOnly {
        fn refusal(&self) -> Option<AuditRefusal<'_>> {
            Some(AuditRefusal::Permission)
        }
    }

    #[test]
    fn running_transfers_are_listed_until_they_end() {
        let audit = Audit::new(7, "192.0.2.1:5".parse().unwrap(), Arc::default(), Arc::default());
        let path = RemotePath::root().join(b"a").unwrap();
        let upload = audit.transfer(TransferDirection::Upload, &path, Some(10));
        let download = audit.transfer(TransferDirection::Download, &path, None);
        upload.skip(4);
        upload.moved(3);
        let shown: Vec<_> = audit
            .transfers()
            .iter()
            .map(|progress| (progress.direction, progress.done, progress.total))
            .collect();
        assert_eq!(shown, [(TransferDirection::Upload, 7, Some(10)), (TransferDirection::Download, 0, None)]);
        upload.published(7, None, false);
        download.closed(false);
        assert!(audit.transfers().is_empty());
    }

    #[test]
    fn closed_aborted_and_failed_files_are_counted_separately() {
        let metrics = Arc::new(crate::metrics::Metrics::default());
        let audit = Audit::new(7, "192.0.2.1:5".parse().unwrap(), Arc::clone(&metrics), Arc::default());
        let path = RemotePath::root().join(b"a").unwrap();
        let begin = |bytes| {
            let upload = audit.transfer(TransferDirection::Upload, &path, None);
            upload.moved(bytes);
            upload
        };
        begin(1).closed(true);
        begin(1).cut(true);
        drop(begin(1));
        // A transfer without any bytes is not counted.
        begin(0).cut(false);
        begin(0).closed(false);
        let refused = begin(1);
        refused.refused(&ReadOnly);
        refused.cut(true);
        begin(1).failed(&ReadOnly);
        let text = metrics.render(&crate::metrics::MetricsSnapshot::default());
        for (result, count) in [("done", 1), ("cut", 2), ("failed", 2)] {
            let line = format!("sshomed_files_total{{direction=\"upload\",result=\"{result}\"}} {count}");
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
    }
}
