//! Directories as open handles, and the calls that take a name below one.

mod entries;
mod unfinished;

use super::LocalEntry;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
use sshome_wire::Time;
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The permissions that the owner needs to fill a directory.
const OWNER_ACCESS: u32 = 0o700;

/// The bits that let the group or everybody write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The extended attribute of a directory that is accessible to its owner while a get fills it.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const DEFERRED_MODE_XATTR: &str = "user.sshome.filling";

/// An open directory. Every name given to its methods is one component.
#[derive(Debug)]
pub(in crate::transfer) struct UnixDirectory {
    handle: OwnedFd,
    device: u64,
    is_shared: bool,
    /// Whether new files get an access control list from the directory; empty until it is needed.
    has_default_acl: OnceLock<bool>,
}

impl UnixDirectory {
    /// Whether one call syncs a whole filesystem.
    pub(in crate::transfer) const SYNCS_AT_ONCE: bool = cfg!(target_os = "linux");

    /// Opens a directory that the user named, links followed.
    pub(in crate::transfer) fn open(path: &Path) -> io::Result<UnixDirectory> {
        UnixDirectory::of(rustix::fs::openat(CWD, path, DIRECTORY_FLAGS, Mode::empty())?)
    }

    /// Opens a directory below. A link is not followed.
    pub(in crate::transfer) fn subdirectory(&self, name: &[u8]) -> io::Result<UnixDirectory> {
        match rustix::fs::openat(&self.handle, name, DIRECTORY_FLAGS | OFlags::NOFOLLOW, Mode::empty()) {
            // The kernel says ELOOP or ENOTDIR for a link, depending on its version.
            Err(Errno::LOOP | Errno::NOTDIR) => Err(io::ErrorKind::NotADirectory.into()),
            other => UnixDirectory::of(other?),
        }
    }

    /// Makes a directory below. Returns whether it was missing.
    pub(in crate::transfer) fn make(&self, name: &[u8]) -> io::Result<bool> {
        match rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The type of a name; `None` if it does not exist.
    pub(in crate::transfer) fn look(&self, name: &[u8], follow: bool) -> io::Result<Option<LocalEntry>> {
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = match rustix::fs::statat(&self.handle, name, flags) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => LocalEntry::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
                mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o777,
            },
            FileType::Directory => LocalEntry::Directory,
            _ => LocalEntry::Other,
        }))
    }

    /// Opens a file for reading.
    pub(in crate::transfer) fn read(&self, name: &[u8], follow: bool) -> io::Result<File> {
        let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags.set(OFlags::NOFOLLOW, !follow);
        Ok(rustix::fs::openat(&self.handle, name, flags, Mode::empty())?.into())
    }

    /// Whether others can change its names.
    pub(in crate::transfer) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Makes a symbolic link with this target.
    pub(in crate::transfer) fn symlink(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.handle, name)?)
    }

    /// The target of a symbolic link.
    pub(in crate::transfer) fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.handle, name, Vec::new())?.into_bytes())
    }

    /// Gives a file or a link a second name, in any directory of the disk.
    pub(in crate::transfer) fn link(&self, name: &[u8], to: &UnixDirectory, new: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.handle, name, &to.handle, new, AtFlags::empty())?)
    }

    /// Renames a file or a link, to any directory of the disk, and replaces a file of that name.
    pub(in crate::transfer) fn rename(&self, name: &[u8], to: &UnixDirectory, new: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, name, &to.handle, new)?)
    }

    /// Removes a file.
    pub(in crate::transfer) fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// Removes an empty directory below.
    pub(in crate::transfer) fn remove_directory(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR)?)
    }

    /// Makes it accessible to its owner to be filled, if it is new, or if an earlier get gave it this mode or was about
    /// to. Returns the mode that has to be set when it is [finished](Self::finish); `None` if it keeps the one that it has.
    pub(in crate::transfer) fn open_to_fill(&self, mode: u32, is_new: bool) -> io::Result<Option<u32>> {
        let is_closed = mode & OWNER_ACCESS != OWNER_ACCESS;
        let has_mode = || rustix::fs::fstat(&self.handle).map(|stat| stat.st_mode & 0o777 == mode & 0o777);
        if !(is_new || is_closed && has_mode()?) {
            return Ok(self.noted_mode().map(|_| mode));
        }
        self.set_mode(mode | OWNER_ACCESS)?;
        if is_closed {
            self.note(mode);
        }
        Ok(Some(mode))
    }

    /// Makes an existing directory of the user's own accessible, whatever its mode is. Returns the mode that has to be set when
    /// it is [finished](Self::finish): its own, or the one that a killed transfer has noted.
    pub(in crate::transfer) fn open_to_change(&self) -> io::Result<Option<u32>> {
        let stat = rustix::fs::fstat(&self.handle)?;
        // The type of the field differs between systems.
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
        let mode = u32::from(stat.st_mode) & 0o777;
        if mode & OWNER_ACCESS == OWNER_ACCESS || !is_own(&stat) {
            return Ok(self.noted_mode());
        }
        self.set_mode(mode | OWNER_ACCESS)?;
        self.note(mode);
        Ok(Some(mode))
    }

    /// Sets a directory's permission bits, if given, and its modification time.
    pub(in crate::transfer) fn finish(&self, mode: Option<u32>, mtime: Time) -> io::Result<()> {
        if let Some(mode) = mode {
            self.forget();
            self.set_mode(mode)?;
        }
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let last_modification = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
        Ok(rustix::fs::futimens(&self.handle, &Timestamps { last_access, last_modification })?)
    }

    /// Syncs the directory's names.
    pub(in crate::transfer) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.handle)?)
    }

    /// Syncs the whole filesystem, if [`SYNCS_AT_ONCE`](Self::SYNCS_AT_ONCE).
    pub(in crate::transfer) fn sync_filesystem(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.handle)?;
        Ok(())
    }

    /// The filesystem that it is on.
    pub(in crate::transfer) fn device(&self) -> u64 {
        self.device
    }

    /// The permission bits of a new file that is requested with `mode`: the umask applies, or the default access
    /// control list of the directory, as in `open`.
    pub(in crate::transfer) fn new_file_mode(&self, mode: u32) -> u32 {
        if *self.has_default_acl.get_or_init(|| self.look_for_default_acl()) { mode } else { mode & !umask() }
    }

    fn look_for_default_acl(&self) -> bool {
        cfg!(target_os = "linux")
            && rustix::fs::fgetxattr(&self.handle, "system.posix_acl_default", &mut [0; 1][..])
                != Err(Errno::NODATA)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.handle, Mode::from_raw_mode((mode & 0o777) as rustix::fs::RawMode))?)
    }

    /// Notes the final mode, which it does not have yet, for a transfer that resumes after this one was killed. On a
    /// filesystem without extended attributes it then stays accessible to its owner.
    fn note(&self, mode: u32) {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        let _ = rustix::fs::fsetxattr(
            &self.handle,
            DEFERRED_MODE_XATTR,
            format!("{:o}", mode & 0o777).as_bytes(),
            rustix::fs::XattrFlags::empty(),
        );
    }

    /// The final mode that was noted.
    fn noted_mode(&self) -> Option<u32> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            let mut value = [0; 3];
            let length = rustix::fs::fgetxattr(&self.handle, DEFERRED_MODE_XATTR, &mut value[..]).ok()?;
            u32::from_str_radix(std::str::from_utf8(value.get(..length)?).ok()?, 8).ok()
        }
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        None
    }

    fn forget(&self) {
        // The attribute only matters while the directory is filled.
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        let _ = rustix::fs::fremovexattr(&self.handle, DEFERRED_MODE_XATTR);
    }

    fn of(handle: OwnedFd) -> io::Result<UnixDirectory> {
        // The type of the field differs between systems.
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
        let (device, is_shared) = {
            let stat = rustix::fs::fstat(&handle)?;
            (stat.st_dev as u64, !is_own(&stat) || stat.st_mode & WRITABLE_BY_OTHERS != 0)
        };
        Ok(UnixDirectory { handle, device, is_shared, has_default_acl: OnceLock::new() })
    }
}

