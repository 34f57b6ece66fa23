//! Lists local directories.

use crate::transfer::Failure;
use crate::transfer::local::LocalDirectory;
use sshome_wire::Entry;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// A local directory, listed completely.
#[derive(Debug, Default)]
pub(super) struct LocalListing {
    pub(super) entries: Vec<Entry>,
    /// Which file each name means.
    pub(super) identities: HashMap<Vec<u8>, (u64, u64)>,
    /// Entries that cannot be read.
    pub(super) failures: Vec<Failure>,
}

/// Lists an open directory. Its path is for messages.
///
/// # Errors
/// If the directory cannot be read to its end.
pub(super) fn list(directory: &LocalDirectory, path: &Path) -> io::Result<LocalListing> {
    let mut listing = LocalListing::default();
    for (name, stat) in directory.entries()? {
        match stat {
            Ok(stat) => {
                listing.identities.extend(stat.identity.map(|identity| (name, identity)));
                listing.entries.push(stat.entry);
            }
            Err(error) => {
                let path = path.join(crate::names::path(&name).unwrap_or_default());
                listing.failures.push(unreadable(&path, &error));
            }
        }
    }
    Ok(listing)
}

/// A local entry that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    crate::transfer::put::unreadable(path, error)
}
