//! The local directories of a plan: made, opened as needed, and synced.

use super::plan::Plan;
use crate::transfer::local::LocalDirectory;
use crate::transfer::names;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Up to this many files or directories are synced one by one; more by one call for the whole filesystem, which also
/// waits for other programs' data.
const MAX_SINGLE_SYNCS: usize = 8;

/// The plan's directories on the local disk.
pub(super) struct Store {
    plan: Arc<Plan>,
    /// The directory that was opened last: a plan's files are grouped by directory.
    open: Option<(usize, Rc<LocalDirectory>)>,
    unsynced: Unsynced,
}

impl Store {
    pub(super) fn new(plan: Arc<Plan>) -> Store {
        Store { plan, open: None, unsynced: Unsynced::default() }
    }

    /// Opens a directory of the plan, which must have been made.
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

    /// Makes an unfinished file for this name in a directory of the plan, under an unused name.
    pub(super) fn create(
        &mut self,
        place: usize,
        name: &[u8],
    ) -> io::Result<(Rc<LocalDirectory>, Vec<u8>, File)> {
        let directory = self.directory(place)?;
        for part in names::parts(name) {
            match directory.create(&part) {
                Ok(file) => return Ok((directory, part, file)),
                // There may be a directory with that name.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::IsADirectory) => {}
                Err(error) => return Err(error),
            }
        }
        let part = names::unguessable_part(name);
        let file = directory.create(&part)?;
        Ok((directory, part, file))
    }

    /// Makes a directory of the plan that is missing; its parent must exist. It is made accessible to be filled: returns
    /// the mode that has to be set afterwards.
    ///
    /// # Errors
    /// `AlreadyExists` if it is not missing.
    pub(super) fn make_new(&mut self, place: usize) -> io::Result<Option<u32>> {
        let found = self.plan.places.get(place).ok_or(io::ErrorKind::NotFound)?;
        let (name, above) = found.below.split_last().ok_or(io::ErrorKind::AlreadyExists)?;
        let parent = open(&found.base, above)?;
        if !parent.make(name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let directory = parent.subdirectory(name)?;
        self.unsynced.add(&Rc::new(parent));
        directory.open_to_fill(found.attributes.unwrap_or_default().mode, true)
    }

    /// Makes a directory of the plan if it is missing; its parent must exist. With `preserve` it is made accessible to
    /// be filled: returns the mode that has to be set afterwards.
    pub(super) fn make(&mut self, place: usize, preserve: bool) -> io::Result<Option<u32>> {
        let found = self.plan.places.get(place).ok_or(io::ErrorKind::NotFound)?;
        let Some((name, above)) = found.below.split_last() else {
            return LocalDirectory::open(&found.base).map(|_| None);
        };
        let parent = open(&found.base, above)?;
        let made = parent.make(name)?;
        let directory = parent.subdirectory(name)?;
        if made {
            self.unsynced.add(&Rc::new(parent));
        }
        match found.attributes.filter(|_| preserve) {
            Some(attributes) => directory.open_to_fill(attributes.mode, made),
            None => Ok(None),
        }
    }

    /// Notes that names in a directory have changed.
    pub(super) fn touched(&mut self, directory: &Rc<LocalDirectory>) {
        self.unsynced.add(directory);
    }

    /// Syncs the names that have changed.
    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.unsynced).sync()
    }
}

/// Opens a directory below the one that the user named.
pub(in crate::transfer) fn open(base: &Path, below: &[Vec<u8>]) -> io::Result<LocalDirectory> {
    let mut directory = LocalDirectory::open(base)?;
    for name in below {
        directory = directory.subdirectory(name)?;
    }
    Ok(directory)
}

/// Directories whose names, modes or times have changed since the last sync. Only a few of them are kept open.
#[derive(Default)]
pub(super) struct Unsynced {
    directories: Vec<Rc<LocalDirectory>>,
    /// Whether there are more than these, on the filesystem of the first.
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

/// Syncs files. Returns the result of each.
pub(super) fn sync_files<T>(
    files: Vec<T>,
    parts: impl Fn(&T) -> (&Rc<LocalDirectory>, &File),
) -> Vec<(T, io::Result<()>)> {
    let at_once = match files.first().map(|first| parts(first).0) {
        Some(first) if LocalDirectory::SYNCS_AT_ONCE && files.len() > MAX_SINGLE_SYNCS => {
            let together = files.iter().all(|file| parts(file).0.device() == first.device());
            // If it fails, each file is synced by itself.
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