/// Whether a file belongs to the user of this process.
fn is_own(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

/// The umask of this process. It can only be read by setting it: a file that another thread makes meanwhile is more
/// private.
fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(mask);
        mask.bits()
    })
}

/// Opens a file to be sent, without waiting for the writer of a pipe. A link is followed if `follow`.
pub(in crate::transfer) fn open_source(path: &Path, follow: bool) -> io::Result<File> {
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, !follow);
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?.into())
}

/// Fills `data` from an offset on. Several threads may read one file.
pub(in crate::transfer) fn read_at(file: &File, offset: u64, data: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, data, offset)
}

/// Writes all of `data` at an offset. Several threads may write to one file.
pub(in crate::transfer) fn write_at(file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, offset)
}

/// Starts the writeback of a range of a file, so that the final sync is shorter. It is only a hint.
pub(in crate::transfer) fn begin_writeback(file: &File, offset: u64, length: u64) {
    // With this advice, Linux starts the writeback of the range.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, offset, NonZeroU64::new(length), rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, length);
}

/// The number of files that this process may have open, after raising the limit to a useful number: the larger the
/// groups in which files are published, the fewer syncs.
pub(in crate::transfer) fn open_files() -> usize {
    const MAX_OPEN_FILES: u64 = 8192;
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(MAX_OPEN_FILES).min(MAX_OPEN_FILES);
    if limit.current.is_some_and(|current| current < allowed) {
        limit.current = Some(allowed);
        // If it is refused, the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(MAX_OPEN_FILES).min(MAX_OPEN_FILES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_directory_that_a_killed_get_was_filling_gets_its_mode_from_the_next() {
        let place = tempfile::tempdir().unwrap();
        let top = UnixDirectory::open(place.path()).unwrap();
        let mode = || place.path().join("d").metadata().unwrap().mode() & 0o777;
        let mtime = Time { seconds: -7, nanoseconds: 5 };
        top.make(b"d").unwrap();
        let open = || top.subdirectory(b"d").unwrap();
        assert_eq!(open().open_to_fill(0o555, true).unwrap(), Some(0o555));
        assert_eq!(mode(), 0o755);
        // The next get after a killed one, and the next after a completed one.
        let noted = open().open_to_fill(0o555, false).unwrap();
        if noted.is_some() {
            open().finish(noted, mtime).unwrap();
            assert_eq!((mode(), open().open_to_fill(0o555, false).unwrap()), (0o555, noted));
            assert_eq!(mode(), 0o755);
        }
        open().finish(Some(0o550), mtime).unwrap();
        let seen = place.path().join("d").metadata().unwrap();
        assert_eq!((mode(), seen.mtime(), seen.mtime_nsec()), (0o550, -7, 5));
        // With a different mode, the directory is the user's.
        for other in [0o555, 0o755] {
            assert_eq!((open().open_to_fill(other, false).unwrap(), mode()), (None, 0o550));
        }
        // A synchronisation changes it nevertheless, and gives it back its mode, also after it was killed.
        assert_eq!((open().open_to_change().unwrap(), mode()), (Some(0o550), 0o750));
        if noted.is_some() {
            assert_eq!((open().open_to_change().unwrap(), mode()), (Some(0o550), 0o750));
        }
        open().finish(Some(0o750), mtime).unwrap();
        assert_eq!((open().open_to_change().unwrap(), mode()), (None, 0o750));
    }
}
