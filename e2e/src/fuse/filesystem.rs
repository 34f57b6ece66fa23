//! Passes the kernel's requests on to the backing folder.

use super::backing::{Backing, kernel};
use super::reply::{TTL, answer, attr, data, entry};
use super::{Change, DiskOperation, NewEntry};
use fuser::{
    FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, XattrFlags};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

impl Filesystem for Backing {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.find(parent, name));
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        self.forget(ino, times);
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
        let name = &*self.meant(parent, name);
        let make = |folder: &File| rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(mode));
        let made = self.make_name(DiskOperation::Make, parent, make);
        entry(reply, made.and_then(|()| self.created(parent, name, NewEntry::Directory(mode))));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let name = &*self.meant(parent, name);
        let made =
            self.make_name(DiskOperation::Make, parent, |folder| rustix::fs::symlinkat(target, folder, name));
        entry(reply, made.and_then(|()| self.created(parent, name, NewEntry::Link(target))));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = &*self.meant(parent, name);
        let made = self.path(ino).and_then(|path| {
            let follow = AtFlags::SYMLINK_FOLLOW;
            self.make_name(DiskOperation::Link, parent, |folder| {
                rustix::fs::linkat(CWD, path, folder, name, follow)
            })?;
            self.changed(Change::Link { inode: self.number(ino), parent: self.number(parent), name });
            Ok(())
        });
        entry(reply, made.and_then(|()| self.find(parent, name)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = &*self.meant(parent, name);
        let unlink = |folder: &File| rustix::fs::unlinkat(folder, name, AtFlags::empty());
        answer(reply, self.remove_name(parent, name, unlink));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = &*self.meant(parent, name);
        let remove = |folder: &File| rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR);
        answer(reply, self.remove_name(parent, name, remove));
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
        let (name, new) = (&*self.meant(parent, name), &*self.meant(to, new));
        let renamed = self.node(to).and_then(|to| {
            let rename = |from: &File| rustix::fs::renameat_with(from, name, &*to, new, flags);
            self.make_name(DiskOperation::Rename, parent, rename)
        });
        if renamed.is_ok() {
            let (parent, new_parent) = (self.number(parent), self.number(to));
            self.changed(Change::Rename { parent, name, new_parent, new_name: new });
        }
        answer(reply, renamed);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.before(DiskOperation::Open).and_then(|()| {
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
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self
            .before(DiskOperation::Write)
            .and_then(|()| Ok(self.handle(handle)?.write_at(data, offset)?));
        match written {
            Ok(length) => {
                let data = data.get(..length).unwrap_or_default();
                self.changed(Change::Write { inode: self.number(ino), offset, data });
                self.modified(ino);
                reply.written(length as u32);
            }
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
        self.close(handle);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.before(DiskOperation::Sync);
        let inode = self.number(ino);
        answer(reply, synced.inspect(|()| self.changed(Change::SyncFile { inode })));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.before(DiskOperation::SyncDirectory);
        let inode = self.number(ino);
        answer(reply, synced.inspect(|()| self.changed(Change::SyncDirectory { inode })));
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
        let set = self.before(DiskOperation::SetXattr).and_then(|()| {
            let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
            rustix::fs::setxattr(self.path(ino)?, name, value, flags).map_err(kernel)?;
            self.changed(Change::SetXattr { inode: self.number(ino), name, value: Some(value) });
            Ok(())
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
        let removed = self.before(DiskOperation::SetXattr).and_then(|()| {
            rustix::fs::removexattr(self.path(ino)?, name).map_err(kernel)?;
            self.changed(Change::SetXattr { inode: self.number(ino), name, value: None });
            Ok(())
        });
        answer(reply, removed);
    }
}
