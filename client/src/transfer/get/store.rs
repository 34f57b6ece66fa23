//! The local directories of a plan: made, opened as they are needed, and brought to the disk.

use super::plan::Plan;
use crate::transfer::local::LocalDirectory;
use crate::transfer::names;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Up to this many files or directories are brought to the disk one by one; more of them by one
/// call for the whole file system, which also waits for what others have written.
const MAX_SINGLE_SYNCS: usize = 8;

/// The plan's directories on the local disk.
pub(super) struct Store {
    plan: Arc<Plan>,
    /// The one opened last: a plan's files come directory by directory.
    open: Option<(usize, Rc<LocalDirectory>)>,
    unsynced: Unsynced,
}

impl Store {
    pub(super) fn new(plan: Arc<Plan>) -> Store {
        Store { plan, open: None, unsynced: Unsynced::default() }
    }

    /// Opens a directory of the plan that was made before.
    pub(super) fn directory(&mut self, place: usize) -> io::Result<Rc<LocalDirectory>> {
        if let Some((open, directory)) = &self.open
            && *open == place
        {
            return Ok(Rc::clone(directory));
        }
        let found = self.plan.places.get(place).ok_or(io::ErrorKind::NotFound)?;
        let directory = Rc::new(open(&found.base, &found.below)?);
        self.open = Some((place, Rc::clone(&directory)));
        Ok(directory)
    }

    /// Makes an unfinished file for this name in a directory of the plan, under a name that nobody else is
    /// using.
    pub(super) fn create(
        &mut self,
        place: usize,
        name: &[u8],
    ) -> io::Result<(Rc<LocalDirectory>, Vec<u8>, File)> {
        let directory = self.directory(place)?;
        for part in names::parts(name) {
            match directory.create(&part) {
                Ok(file) => return Ok((directory, part, file)),
                // Somebody may have put a directory there.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::IsADirectory) => {}
                Err(error) => return Err(error),
            }
        }
        let part = names::unguessable_part(name);
        let file = directory.create(&part)?;
        Ok((directory, part, file))
    }

    /// Makes a directory of the plan if it is missing; the one that it is in was made before. With
    /// `preserve` it is opened to be filled: says whether it is to get its mode after that.
    pub(super) fn make(&mut self, place: usize, preserve: bool) -> io::Result<bool> {
        let found = self.plan.places.get(place).ok_or(io::ErrorKind::NotFound)?;
        let Some((name, above)) = found.below.split_last() else {
            return LocalDirectory::open(&found.base).map(|_| false);
        };
        let parent = open(&found.base, above)?;
        let made = parent.make(name)?;
        let directory = parent.subdirectory(name)?;
        if made {
            self.unsynced.add(&Rc::new(parent));
        }
        match found.attributes.filter(|_| preserve) {
            Some(attributes) => directory.open_to_fill(attributes.mode, made),
            None => Ok(false),
        }
    }

    /// Notes that names in a directory have changed.
    pub(super) fn touched(&mut self, directory: &Rc<LocalDirectory>) {
        self.unsynced.add(directory);
    }

    /// Brings the names that have changed to the disk.
    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.unsynced).sync()
    }
}

/// Opens a directory on the way from the one that the user named.
pub(super) fn open(base: &Path, below: &[Vec<u8>]) -> io::Result<LocalDirectory> {
    let mut directory = LocalDirectory::open(base)?;
    for name in below {
        directory = directory.subdirectory(name)?;
    }
    Ok(directory)
}

/// Directories whose names, or whose own modes and times, have changed since they were last on the disk. Few of
/// them are kept open, however many there are.
#[derive(Default)]
pub(super) struct Unsynced {
    directories: Vec<Rc<LocalDirectory>>,
    /// There are more than these, on the file system of the first.
    more: bool,
    failed: Option<io::Error>,
}

impl Unsynced {
    pub(super) fn add(&mut self, directory: &Rc<LocalDirectory>) {
        if self.directories.iter().any(|known| Rc::ptr_eq(known, directory)) {
            return;
        }
        match self.directories.first() {
            Some(first) if self.directories.len() >= MAX_SINGLE_SYNCS => {
                if LocalDirectory::SYNCS_AT_ONCE && first.device() == directory.device() {
                    self.more = true;
                } else if let Err(error) = directory.sync() {
                    self.failed = Some(error);
                }
            }
            _ => self.directories.push(Rc::clone(directory)),
        }
    }

    pub(super) fn sync(self) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.more
            && let Some(first) = self.directories.first()
        {
            first.sync_filesystem()?;
        }
        self.directories.iter().try_for_each(|directory| directory.sync())
    }
}

/// Brings files to the disk, each with what became of it.
pub(super) fn sync_files<T>(
    files: Vec<T>,
    parts: impl Fn(&T) -> (&Rc<LocalDirectory>, &File),
) -> Vec<(T, io::Result<()>)> {
    let at_once = match files.first().map(|first| parts(first).0) {
        Some(first) if LocalDirectory::SYNCS_AT_ONCE && files.len() > MAX_SINGLE_SYNCS => {
            let together = files.iter().all(|file| parts(file).0.device() == first.device());
            // If it fails, each file says for itself whether it is on the disk.
            together && first.sync_filesystem().is_ok()
        }
        _ => false,
    };
    let sync = |file: T| {
        let synced = if at_once { Ok(()) } else { parts(&file).1.sync_data() };
        (file, synced)
    };
    files.into_iter().map(sync).collect()
}
