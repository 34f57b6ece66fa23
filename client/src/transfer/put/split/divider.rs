//! Which files are divided.

use super::{SplitUpload, SplitUploads};
use crate::transfer::TransferOptions;
use crate::transfer::delta::{self, DeltaLimits, OldVersion};
use crate::transfer::jobs::{Jobs, Load};
use crate::transfer::parallel::available_cores;
use crate::transfer::put::walk::ParentDirectory;
use sshome_wire::RemotePath;
use std::path::PathBuf;
use std::sync::Arc;

/// Decides which files of a put are divided, and leaves them to all connections.
#[derive(Clone, Debug)]
pub(in crate::transfer::put) struct FileDivider {
    uploads: Arc<SplitUploads>,
    jobs: Jobs,
    /// Shorter files are not divided, in bytes.
    min_bytes: u64,
    delta: Option<DeltaLimits>,
}

impl FileDivider {
    /// A divider for uploads with these options.
    pub(in crate::transfer::put) fn new(
        uploads: &Arc<SplitUploads>,
        options: TransferOptions,
        delta: Option<DeltaLimits>,
    ) -> FileDivider {
        let (uploads, jobs, min_bytes) = (Arc::clone(uploads), options.jobs, options.split_bytes);
        FileDivider { uploads, jobs, min_bytes, delta }
    }

    /// The number of connections for a file of `size` bytes; `None` if it is not divided.
    pub(in crate::transfer::put) fn connections(&self, size: u64, old: OldVersion) -> Option<usize> {
        let load = Load::default().and_divided(size, self.min_bytes);
        let connections = self.jobs.connections(load, available_cores());
        let is_divided = size >= self.min_bytes && !delta::is_preferred(self.delta, size, old);
        (is_divided && connections > 1).then_some(connections)
    }

    /// Leaves a file to all connections: its path, and whether a link is followed; its path on the server, and its parent;
    /// and what it would replace.
    pub(in crate::transfer::put) fn add(
        &self,
        from: (PathBuf, bool),
        to: (RemotePath, ParentDirectory),
        old: OldVersion,
        connections: usize,
    ) {
        let changed = Arc::clone(&self.uploads.changed);
        self.uploads.add(SplitUpload::new(from, to, old, connections, changed));
    }
}
