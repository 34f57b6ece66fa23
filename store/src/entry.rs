//! Names in directories: their identity, and references that are held.

use crate::quota::FileId;
use sshome_wire::RemotePath;
use std::any::Any;
use std::fmt;

/// The identity of a directory entry: two paths lead to the same entry if these are equal. It does not change when the
/// directory is renamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// The directory.
    pub directory: FileId,
    /// The name in it.
    pub name: Vec<u8>,
}

/// An opaque reference to a directory entry that a store holds for a later step: it follows the directory if that is
/// renamed. Its content is up to the store.
pub struct EntryRef {
    held: Box<dyn Any + Send>,
    is_over_budget: bool,
}

impl EntryRef {
    /// A reference. `is_over_budget` says that the user holds more than the store wants to keep open: the caller should
    /// take the next step soon.
    #[must_use]
    pub fn new(held: impl Any + Send, is_over_budget: bool) -> EntryRef {
        EntryRef { held: Box::new(held), is_over_budget }
    }

    /// Whether the step for which this is held should be taken soon.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        self.is_over_budget
    }

    /// The store's own type; `None` if a different store made it.
    #[must_use]
    pub fn into_held<T: Any>(self) -> Option<T> {
        self.held.downcast().ok().map(|held| *held)
    }
}

impl fmt::Debug for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryRef")
    }
}

/// A new hard link.
#[derive(Debug)]
pub struct MadeLink {
    /// The path of the file.
    pub from: RemotePath,
    /// The path of the link.
    pub to: RemotePath,
    /// Whether it replaced a different file.
    pub replaced: bool,
    /// The new name, to be [published](crate::Home::publish).
    pub name: EntryRef,
}
