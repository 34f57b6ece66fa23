//! Unfinished files: created, locked, resumed, published and discarded.
//!
//! Other users may be able to write to the directory. So a name that they have taken is not used, only the owner can
//! open an unfinished file, and publishing replaces nothing unless that is requested.

use super::super::busy;
use super::{UnixDirectory, WRITABLE_BY_OTHERS, is_own};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// The largest number of attempts if a name changes concurrently.
const MAX_ATTEMPTS: usize = 10;

impl UnixDirectory {
    /// Makes an unfinished file that only its owner can open, and locks it while it is open. An old one of ours is
    /// discarded.
    ///
    /// # Errors
    /// `ResourceBusy` if another client writes the file, or another user owns it.
    pub(in crate::transfer) fn create(&self, name: &[u8]) -> io::Result<File> {
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAX_ATTEMPTS {
            match rustix::fs::openat(&self.handle, name, create, Mode::RUSR | Mode::WUSR) {
                Ok(file) if is_locked_before_others(&file)? => return Ok(file.into()),
                Ok(_) => {}
                Err(Errno::EXIST) => self.discard(name)?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// Opens an old unfinished file, and locks it while it is open. `None` if there is none to resume, or other users
    /// could write to it: they may have made it, and could change it after its check.
    ///
    /// # Errors
    /// `ResourceBusy` if another client writes the file.
    pub(in crate::transfer) fn reopen(&self, name: &[u8]) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let stat = rustix::fs::fstat(&file)?;
        // A file with a second name may be a different file of the user, which must not be written to.
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
        let is_ours = is_file && is_own(&stat) && stat.st_mode & WRITABLE_BY_OTHERS == 0;
        Ok((is_ours && self.is_locked_here(&file, name)?).then(|| file.into()))
    }

    /// Removes an unfinished file, unless another client writes it.
    pub(in crate::transfer) fn clear(&self, name: &[u8]) {
        // The next get of this name removes what remains.
        if let Ok(Some(_locked)) = self.reopen(name) {
            let _ = self.remove(name);
        }
    }

    /// Renames an unfinished file to `name`, unless that is taken. Returns whether it did.
    pub(in crate::transfer) fn publish_new(&self, part: &[u8], name: &[u8]) -> io::Result<bool> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        match rustix::fs::renameat_with(
            &self.handle,
            part,
            &self.handle,
            name,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            // Not every filesystem supports this call.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        self.publish_by_link(part, name)
    }

    /// The same without the call that renames only to a free name.
    fn publish_by_link(&self, part: &[u8], name: &[u8]) -> io::Result<bool> {
        match rustix::fs::linkat(&self.handle, part, &self.handle, name, AtFlags::empty()) {
            Ok(()) => self.remove(part).map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            // Without hard links an empty file reserves the name, and is replaced.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                match rustix::fs::openat(&self.handle, name, create, Mode::RUSR | Mode::WUSR) {
                    Ok(_) => self.publish(part, name).map(|()| true),
                    Err(Errno::EXIST) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a name is that of this open file.
    pub(in crate::transfer) fn is_file_of(&self, name: &[u8], file: &File) -> bool {
        let named = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
        matches!((rustix::fs::fstat(file), named), (Ok(file), Ok(named)) if is_same(&file, &named))
    }

    /// Renames an unfinished file to `name`, and replaces a file with that name.
    pub(in crate::transfer) fn publish(&self, part: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, part, &self.handle, name)?)
    }

    /// Discards an unfinished file of ours that no client is writing.
    ///
    /// # Errors
    /// `ResourceBusy` if it is not ours, or in use.
    fn discard(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if !is_own(&stat) => return Err(busy()),
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, read, Mode::empty()) {
            Ok(file) if self.is_locked_here(&file, name)? => self.remove(name),
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => Ok(()),
            // A link, or an unreadable file: not one of ours.
            Err(_) => self.remove(name),
        }
    }

    /// Locks an unfinished file. Returns whether it still has its name: another client may have published or discarded
    /// it between open and lock.
    fn is_locked_here(&self, file: &OwnedFd, name: &[u8]) -> io::Result<bool> {
        lock(file)?;
        let ours = rustix::fs::fstat(file)?;
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(is_same(&named, &ours)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Locks a file that was just created. Returns whether it still has its name. Another client can only have discarded it
/// before the lock: an empty file is never resumed.
fn is_locked_before_others(file: &OwnedFd) -> io::Result<bool> {
    lock(file)?;
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

fn lock(file: &OwnedFd) -> io::Result<()> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => busy(),
        error => error.into(),
    })
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_name_that_is_taken_is_not_published_over_unless_asked() {
        let place = tempfile::tempdir().unwrap();
        let directory = UnixDirectory::open(place.path()).unwrap();
        fs::write(place.path().join("name"), "old").unwrap();
        fs::write(place.path().join("part"), "new").unwrap();
        assert!(!directory.publish_new(b"part", b"name").unwrap());
        assert_eq!(fs::read(place.path().join("name")).unwrap(), b"old");
        assert!(!directory.publish_by_link(b"part", b"name").unwrap());
        assert_eq!(fs::read(place.path().join("name")).unwrap(), b"old");
        directory.publish(b"part", b"name").unwrap();
        assert_eq!(fs::read(place.path().join("name")).unwrap(), b"new");
        for free in ["free", "another"] {
            fs::write(place.path().join("part"), free).unwrap();
            let free = free.as_bytes();
            match free {
                b"free" => assert!(directory.publish_new(b"part", free).unwrap()),
                _ => assert!(directory.publish_by_link(b"part", free).unwrap()),
            }
            assert!(!place.path().join("part").exists());
        }
        assert_eq!(fs::read(place.path().join("another")).unwrap(), b"another");
    }

    #[test]
    fn only_its_owner_can_open_an_unfinished_file_and_none_that_others_can_write_to_is_resumed() {
        let place = tempfile::tempdir().unwrap();
        let directory = UnixDirectory::open(place.path()).unwrap();
        let part = place.path().join("part");
        let file = directory.create(b"part").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        drop(file);
        assert!(directory.reopen(b"part").unwrap().is_some());
        for (mode, is_reused) in [(0o666, false), (0o620, false), (0o602, false), (0o644, true)] {
            fs::set_permissions(&part, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(directory.reopen(b"part").unwrap().is_some(), is_reused, "{mode:o}");
        }
        fs::hard_link(&part, place.path().join("second")).unwrap();
        assert!(directory.reopen(b"part").unwrap().is_none());
        // It is thrown away, not written to.
        fs::write(&part, "planted").unwrap();
        directory.create(b"part").unwrap().write_all(b"ours").unwrap();
        assert_eq!(fs::read(place.path().join("second")).unwrap(), b"planted");
    }

    #[test]
    fn an_unfinished_file_of_another_user_is_neither_used_nor_removed_as_root() {
        if !rustix::process::geteuid().is_root() {
            println!(
                "skipped: an_unfinished_file_of_another_user_is_neither_used_nor_removed_as_root: it needs root"
            );
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let part = place.path().join("part");
        fs::write(&part, "planted").unwrap();
        std::os::unix::fs::chown(&part, Some(65534), None).unwrap();
        let directory = UnixDirectory::open(place.path()).unwrap();
        assert!(directory.reopen(b"part").unwrap().is_none());
        assert_eq!(directory.create(b"part").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        directory.clear(b"part");
        assert_eq!(fs::read(&part).unwrap(), b"planted");
    }

    #[test]
    fn a_name_that_now_belongs_to_another_file_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let directory = UnixDirectory::open(place.path()).unwrap();
        assert!(directory.is_shared());
        let file = directory.create(b"part").unwrap();
        directory.publish(b"part", b"name").unwrap();
        assert!(directory.is_file_of(b"name", &file));
        fs::write(place.path().join("planted"), "theirs").unwrap();
        directory.publish(b"planted", b"name").unwrap();
        assert!(!directory.is_file_of(b"name", &file));
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(!UnixDirectory::open(place.path()).unwrap().is_shared());
    }
}
