//! A change of the destination.

use std::path::Path;

/// What is done to an entry of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncAction {
    /// It does not exist yet.
    Create,
    /// It exists with other content.
    Update,
    /// It is deleted.
    Delete,
}

/// A change of the destination that is planned, or with a dry run would be.
#[derive(Clone, Copy, Debug)]
pub struct SyncChange<'a> {
    /// What is done.
    pub action: SyncAction,
    /// The entry's path on the server.
    pub path: &'a [u8],
    /// Its local path, if it is a local entry that changes.
    pub local: Option<&'a Path>,
    /// Whether it is a directory.
    pub is_directory: bool,
}
