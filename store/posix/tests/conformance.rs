//! Homes on a local filesystem pass the tests that every store passes.
#![allow(clippy::unwrap_used, reason = "that is how tests fail")]

use sshome_store::HomeStore;
use sshome_store::conformance::ConformanceHost;
use sshome_store_posix::PosixStore;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A folder for homes.
struct PosixHost(TempDir);

impl ConformanceHost for PosixHost {
    fn open(&self) -> Vec<Arc<dyn HomeStore>> {
        vec![Arc::new(PosixStore::default())]
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("ann")
    }
}

sshome_store::conformance_tests!(|| {
    Box::new(PosixHost(TempDir::with_prefix("sshome-store-").unwrap())) as Box<dyn ConformanceHost>
});
