//! What a synchronisation reports: changes of the destination, and differences.

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

/// How two trees differ in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It exists only locally.
    OnlyLocal,
    /// It exists only on the server.
    OnlyRemote,
    /// Both sides have it, with different contents, or as entries of different types.
    Differs,
}

/// A difference between two trees.
#[derive(Clone, Copy, Debug)]
pub struct TreeDifference<'a> {
    /// How they differ.
    pub kind: DifferenceKind,
    /// The entry's path below the tops of the trees.
    pub path: &'a [u8],
    /// Whether it is a directory, of which the entries are not reported.
    pub is_directory: bool,
}
