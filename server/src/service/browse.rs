//! Browsing: `cd`, `stat`, `ls`.

use super::{Error, Result, StepLimit, User};
use sshome_store::{Cause, DirectoryEntry, DirectoryReader, FileInfo, StoreError};
use sshome_wire::RemotePath;

/// Checks that a path is an accessible directory.
///
/// # Errors
/// If it is not a directory, or may not be read.
pub fn enter_directory(user: &User, path: &RemotePath) -> Result<()> {
    Ok(user.home.enter_directory(path)?)
}

/// The working directory that `path` leads to from `cwd`. As in a shell, and only here, `..` removes the name before it,
/// even if that is a link; but each name must be a directory.
///
/// # Errors
/// If a directory is missing, or the path is too long.
pub fn change_directory(user: &User, cwd: &RemotePath, path: &[u8]) -> Result<RemotePath> {
    let is_absolute = path.first() == Some(&b'/');
    let mut at = if is_absolute { RemotePath::root() } else { cwd.clone() };
    // The number of names of `path` at the end of `at`, and whether they were checked to be directories.
    let (mut given, mut checked) = (0_usize, true);
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                if given > 0 && !checked {
                    enter_directory(user, &at)?;
                }
                (given, checked) = (given.saturating_sub(1), true);
                at = at.split().map_or_else(RemotePath::root, |(parent, _)| parent);
            }
            name => {
                at = at.join(name).map_err(|_| StoreError::directory(&at, Cause::NameTooLong))?;
                (given, checked) = (given + 1, false);
            }
        }
    }
    enter_directory(user, &at)?;
    Ok(at)
}

/// The attributes of the file at a path. A link at its end is followed with `follow`, or if the path ends in a slash.
///
/// # Errors
/// If it does not exist.
pub fn stat(user: &User, path: &RemotePath, follow: bool) -> Result<DirectoryEntry> {
    let name = path.split().map_or_else(|| b"/".to_vec(), |(_, name)| name.to_vec());
    let info = user.home.info(path, follow)?;
    let target = match info.is_symlink() {
        true if !user.access().reads() => Vec::new(),
        true => match user.home.read_link(path) {
            // It was replaced meanwhile.
            Err(error) if error.cause() == Some(&Cause::Invalid) => Vec::new(),
            target => target?,
        },
        false => Vec::new(),
    };
    Ok(DirectoryEntry { name, info, target })
}

/// An open directory.
#[derive(Debug)]
pub struct OpenDirectory {
    path: RemotePath,
    reader: Box<dyn DirectoryReader>,
}

/// Opens a directory for reading, links followed.
///
/// # Errors
/// If it is not a directory, or may not be read.
pub fn open_directory(user: &User, path: &RemotePath) -> Result<OpenDirectory> {
    user.require_read()?;
    let reader = user.home.read_directory(path)?;
    Ok(OpenDirectory { path: path.clone(), reader })
}

impl OpenDirectory {
    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &RemotePath {
        &self.path
    }

    /// The next entry, without `.` and `..`; `None` at the end.
    ///
    /// # Errors
    /// The disk's.
    pub fn next_entry(&mut self) -> Result<Option<DirectoryEntry>> {
        Ok(self.reader.next_entry()?)
    }

    /// The directory's attributes.
    ///
    /// # Errors
    /// The disk's.
    pub fn info(&self) -> Result<FileInfo> {
        Ok(self.reader.info()?)
    }
}

/// The listing of one directory or of a whole tree, in batches.
pub struct Listing {
    top: RemotePath,
    recursive: bool,
    /// The attributes of the listed path.
    own: DirectoryEntry,
    /// Directories still to be read, from the top down to the current one.
    levels: Vec<ListingLevel>,
    current: Option<(Vec<u8>, Box<dyn DirectoryReader>)>,
    failed: u64,
    first_failure: Option<String>,
}

/// The subdirectories of one directory. Only the names on the way down to the current directory are kept in memory.
struct ListingLevel {
    /// The path of the directory, relative to the listed one.
    relative: Vec<u8>,
    /// In reverse order.
    names: Vec<Box<[u8]>>,
}

