//! Adding paths to causes.

use super::tree::Tree;
use crate::quota::QuotaExceeded;
use crate::{Cause, StoreError, StoreResult};
use sshome_wire::RemotePath;

/// Adds the path to a cause.
pub(super) trait AtPath<T> {
    /// The path is that of a file, or of any type.
    fn of_file(self, path: &RemotePath) -> StoreResult<T>;
    /// A directory is required at the path.
    fn of_directory(self, path: &RemotePath) -> StoreResult<T>;
}

impl<T> AtPath<T> for Result<T, Cause> {
    fn of_file(self, path: &RemotePath) -> StoreResult<T> {
        self.map_err(|cause| StoreError::file(path, cause))
    }

    fn of_directory(self, path: &RemotePath) -> StoreResult<T> {
        self.map_err(|cause| StoreError::directory(path, cause))
    }
}

/// Adds the path to an error of locating a new name: that of the topmost missing directory, if one is missing.
pub(super) fn of_parent<'a>(tree: &'a Tree, path: &'a RemotePath) -> impl FnOnce(Cause) -> StoreError + 'a {
    move |cause| {
        let mut missing = path.clone();
        if cause == Cause::NotFound {
            while let Some((parent, _)) = missing.split()
                && tree.resolve(&parent).err() == Some(Cause::NotFound)
            {
                missing = parent;
            }
        }
        StoreError::directory(&missing, cause)
    }
}

/// Adds the path to a refusal of the quota.
pub(super) fn over_quota(path: &RemotePath) -> impl FnOnce(QuotaExceeded) -> StoreError + '_ {
    |exceeded| StoreError::quota(path, exceeded)
}
