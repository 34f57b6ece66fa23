//! What the kernel asks, asked of the folder behind.

use super::{Faults, Step};
use fuser::{
    FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel is to ask again each time.
const TTL: Duration = Duration::ZERO;

/// The folder behind. What the kernel knows of it is held open, so that no inode number is used again.
pub(super) struct Filesystem {
    open: Mutex<Open>,
    faults: Arc<Faults>,
}

struct Open {
    /// By inode, and how often the kernel was told of each.
    nodes: HashMap<u64, (Arc<File>, u64)>,
    handles: HashMap<u64, Arc<File>>,
    next: u64,
    /// The inode that the kernel knows as 1.
    root: u64,
}

type Result<T> = std::result::Result<T, fuser::Errno>;

fn kernel(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.raw_os_error())
}

impl Filesystem {
    pub(super) fn of(folder: &Path, faults: Arc<Faults>) -> std::io::Result<Filesystem> {
        let root = File::open(folder)?;
        let number = root.metadata()?.ino();
        let nodes = HashMap::from([(number, (Arc::new(root), 1))]);
        let open = Open { nodes, handles: HashMap::new(), next: 1, root: number };
        Ok(Filesystem { open: Mutex::new(open), faults })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn before(&self, step: Step) -> Result<()> {
        self.faults.before(step).map_err(kernel)
    }

    fn node(&self, ino: INodeNo) -> Result<Arc<File>> {
        let open = self.open();
        let number = if ino == INodeNo::ROOT { open.root } else { ino.0 };
        open.nodes.get(&number).map(|(file, _)| Arc::clone(file)).ok_or(fuser::Errno::ESTALE)
    }

    /// A path that leads to just this inode.
    fn path(&self, ino: INodeNo) -> Result<PathBuf> {
        Ok(format!("/proc/self/fd/{}", self.node(ino)?.as_raw_fd()).into())
    }

    fn handle(&self, handle: FileHandle) -> Result<Arc<File>> {
        self.open().handles.get(&handle.0).cloned().ok_or(fuser::Errno::EBADF)
    }

    fn add_handle(&self, file: File) -> FileHandle {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.handles.insert(number, Arc::new(file));
        FileHandle(number)
    }

    /// What has this name, made known to the kernel once more.
    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.node(parent)?, name, flags, Mode::empty()).map_err(kernel)?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        let mut open = self.open();
        open.nodes.entry(metadata.ino()).or_insert_with(|| (Arc::new(file), 0)).1 += 1;
        Ok(attributes(&metadata, open.root))
    }

    fn attributes(&self, ino: INodeNo) -> Result<FileAttr> {
        let metadata = self.node(ino)?.metadata()?;
        Ok(attributes(&metadata, self.open().root))
    }

    fn create(&self, parent: INodeNo, name: &OsStr, mode: u32, flags: i32) -> Result<(FileAttr, FileHandle)> {
        self.before(Step::Create)?;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned()) | OFlags::CREATE | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let file = rustix::fs::openat(self.node(parent)?, name, flags, mode).map_err(kernel)?;
        Ok((self.find(parent, name)?, self.add_handle(File::from(file))))
    }

    fn set_attributes(
        &self,
        ino: INodeNo,
        mode: Option<u32>,
        size: Option<u64>,
        times: [Option<TimeOrNow>; 2],
    ) -> Result<FileAttr> {
        self.before(Step::SetAttributes)?;
        let path = self.path(ino)?;
        if let Some(size) = size {
            File::options().write(true).open(&path)?.set_len(size)?;
        }
        if let Some(mode) = mode {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
        }
        if times.iter().any(Option::is_some) {
            let [last_access, last_modification] = times.map(timespec);
            let times = Timestamps { last_access, last_modification };
            rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).map_err(kernel)?;
        }
        self.attributes(ino)
    }

    fn make_name(
        &self,
        step: Step,
        parent: INodeNo,
        make: impl FnOnce(&File) -> rustix::io::Result<()>,
    ) -> Result<()> {
        self.before(step)?;
        make(&*self.node(parent)?).map_err(kernel)
    }
}

fn attributes(metadata: &Metadata, root: u64) -> FileAttr {
    let time = |seconds: i64, nanoseconds: i64| {
        UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0))
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

/// Answers with nothing but how it went.
fn answer(reply: ReplyEmpty, result: Result<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, result: Result<FileAttr>) {
    match result {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn attr(reply: ReplyAttr, result: Result<FileAttr>) {
    match result {
        Ok(found) => reply.attr(&TTL, &found),
        Err(error) => reply.error(error),
    }
}

fn data(reply: ReplyData, result: Result<Vec<u8>>) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(error),
    }
}

