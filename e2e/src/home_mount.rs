//! A home of any store, mounted as a folder, so that tests can read its files whatever the store is.

use crate::fuse::MountedFilesystem;
use crate::fuse::reply::{Result, TTL, answer, attr, data, entry};
use fuser::{
    Config, FileAttr, FileHandle as Handle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;
use sshome_store::{
    Cause, FileHandle, FileInfo, FileType, Home, MakeDirectory, OpenMode, Replace, SetAttributes, StoreError,
    StoreResult,
};
use sshome_wire::{RemotePath, Time};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A mounted home. It is unmounted when this is dropped.
pub(crate) struct HomeMount {
    _mounted: MountedFilesystem,
}

impl HomeMount {
    /// Mounts a home on a folder.
    ///
    /// # Errors
    /// If nothing can be mounted here.
    pub(crate) fn new(home: Arc<dyn Home>, path: PathBuf) -> std::io::Result<HomeMount> {
        let names = HashMap::from([(INodeNo::ROOT, RemotePath::root())]);
        let filesystem = MountedHome { home, names: Mutex::new(names), open: Mutex::default() };
        Ok(HomeMount { _mounted: MountedFilesystem::new(filesystem, path, &Config::default())? })
    }
}

struct MountedHome {
    home: Arc<dyn Home>,
    /// The last path by which the kernel found each file.
    names: Mutex<HashMap<INodeNo, RemotePath>>,
    open: Mutex<MountHandles>,
}

/// The open files, by their numbers.
#[derive(Default)]
struct MountHandles {
    given: u64,
    files: HashMap<u64, Arc<dyn FileHandle>>,
}

impl MountedHome {
    fn names(&self) -> MutexGuard<'_, HashMap<INodeNo, RemotePath>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, ino: INodeNo) -> Result<RemotePath> {
        self.names().get(&ino).cloned().ok_or(fuser::Errno::ENOENT)
    }

    fn below(&self, parent: INodeNo, name: &OsStr) -> Result<RemotePath> {
        self.path(parent)?.join(name.as_bytes()).map_err(|_| fuser::Errno::ENAMETOOLONG)
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr> {
        let path = self.below(parent, name)?;
        let found = attributes(&self.home.info(&path, false).map_err(failed)?);
        self.names().insert(found.ino, path);
        Ok(found)
    }

    fn attributes(&self, ino: INodeNo) -> Result<FileAttr> {
        let info = self.home.info(&self.path(ino)?, false).map_err(failed)?;
        Ok(FileAttr { ino, ..attributes(&info) })
    }

    fn open(&self) -> MutexGuard<'_, MountHandles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, path: &RemotePath, flags: i32, create: Option<u32>) -> Result<u64> {
        let has = |flag: rustix::fs::OFlags| flags.cast_unsigned() & flag.bits() != 0;
        let (write, both) = (has(rustix::fs::OFlags::WRONLY), has(rustix::fs::OFlags::RDWR));
        let mode = OpenMode {
            read: !write,
            write: write || both,
            append: has(rustix::fs::OFlags::APPEND),
            create: create.is_some(),
            truncate: has(rustix::fs::OFlags::TRUNC),
            exclusive: create.is_some() && has(rustix::fs::OFlags::EXCL),
            mode: create,
        };
        let file = self.home.open_file(path, mode, false).map_err(failed)?;
        let mut open = self.open();
        open.given += 1;
        let number = open.given;
        open.files.insert(number, file.into());
        Ok(number)
    }

    fn handle(&self, handle: Handle) -> Result<Arc<dyn FileHandle>> {
        self.open().files.get(&handle.0).cloned().ok_or(fuser::Errno::EBADF)
    }

    fn set(&self, ino: INodeNo, wanted: &SetAttributes) -> Result<FileAttr> {
        let path = self.path(ino)?;
        if let Some(size) = wanted.size {
            let mode = OpenMode { read: false, write: true, ..OpenMode::READ_ONLY };
            let file = self.home.open_file(&path, mode, false).map_err(failed)?;
            file.set_length(size).map_err(failed)?;
        }
        self.home.set_attributes(&path, false, wanted).map_err(failed)?;
        self.attributes(ino)
    }

    fn list(&self, ino: INodeNo) -> Result<Vec<(INodeNo, FileType, Vec<u8>)>> {
        let mut reader = self.home.read_directory(&self.path(ino)?).map_err(failed)?;
        let mut entries = vec![
            (ino, FileType::Directory, b".".to_vec()),
            (INodeNo::ROOT, FileType::Directory, b"..".to_vec()),
        ];
        while let Some(entry) = reader.next_entry().map_err(failed)? {
            entries.push((number(&entry.info), entry.info.file_type, entry.name));
        }
        Ok(entries)
    }
}