/// The path of a directory, relative to the listed one, and some of its entries.
pub(crate) type EntryBatch = (Vec<u8>, Vec<DirectoryEntry>);

impl Listing {
    /// Begins. Anything but a directory is listed as one entry.
    ///
    /// # Errors
    /// If it does not exist, or cannot be read.
    pub fn begin(user: &User, path: &RemotePath, recursive: bool) -> Result<Listing> {
        user.require_read()?;
        let mut own = stat(user, path, true).or_else(|error| match error.cause() {
            // A dangling link is listed as a link.
            Some(Cause::NotFound | Cause::TooManyLinks) => stat(user, path, false),
            _ => Err(error),
        })?;
        let directory = own.info.is_directory();
        let current = match directory {
            true => Some((Vec::new(), user.home.read_directory(path)?)),
            false => None,
        };
        if !directory {
            own = stat(user, path, false)?;
        }
        Ok(Listing {
            top: path.clone(),
            recursive,
            own,
            levels: vec![ListingLevel { relative: Vec::new(), names: Vec::new() }],
            current,
            failed: 0,
            first_failure: None,
        })
    }

    /// The attributes of the listed path.
    #[must_use]
    pub fn own(&self) -> &DirectoryEntry {
        &self.own
    }

    /// Whether the directory of the last batch may have more entries.
    #[must_use]
    pub fn is_in_directory(&self) -> bool {
        self.current.is_some()
    }

    /// Whether the path is a directory: otherwise the listing is of [`Listing::own`] alone.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.own.info.is_directory()
    }

    /// The entries of one directory that one step reads; `None` at the end. An empty directory has one empty batch. A
    /// directory that cannot be read is skipped.
    ///
    /// # Errors
    /// At the end, if a directory was skipped.
    pub fn next_batch(&mut self, user: &User, limit: StepLimit) -> Result<Option<EntryBatch>> {
        loop {
            if self.current.is_none() && !self.open_next(user) {
                return self.outcome().map(|()| None);
            }
            let Some((relative, reader)) = &mut self.current else { continue };
            let relative = relative.clone();
            let mut batch = Vec::new();
            let mut ended = Ok(false);
            while !limit.is_reached(batch.len() as u64) {
                match reader.next_entry() {
                    Ok(Some(entry)) => batch.push(entry),
                    Ok(None) => ended = Ok(true),
                    Err(error) => ended = Err(error),
                }
                if !matches!(ended, Ok(false)) {
                    break;
                }
            }
            if self.recursive
                && let Some(level) = self.levels.last_mut()
            {
                let folders = batch.iter().filter(|entry| entry.info.is_directory());
                level.names.extend(folders.map(|entry| entry.name.as_slice().into()));
            }
            match ended {
                Ok(false) => {}
                Ok(true) => self.current = None,
                Err(error) => {
                    self.current = None;
                    self.skip_directory(error);
                }
            }
            return Ok(Some((relative, batch)));
        }
    }

    /// Opens the next directory that can be opened: depth first, by name.
    fn open_next(&mut self, user: &User) -> bool {
        if let Some(inside) = self.levels.last_mut() {
            inside.names.sort_unstable_by(|a, b| b.cmp(a));
        }
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let relative = child(&level.relative, &name);
            let opened = match self.top.join(&relative) {
                Ok(path) => user.home.read_directory(&path),
                Err(_) => Err(StoreError::directory(&self.top, Cause::NameTooLong)),
            };
            match opened {
                Ok(reader) => {
                    self.levels.push(ListingLevel { relative: relative.clone(), names: Vec::new() });
                    self.current = Some((relative, reader));
                    return true;
                }
                // It was removed meanwhile.
                Err(error) if error.is_not_found() => {}
                Err(error) => self.skip_directory(error),
            }
        }
        false
    }

    fn skip_directory(&mut self, error: StoreError) {
        self.failed += 1;
        let error = Error::from(error);
        self.first_failure.get_or_insert_with(|| error.reason());
    }

    fn outcome(&self) -> Result<()> {
        match &self.first_failure {
            None => Ok(()),
            Some(first) => Err(Error::Partly { count: self.failed, first: first.clone() }),
        }
    }
}

fn child(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
