//! Homes on a local filesystem pass the tests that every store passes.
#![allow(clippy::unwrap_used, reason = "that is how tests fail")]

use sshome_store::HomeStore;
use sshome_store::conformance::{ConformanceHost, CountHold};
use sshome_store_posix::{CountPhase, PosixStore};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A folder for homes.
struct PosixHost {
    folder: TempDir,
    hold: CountHold<CountPhase>,
}

impl ConformanceHost for PosixHost {
    fn open(&self) -> Vec<Arc<dyn HomeStore>> {
        let hold = self.hold.clone();
        vec![Arc::new(PosixStore::observed(move |user, phase| hold.pass(user, phase)))]
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("ann")
    }

    fn hold_counts(&self) -> bool {
        self.hold.hold();
        true
    }

    fn release_counts(&self) {
        self.hold.release();
    }
}

sshome_store::conformance_tests!(|| {
    let folder = TempDir::with_prefix("sshome-store-").unwrap();
    Box::new(PosixHost { folder, hold: CountHold::default() }) as Box<dyn ConformanceHost>
});
