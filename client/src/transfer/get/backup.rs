//! Where the old versions of local files go that a pull replaces or deletes.

use super::store::Unsynced;
use crate::names::shown;
use crate::transfer::local::{LocalDirectory, LocalEntry, identity, mode, mtime, set_mode, set_mtime};
use crate::transfer::names;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// A local directory that gets the old versions, under their paths below the destination.
#[derive(Debug)]
pub(in crate::transfer) struct LocalBackup {
    directory: PathBuf,
    identity: Option<(u64, u64)>,
    /// The number of names at the beginning of a path that belong to the destination itself.
    skip: usize,
}

impl LocalBackup {
    /// The directory `directory`, which is made if it is missing, for a destination that is the directory `base`, or `name`
    /// in it.
    ///
    /// # Errors
    /// If it cannot be made, is on another disk, or contains the destination.
    pub(in crate::transfer) fn make(
        directory: PathBuf,
        base: &Path,
        name: Option<&[u8]>,
    ) -> Result<LocalBackup, String> {
        let failed = |error: io::Error| format!("--backup-dir {}: {error}", shown(&directory));
        fs::create_dir_all(&directory).map_err(failed)?;
        let skip = usize::from(name.is_some());
        let backup = LocalBackup::of(directory.clone(), skip).map_err(failed)?;
        let top = base.canonicalize().map_err(failed)?;
        let name = name.and_then(crate::names::path);
        let own = backup.directory.canonicalize().map_err(failed)?;
        if top.starts_with(&own) || name.is_some_and(|name| top.join(name) == own) {
            let text = "it contains the destination; choose a directory beside or in it";
            return Err(failed(io::Error::other(text)));
        }
        let device = |path: &Path| LocalDirectory::open(path).map(|directory| directory.device());
        if device(&backup.directory).map_err(failed)? != device(base).map_err(failed)? {
            return Err(failed(io::Error::other("it has to be on the same disk as the destination")));
        }
        Ok(backup)
    }

    /// The directory if it exists, for a dry run.
    pub(in crate::transfer) fn existing(directory: PathBuf) -> Option<LocalBackup> {
        LocalBackup::of(directory, 0).ok()
    }

    fn of(directory: PathBuf, skip: usize) -> io::Result<LocalBackup> {
        let identity = identity(&fs::metadata(&directory)?);
        Ok(LocalBackup { directory, identity, skip })
    }

    /// Whether an entry with this identity is the directory.
    pub(in crate::transfer) fn is_at(&self, entry: Option<(u64, u64)>) -> bool {
        entry.is_some() && entry == self.identity
    }
}

/// Keeps old versions, and syncs their names.
pub(in crate::transfer) struct BackupWriter {
    backup: Arc<LocalBackup>,
    /// The directory that was opened last, with its names below the destination.
    open: Option<(Vec<Vec<u8>>, Rc<LocalDirectory>)>,
    unsynced: Unsynced,
}

impl BackupWriter {
    pub(in crate::transfer) fn new(backup: Arc<LocalBackup>) -> BackupWriter {
        BackupWriter { backup, open: None, unsynced: Unsynced::default() }
    }

    /// Gives the file or link `name` of a directory a second name; on a disk without hard links it is copied. `below` are
    /// the names of the directory below the base. A missing file needs none.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(in crate::transfer) fn keep(
        &mut self,
        directory: &LocalDirectory,
        below: &[Vec<u8>],
        name: &[u8],
    ) -> Result<(), String> {
        match directory.look(name, false).map_err(not_kept)? {
            None | Some(LocalEntry::Directory) => return Ok(()),
            Some(LocalEntry::File { .. } | LocalEntry::Other) => {}
        }
        let to = self.directory(below).map_err(not_kept)?;
        let part = names::unguessable_part(name);
        let linked = match directory.link(name, &to, &part) {
            Err(error) if cannot_link(&error) => copy(directory, name, &to, &part),
            linked => linked,
        };
        let kept = linked.and_then(|()| to.publish(&part, name));
        // Of two names of one file a rename keeps both. After a failure, it is in nobody's way.
        let _ = to.remove(&part);
        kept.map_err(not_kept)
    }

    /// Moves a file or a link there.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::transfer) fn move_away(
        &mut self,
        directory: &LocalDirectory,
        below: &[Vec<u8>],
        name: &[u8],
    ) -> io::Result<()> {
        let to = self.directory(below)?;
        directory.rename(name, &to, name)
    }

    /// Syncs the names of all that was kept.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::transfer) fn sync(&mut self) -> Result<(), String> {
        std::mem::take(&mut self.unsynced).sync().map_err(not_kept)
    }

    /// Opens the directory for old versions of the files in this one, and makes it if it is missing.
    fn directory(&mut self, below: &[Vec<u8>]) -> io::Result<Rc<LocalDirectory>> {
        let below = below.get(self.backup.skip..).unwrap_or_default();
        let directory = match &self.open {
            Some((open, directory)) if open == below => Rc::clone(directory),
            _ => {
                let mut directory = Rc::new(LocalDirectory::open(&self.backup.directory)?);
                for name in below {
                    if directory.make(name)? {
                        self.unsynced.add(&directory);
                    }
                    directory = Rc::new(directory.subdirectory(name)?);
                }
                self.open = Some((below.to_vec(), Rc::clone(&directory)));
                directory
            }
        };
        self.unsynced.add(&directory);
        Ok(directory)
    }
}

/// Copies a file with its mode and time. The copy is on the disk.
fn copy(directory: &LocalDirectory, name: &[u8], to: &LocalDirectory, part: &[u8]) -> io::Result<()> {
    let mut source = directory.read(name, false)?;
    let seen = source.metadata()?;
    if !seen.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut copy = to.create(part)?;
    io::copy(&mut source, &mut copy)?;
    set_mode(&copy, mode(&seen).unwrap_or(0o644))?;
    set_mtime(&copy, mtime(&seen))?;
    copy.sync_all()
}

/// Whether the disk has no hard links, or none for this file. FAT answers EPERM.
fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), PermissionDenied | TooManyLinks | Unsupported)
}

fn not_kept(error: io::Error) -> String {
    format!("not replaced: its old version cannot be kept: {error}")
}