impl Filesystem for MountedHome {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.find(parent, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, handle: Option<Handle>, reply: ReplyAttr) {
        // A file without a name is known by its handle only.
        let open = handle.and_then(|handle| self.handle(handle).ok()).and_then(|file| file.info().ok());
        let found =
            open.map_or_else(|| self.attributes(ino), |info| Ok(FileAttr { ino, ..attributes(&info) }));
        attr(reply, found);
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
        _: Option<Handle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let times = atime.zip(mtime).map(|(atime, mtime)| (time(atime), time(mtime)));
        attr(reply, self.set(ino, &SetAttributes { size, mode, times, owner: None }));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        data(reply, self.path(ino).and_then(|path| self.home.read_link(&path).map_err(failed)));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let how = MakeDirectory { mode: Some(mode), ..MakeDirectory::default() };
        let made = self.below(parent, name);
        let made = made.and_then(|path| self.home.make_directory(&path, how).map_err(failed));
        entry(reply, made.and_then(|_| self.find(parent, name)));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_bytes();
        let made = self.below(parent, name);
        let made = made.and_then(|path| self.home.make_symlink(&path, target).map_err(failed));
        entry(reply, made.and_then(|_| self.find(parent, name)));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let paths = self.path(ino).and_then(|from| Ok((from, self.below(parent, name)?)));
        let made = paths.and_then(|(from, to)| self.home.hard_link(&from, &to, false).map_err(failed));
        entry(reply, made.and_then(|_| self.find(parent, name)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.below(parent, name);
        answer(reply, path.and_then(|path| done(self.home.remove_file(&path))));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let path = self.below(parent, name);
        answer(reply, path.and_then(|path| done(self.home.remove_directory(&path))));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let paths = self.below(parent, name).and_then(|from| Ok((from, self.below(new_parent, new_name)?)));
        answer(reply, paths.and_then(|(from, to)| done(self.home.rename(&from, &to, Replace::Always))));
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.path(ino).and_then(|path| self.open_file(&path, flags.0, None)) {
            Ok(number) => reply.opened(Handle(number), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let opened =
            self.below(parent, name).and_then(|path| self.open_file(&path, flags, Some(mode & !umask)));
        match opened.and_then(|number| Ok((number, self.find(parent, name)?))) {
            Ok((number, found)) => {
                reply.created(&TTL, &found, Generation(0), Handle(number), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: Handle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.handle(handle).and_then(|file| {
            let mut bytes = Vec::with_capacity(size as usize);
            while bytes.len() < size as usize {
                let at = offset + bytes.len() as u64;
                if file.read_at(at, &mut bytes, size as usize).map_err(failed)? == 0 {
                    break;
                }
            }
            Ok(bytes)
        });
        data(reply, read);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: Handle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.handle(handle).and_then(|file| done(file.write_at(Some(offset), &[data]))) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: Handle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open().files.remove(&handle.0);
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: Handle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: Handle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.list(ino) {
            Ok(entries) => entries,
            Err(error) => return reply.error(error),
        };
        for ((ino, file_type, name), next) in entries.into_iter().zip(1..).skip(offset as usize) {
            if reply.add(ino, next, kind(file_type), OsStr::from_bytes(&name)) {
                break;
            }
        }
        reply.ok();
    }
}

fn done<T>(result: StoreResult<T>) -> Result<()> {
    result.map(drop).map_err(failed)
}

/// 1 is the top.
fn number(info: &FileInfo) -> INodeNo {
    INodeNo(info.id.inode + 2)
}

fn attributes(info: &FileInfo) -> FileAttr {
    FileAttr {
        ino: number(info),
        size: info.size,
        blocks: info.size.div_ceil(512),
        atime: at(info.accessed),
        mtime: at(info.modified),
        ctime: at(info.changed),
        crtime: at(info.modified),
        kind: kind(info.file_type),
        perm: (info.mode & 0o7777) as u16,
        nlink: info.links as u32,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn kind(file_type: FileType) -> fuser::FileType {
    match file_type {
        FileType::Directory => fuser::FileType::Directory,
        FileType::Symlink => fuser::FileType::Symlink,
        _ => fuser::FileType::RegularFile,
    }
}

fn at(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::new(time.seconds.max(0).unsigned_abs(), time.nanoseconds)
}

fn time(time: TimeOrNow) -> Time {
    let time = match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    };
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() }
}

fn failed(error: StoreError) -> fuser::Errno {
    let errno = match &error {
        StoreError::Quota { .. } => Errno::DQUOT,
        StoreError::IsDirectory { .. } => Errno::ISDIR,
        StoreError::NotDirectory(_) => Errno::EXIST,
        _ => match error.cause() {
            Some(Cause::NotFound) => Errno::NOENT,
            Some(Cause::Exists) => Errno::EXIST,
            Some(Cause::NotDirectory) => Errno::NOTDIR,
            Some(Cause::IsDirectory) => Errno::ISDIR,
            Some(Cause::NotEmpty) => Errno::NOTEMPTY,
            Some(Cause::NameTooLong) => Errno::NAMETOOLONG,
            Some(Cause::TooManyLinks) => Errno::LOOP,
            Some(Cause::Denied | Cause::NotPermitted | Cause::Reserved) => Errno::ACCESS,
            Some(Cause::Invalid) => Errno::INVAL,
            Some(Cause::Unsupported) => Errno::OPNOTSUPP,
            _ => Errno::IO,
        },
    };
    fuser::Errno::from_i32(errno.raw_os_error())
}
