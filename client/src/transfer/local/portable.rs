//! Directories as paths, for systems without calls that take a handle. Each use first checks that the name is not a link.
//! A link that is planted between check and use is followed: on Unix the kernel excludes that.

use super::{LocalEntry, LocalStat, busy, entry, identity, mtime};
use sshome_wire::Time;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A directory. Every name given to its methods is one component.
#[derive(Debug)]
pub(in crate::transfer) struct PortableDirectory(PathBuf);

impl PortableDirectory {
    /// The permission bits of a new file that is requested with `mode`.
    pub(in crate::transfer) fn new_file_mode(&self, mode: u32) -> u32 {
        mode
    }

    /// Whether one call syncs a whole filesystem.
    pub(in crate::transfer) const SYNCS_AT_ONCE: bool = false;

    /// Opens a directory that the user named, links followed.
    pub(in crate::transfer) fn open(path: &Path) -> io::Result<PortableDirectory> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(PortableDirectory(path.canonicalize()?))
    }

    /// Opens a directory below. A link is not followed.
    pub(in crate::transfer) fn subdirectory(&self, name: &[u8]) -> io::Result<PortableDirectory> {
        let path = self.path(name)?;
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(PortableDirectory(path))
    }

    /// Makes a directory below. Returns whether it was missing.
    pub(in crate::transfer) fn make(&self, name: &[u8]) -> io::Result<bool> {
        match fs::create_dir(self.path(name)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The type of a name; `None` if it does not exist.
    pub(in crate::transfer) fn look(&self, name: &[u8], follow: bool) -> io::Result<Option<LocalEntry>> {
        let path = self.path(name)?;
        let seen = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        match seen {
            Ok(seen) if seen.is_file() => Ok(Some(LocalEntry::File { size: seen.len(), mode: 0o644 })),
            Ok(seen) if seen.is_dir() => Ok(Some(LocalEntry::Directory)),
            Ok(_) => Ok(Some(LocalEntry::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a file for reading.
    pub(in crate::transfer) fn read(&self, name: &[u8], follow: bool) -> io::Result<File> {
        open_source(&self.path(name)?, follow)
    }

    /// Makes an unfinished file, and locks it while it is open. An old one is discarded.
    ///
    /// # Errors
    /// `ResourceBusy` if another client writes the file.
    pub(in crate::transfer) fn create(&self, name: &[u8]) -> io::Result<File> {
        let path = self.path(name)?;
        match self.look(name, false)? {
            Some(LocalEntry::File { .. }) => {
                // A file that is open elsewhere cannot be locked, and stays.
                lock(&OpenOptions::new().write(true).open(&path)?)?;
                fs::remove_file(&path)?;
            }
            // A link is removed, not its target.
            Some(LocalEntry::Other) => fs::remove_file(&path)?,
            Some(LocalEntry::Directory) | None => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        lock(&file)?;
        Ok(file)
    }

    /// Opens an old unfinished file, and locks it while it is open. `None` if there is none to resume.
    ///
    /// # Errors
    /// `ResourceBusy` if another client writes the file.
    pub(in crate::transfer) fn reopen(&self, name: &[u8]) -> io::Result<Option<File>> {
        if !matches!(self.look(name, false)?, Some(LocalEntry::File { .. })) {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).write(true).open(self.path(name)?)?;
        lock(&file)?;
        Ok(Some(file))
    }

    /// Removes an unfinished file, unless another client writes it.
    pub(in crate::transfer) fn clear(&self, name: &[u8]) {
        // The next get of this name removes what remains.
        if let Ok(Some(file)) = self.reopen(name) {
            drop(file);
            let _ = self.remove(name);
        }
    }

    /// Renames an unfinished file to `name`, unless that is taken. Returns whether it did.
    pub(in crate::transfer) fn publish_new(&self, part: &[u8], name: &[u8]) -> io::Result<bool> {
        if self.look(name, false)?.is_some() {
            return Ok(false);
        }
        // An empty file reserves the name, and is replaced.
        match OpenOptions::new().write(true).create_new(true).open(self.path(name)?) {
            Ok(_) => self.publish(part, name).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renames an unfinished file to `name`, and replaces a file with that name.
    pub(in crate::transfer) fn publish(&self, part: &[u8], name: &[u8]) -> io::Result<()> {
        fs::rename(self.path(part)?, self.path(name)?)
    }

    /// Whether others can change its names: unknown on this system.
    pub(in crate::transfer) fn is_shared(&self) -> bool {
        false
    }

    /// Whether a name is that of this open file: unknown on this system.
    pub(in crate::transfer) fn is_file_of(&self, _name: &[u8], _file: &File) -> bool {
        true
    }

    /// Makes a symbolic link with this target, if the system has links.
    pub(in crate::transfer) fn symlink(&self, _target: &[u8], _name: &[u8]) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "symbolic links are not created on this system; -L follows them",
        ))
    }

    /// The target of a symbolic link.
    pub(in crate::transfer) fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::read_link(self.path(name)?)?.into_os_string().into_encoded_bytes())
    }

    /// The entries, each with its attributes or why they cannot be read. One that is removed meanwhile is left out.
    ///
    /// # Errors
    /// If the directory cannot be read to its end.
    pub(in crate::transfer) fn entries(&self) -> io::Result<BTreeMap<Vec<u8>, io::Result<LocalStat>>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.0)? {
            let name = crate::names::bytes(&entry?.file_name());
            if let Some(stat) = self.stat(&name).transpose() {
                found.insert(name, stat);
            }
        }
        Ok(found)
    }

    /// The attributes of an entry; `None` if it does not exist. A link is not followed.
    pub(in crate::transfer) fn stat(&self, name: &[u8]) -> io::Result<Option<LocalStat>> {
        let metadata = match fs::symlink_metadata(self.path(name)?) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let target = if metadata.is_symlink() { self.read_link(name)? } else { Vec::new() };
        Ok(Some(LocalStat { entry: entry(name.to_vec(), &metadata, target), identity: identity(&metadata) }))
    }

    /// The directory's own modification time.
    pub(in crate::transfer) fn mtime(&self) -> io::Result<Time> {
        Ok(mtime(&fs::metadata(&self.0)?))
    }

    /// Gives a file a second name, in any directory of the disk.
    pub(in crate::transfer) fn link(
        &self,
        name: &[u8],
        to: &PortableDirectory,
        new: &[u8],
    ) -> io::Result<()> {
        fs::hard_link(self.path(name)?, to.path(new)?)
    }

    /// Renames a file, to any directory of the disk, and replaces a file of that name.
    pub(in crate::transfer) fn rename(
        &self,
        name: &[u8],
        to: &PortableDirectory,
        new: &[u8],
    ) -> io::Result<()> {
        fs::rename(self.path(name)?, to.path(new)?)
    }

    /// Removes a file.
    pub(in crate::transfer) fn remove(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    /// Removes an empty directory below.
    pub(in crate::transfer) fn remove_directory(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_dir(self.path(name)?)
    }

    /// Makes it accessible to be filled. This system has no permission bits that could prevent it.
    pub(in crate::transfer) fn open_to_fill(&self, _mode: u32, _is_new: bool) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// The same for an existing directory.
    pub(in crate::transfer) fn open_to_change(&self) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Sets a directory's permission bits and time: not supported on this system.
    pub(in crate::transfer) fn finish(&self, _mode: Option<u32>, _mtime: Time) -> io::Result<()> {
        Ok(())
    }

    /// Syncs the directory's names, which systems without directory handles do by themselves.
    pub(in crate::transfer) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Syncs the whole filesystem, if [`SYNCS_AT_ONCE`](Self::SYNCS_AT_ONCE).
    pub(in crate::transfer) fn sync_filesystem(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The filesystem that it is on: unknown on this system.
    pub(in crate::transfer) fn device(&self) -> u64 {
        0
    }

    fn path(&self, name: &[u8]) -> io::Result<PathBuf> {
        let name = std::str::from_utf8(name);
        let name = name.map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8"))?;
        Ok(self.0.join(name))
    }
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })
}

/// Opens a file to be sent. A link is followed if `follow`.
pub(in crate::transfer) fn open_source(path: &Path, follow: bool) -> io::Result<File> {
    if !follow && fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    File::open(path)
}

/// Held while a file is read or written at an offset: its position belongs to the file, not to the thread.
static POSITIONED: Mutex<()> = Mutex::new(());

/// Fills `data` from an offset on. Several threads may read one file.
pub(in crate::transfer) fn read_at(mut file: &File, offset: u64, data: &mut [u8]) -> io::Result<()> {
    let _lock = POSITIONED.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(data)
}

/// Writes all of `data` at an offset. Several threads may write to one file.
pub(in crate::transfer) fn write_at(mut file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
    let _lock = POSITIONED.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(data)
}

/// Starts the writeback of a file, if the system supports that.
pub(in crate::transfer) fn begin_writeback(_file: &File, _offset: u64, _length: u64) {}

/// The number of files that this process may have open, capped at a useful number.
pub(in crate::transfer) fn open_files() -> usize {
    512
}