impl fuser::Filesystem for Filesystem {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.find(parent, name));
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        let nodes = &mut self.open().nodes;
        if let Some((_, known)) = nodes.get_mut(&ino.0) {
            *known -= times;
            if *known == 0 {
                nodes.remove(&ino.0);
            }
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attr(reply, self.attributes(ino));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        attr(reply, self.set_attributes(ino, mode, size, [atime, mtime]));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let read = |node: Arc<File>| rustix::fs::readlinkat(&*node, "", Vec::new()).map_err(kernel);
        data(reply, self.node(ino).and_then(read).map(|target| target.into_bytes()));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let mode = Mode::from_raw_mode(mode);
        let made = self.make_name(Step::Make, parent, |folder| rustix::fs::mkdirat(folder, name, mode));
        entry(reply, made.and_then(|()| self.find(parent, name)));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self.make_name(Step::Make, parent, |folder| rustix::fs::symlinkat(target, folder, name));
        entry(reply, made.and_then(|()| self.find(parent, name)));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let made = self.path(ino).and_then(|path| {
            let follow = AtFlags::SYMLINK_FOLLOW;
            self.make_name(Step::Link, parent, |folder| rustix::fs::linkat(CWD, path, folder, name, follow))
        });
        entry(reply, made.and_then(|()| self.find(parent, name)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let unlink = |folder: &File| rustix::fs::unlinkat(folder, name, AtFlags::empty());
        answer(reply, self.make_name(Step::Remove, parent, unlink));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let remove = |folder: &File| rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR);
        answer(reply, self.make_name(Step::Remove, parent, remove));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        let renamed = self.node(to).and_then(|to| {
            let rename = |from: &File| rustix::fs::renameat_with(from, name, &*to, new, flags);
            self.make_name(Step::Rename, parent, rename)
        });
        answer(reply, renamed);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.before(Step::Open).and_then(|()| {
            let flags = OFlags::from_bits_retain(flags.0.cast_unsigned()) - OFlags::NOFOLLOW;
            let file = rustix::fs::open(self.path(ino)?, flags | OFlags::CLOEXEC, Mode::empty());
            Ok(self.add_handle(File::from(file.map_err(kernel)?)))
        });
        match opened {
            Ok(handle) => reply.opened(handle, FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        match self.create(parent, name, mode, flags) {
            Ok((found, handle)) => reply.created(&TTL, &found, Generation(0), handle, FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.handle(handle).and_then(|file| {
            let mut bytes = vec![0; size as usize];
            let length = file.read_at(&mut bytes, offset)?;
            bytes.truncate(length);
            Ok(bytes)
        });
        data(reply, read);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written =
            self.before(Step::Write).and_then(|()| Ok(self.handle(handle)?.write_at(data, offset)?));
        match written {
            Ok(length) => reply.written(length as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open().handles.remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.before(Step::Sync));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.before(Step::SyncDirectory));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.path(ino).and_then(|path| Ok(fs::read_dir(path)?));
        let entries = match listed {
            Ok(entries) => entries.flatten().zip(1..).skip(offset as usize),
            Err(error) => return reply.error(error),
        };
        for (found, number) in entries {
            let kind = found.file_type().ok().and_then(FileType::from_std).unwrap_or(FileType::RegularFile);
            if reply.add(INodeNo(found.ino()), number, kind, found.file_name()) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.node(ino).and_then(|node| rustix::fs::fstatvfs(&*node).map_err(kernel)) {
            Ok(it) => reply.statfs(
                it.f_blocks,
                it.f_bfree,
                it.f_bavail,
                it.f_files,
                it.f_ffree,
                it.f_bsize as u32,
                255,
                it.f_frsize as u32,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn setxattr(
        &self,
        _: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let set = self.before(Step::SetXattr).and_then(|()| {
            let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
            rustix::fs::setxattr(self.path(ino)?, name, value, flags).map_err(kernel)
        });
        answer(reply, set);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let found = self.path(ino).and_then(|path| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::getxattr(path, name, &mut value[..]).map_err(kernel)?;
            value.truncate(length);
            Ok(value)
        });
        match found {
            Ok(value) if size == 0 => reply.size(value.len() as u32),
            Ok(value) if value.len() > size as usize => reply.error(fuser::Errno::ERANGE),
            Ok(value) => reply.data(&value),
            Err(error) => reply.error(error),
        }
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self
            .before(Step::SetXattr)
            .and_then(|()| rustix::fs::removexattr(self.path(ino)?, name).map_err(kernel));
        answer(reply, removed);
    }
}
