//! The backing folder, and the part of it that the kernel knows.

use super::reply::Result;
use super::{Change, DiskOperation, NewEntry, Watcher};
use fuser::{FileAttr, FileHandle, FileType, INodeNo, TimeOrNow};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// The backing folder. The files that the kernel knows are held open, so no inode number is reused.
pub(super) struct Backing {
    open: Mutex<Open>,
    watcher: Arc<dyn Watcher>,
}

struct Open {
    /// By inode, with the kernel's number of references to each.
    nodes: HashMap<u64, (Arc<File>, u64)>,
    handles: HashMap<u64, Arc<File>>,
    next: u64,
    /// The inode that is number 1 for the kernel.
    root: u64,
}

pub(super) fn kernel(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.raw_os_error())
}

impl Backing {
    pub(super) fn of(folder: &Path, watcher: Arc<dyn Watcher>) -> std::io::Result<Backing> {
        let root = File::open(folder)?;
        let number = root.metadata()?.ino();
        let nodes = HashMap::from([(number, (Arc::new(root), 1))]);
        let open = Open { nodes, handles: HashMap::new(), next: 1, root: number };
        Ok(Backing { open: Mutex::new(open), watcher })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn before(&self, step: DiskOperation) -> Result<()> {
        self.watcher.before(step).map_err(kernel)
    }

    pub(super) fn changed(&self, change: Change<'_>) {
        self.watcher.changed(change);
    }

    /// Reports a file's modification time, which was set or changed by a write.
    pub(super) fn modified(&self, ino: INodeNo) {
        if let Some(time) = self.node(ino).ok().and_then(|node| node.metadata().ok()?.modified().ok()) {
            self.changed(Change::SetModified { inode: self.number(ino), time });
        }
    }

    /// An inode's number in the backing folder.
    pub(super) fn number(&self, ino: INodeNo) -> u64 {
        if ino == INodeNo::ROOT { self.open().root } else { ino.0 }
    }

    pub(super) fn node(&self, ino: INodeNo) -> Result<Arc<File>> {
        let open = self.open();
        let number = if ino == INodeNo::ROOT { open.root } else { ino.0 };
        open.nodes.get(&number).map(|(file, _)| Arc::clone(file)).ok_or(fuser::Errno::ESTALE)
    }

    /// A path that leads to exactly this inode.
    pub(super) fn path(&self, ino: INodeNo) -> Result<PathBuf> {
        Ok(format!("/proc/self/fd/{}", self.node(ino)?.as_raw_fd()).into())
    }

    pub(super) fn handle(&self, handle: FileHandle) -> Result<Arc<File>> {
        self.open().handles.get(&handle.0).cloned().ok_or(fuser::Errno::EBADF)
    }

    pub(super) fn close(&self, handle: FileHandle) {
        self.open().handles.remove(&handle.0);
    }

    /// The kernel drops this number of references to an inode.
    pub(super) fn forget(&self, ino: INodeNo, times: u64) {
        let nodes = &mut self.open().nodes;
        if let Some((_, known)) = nodes.get_mut(&ino.0) {
            *known -= times;
            if *known == 0 {
                nodes.remove(&ino.0);
            }
        }
    }

    pub(super) fn add_handle(&self, file: File) -> FileHandle {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.handles.insert(number, Arc::new(file));
        FileHandle(number)
    }

    /// The spelling in the folder of a name: a different one only on a disk that ignores case.
    pub(super) fn meant(&self, parent: INodeNo, name: &OsStr) -> OsString {
        let is_meant = |found: &OsString| found.eq_ignore_ascii_case(name);
        let search = || {
            fs::read_dir(self.path(parent).ok()?)
                .ok()?
                .flatten()
                .map(|entry| entry.file_name())
                .find(is_meant)
        };
        let found = if self.watcher.ignores_case() { search() } else { None };
        found.unwrap_or_else(|| name.to_owned())
    }

    /// The holder of this name, with one more reference by the kernel.
    pub(super) fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr> {
        let name = self.meant(parent, name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.node(parent)?, name, flags, Mode::empty()).map_err(kernel)?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        let mut open = self.open();
        open.nodes.entry(metadata.ino()).or_insert_with(|| (Arc::new(file), 0)).1 += 1;
        Ok(attributes(&metadata, open.root, self.watcher.time_step()))
    }

    pub(super) fn attributes(&self, ino: INodeNo) -> Result<FileAttr> {
        let metadata = self.node(ino)?.metadata()?;
        Ok(attributes(&metadata, self.open().root, self.watcher.time_step()))
    }

    pub(super) fn create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Result<(FileAttr, FileHandle)> {
        self.before(DiskOperation::Create)?;
        let name = &*self.meant(parent, name);
        let directory = self.node(parent)?;
        let is_new = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_err();
        let flags = OFlags::from_bits_retain(flags.cast_unsigned()) | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode)).map_err(kernel)?;
        let found = match is_new {
            true => self.created(parent, name, NewEntry::File(mode))?,
            false => self.find(parent, name)?,
        };
        Ok((found, self.add_handle(File::from(file))))
    }

    /// Reports the new entry of this name, with one more reference by the kernel.
    pub(super) fn created(&self, parent: INodeNo, name: &OsStr, kind: NewEntry<'_>) -> Result<FileAttr> {
        let found = self.find(parent, name)?;
        self.changed(Change::Create { parent: self.number(parent), name, inode: found.ino.0, kind });
        Ok(found)
    }

    pub(super) fn set_attributes(
        &self,
        ino: INodeNo,
        mode: Option<u32>,
        size: Option<u64>,
        times: [Option<TimeOrNow>; 2],
    ) -> Result<FileAttr> {
        self.before(DiskOperation::SetAttributes)?;
        let path = self.path(ino)?;
        if let Some(size) = size {
            File::options().write(true).open(&path)?.set_len(size)?;
            self.changed(Change::SetLength { inode: self.number(ino), length: size });
            self.modified(ino);
        }
        if let Some(mode) = mode {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
            self.changed(Change::SetMode { inode: self.number(ino), mode: mode & 0o7777 });
        }
        if times.iter().any(Option::is_some) {
            let [last_access, last_modification] = times.map(timespec);
            let times = Timestamps { last_access, last_modification };
            rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).map_err(kernel)?;
            self.modified(ino);
        }
        self.attributes(ino)
    }

    pub(super) fn make_name(
        &self,
        step: DiskOperation,
        parent: INodeNo,
        make: impl FnOnce(&File) -> rustix::io::Result<()>,
    ) -> Result<()> {
        self.before(step)?;
        make(&*self.node(parent)?).map_err(kernel)
    }

    pub(super) fn remove_name(
        &self,
        parent: INodeNo,
        name: &OsStr,
        remove: impl FnOnce(&File) -> rustix::io::Result<()>,
    ) -> Result<()> {
        self.make_name(DiskOperation::Remove, parent, remove)?;
        self.changed(Change::Remove { parent: self.number(parent), name });
        Ok(())
    }
}

fn attributes(metadata: &Metadata, root: u64, step: u64) -> FileAttr {
    let time = |seconds: i64, nanoseconds: i64| {
        let seconds = seconds.unsigned_abs();
        UNIX_EPOCH
            + match step {
                0 => Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0)),
                step => Duration::from_secs(seconds / step * step),
            }
    };
    let mtime = time(metadata.mtime(), metadata.mtime_nsec());
    FileAttr {
        ino: if metadata.ino() == root { INodeNo::ROOT } else { INodeNo(metadata.ino()) },
        size: metadata.len(),
        blocks: metadata.blocks(),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime,
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        crtime: mtime,
        kind: FileType::from_std(metadata.file_type()).unwrap_or(FileType::RegularFile),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: metadata.nlink() as u32,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: since.subsec_nanos().into() }
        }
    }
}
