//! SFTP extensions: posix-rename, statvfs, fsync, copy-data, check-file and others.

use super::conversation::SftpConversation;
use super::handles;
use super::job;
use super::names::name;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::request::RequestCost::{Long, Short};
use super::status::SftpError;
use crate::service;
use bytes::Bytes;
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;
use sshome_wire::sftp::{
    CheckFile, Extended, MAX_DATA, MAX_PACKET, SftpLimits, StatusCode, Statvfs, Subject, UsersGroups, Vendor,
};

/// The flag of `statvfs(3)` for a read-only filesystem.
const ST_RDONLY: u64 = 1;
/// The flag of `statvfs(3)` for a filesystem that ignores set-id bits.
const ST_NOSUID: u64 = 2;

/// The name in the metrics of extensions that are rare and do not work on a path.
const OTHER: &str = "extended";

impl SftpConversation {
    /// The table of extensions, with rows like those of [`handle`](SftpConversation::handle).
    pub(super) fn extended(&mut self, extended: &Extended) -> Option<SftpResult> {
        Some(match extended {
            Extended::PosixRename { from, to } => {
                self.begin(Short, "posix-rename", Some(from))?.rename(from, to, true)
            }
            Extended::Statvfs { path } => self.begin(Short, "statvfs", Some(path))?.statvfs(path),
            Extended::Fstatvfs { handle } => self.begin(Short, OTHER, None)?.fstatvfs(handle),
            Extended::Hardlink { from, to } => self.begin(Short, "hardlink", Some(to))?.hard_link(from, to),
            Extended::Fsync { handle } => self.begin(Long, "fsync", None)?.fsync(handle),
            Extended::Lsetstat { path, attributes } => {
                self.begin(Short, "lsetstat", Some(path))?.setstat(path, false, attributes)
            }
            Extended::Limits => self.begin(Short, OTHER, None)?.limits(),
            Extended::ExpandPath { path } => self.begin(Short, "expand-path", Some(path))?.expand_path(path),
            Extended::UsersGroupsById { users, groups } => {
                self.begin(Short, OTHER, None)?.users_groups(users, groups)
            }
            Extended::CopyData { from, from_offset, length, to, to_offset } => self
                .begin(Long, "copy-data", None)?
                .copy_data((from, *from_offset), *length, (to, *to_offset)),
            Extended::HomeDirectory { user } => self.begin(Short, OTHER, None)?.home_directory(user),
            Extended::CheckFile(check) => {
                self.begin(Long, "check-file", path_of(&check.subject))?.check_file(check)
            }
            Extended::VendorId(vendor) => self.begin(Short, OTHER, None)?.vendor_id(vendor),
            Extended::Unknown(extension) => self.begin(Short, "unknown", Some(&extension.name))?.unknown(),
        })
    }

    fn statvfs(&self, path: &[u8]) -> SftpResult {
        service::stat(&self.user, &at(path)?, true)?;
        self.space()
    }

    fn fstatvfs(&self, handle: &[u8]) -> SftpResult {
        self.handles.get(handle)?;
        self.space()
    }

    fn hard_link(&self, from: &[u8], to: &[u8]) -> SftpResult {
        service::hard_link(&self.user, &at(from)?, &at(to)?)?;
        Ok(done())
    }

    fn fsync(&self, handle: &[u8]) -> SftpResult {
        self.handles.file(handle)?.sync()?;
        Ok(done())
    }

    fn copy_data(&self, from: (&[u8], u64), length: u64, to: (&[u8], u64)) -> SftpResult {
        Ok(SftpOutcome::Job(job::copy(&self.handles, from, length, to)?))
    }

    fn check_file(&self, check: &CheckFile) -> SftpResult {
        Ok(SftpOutcome::Job(job::check(&self.user, &self.handles, check)?))
    }

    fn unknown(&self) -> SftpResult {
        Err(SftpError::new(StatusCode::OpUnsupported, "this extension is not supported"))
    }

    /// Reports the home as a filesystem whose size is the quota.
    fn space(&self) -> SftpResult {
        let space = service::space(&self.user)?;
        let read_only = if space.read_only { ST_RDONLY } else { 0 };
        let statvfs = Statvfs {
            bsize: space.block,
            frsize: space.block,
            blocks: space.blocks,
            bfree: space.blocks_free,
            bavail: space.blocks_free,
            files: space.entries,
            ffree: space.entries_free,
            favail: space.entries_free,
            fsid: space.disk,
            flag: ST_NOSUID | read_only,
            namemax: space.longest_name,
        };
        Ok(SftpOutcome::Response(statvfs.response()))
    }

    /// Like REALPATH, with `~` and `~NAME` for the home.
    fn expand_path(&mut self, path: &[u8]) -> SftpResult {
        let Some(rest) = path.strip_prefix(b"~") else { return self.realpath(path) };
        let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let (user, below) = rest.split_at(slash);
        self.check_user(user)?;
        self.realpath(&[b"/", below].concat())
    }

    fn home_directory(&self, user: &[u8]) -> SftpResult {
        self.check_user(user)?;
        Ok(name(RemotePath::root().as_bytes().to_vec()))
    }

    /// Refuses every other user's name.
    fn check_user(&self, user: &[u8]) -> Result<(), SftpError> {
        match user.is_empty() || user == self.user.name().as_bytes() {
            true => Ok(()),
            false => {
                Err(SftpError::new(StatusCode::NoSuchFile, format!("no home of {} is here", Escaped(user))))
            }
        }
    }

    fn users_groups(&self, users: &[u32], groups: &[u32]) -> SftpResult {
        let bytes = |name: Option<&str>| Bytes::copy_from_slice(name.unwrap_or_default().as_bytes());
        let names = UsersGroups {
            users: users.iter().map(|uid| bytes(self.names.user(*uid))).collect(),
            groups: groups.iter().map(|gid| bytes(self.names.group(*gid))).collect(),
        };
        Ok(SftpOutcome::Response(names.response()))
    }

    fn vendor_id(&self, vendor: &Vendor) -> SftpResult {
        let (product, version) = (Escaped(&vendor.product), Escaped(&vendor.version));
        tracing::debug!(user = self.user.name(), %product, %version, "client");
        Ok(done())
    }

    fn limits(&self) -> SftpResult {
        let limits = SftpLimits {
            packet: MAX_PACKET.into(),
            read: MAX_DATA.into(),
            write: MAX_DATA.into(),
            handles: handles::MAX_OPEN_HANDLES as u64,
        };
        Ok(SftpOutcome::Response(limits.response()))
    }
}

/// The path of a file whose digest is asked for, unless it is open.
fn path_of(subject: &Subject) -> Option<&[u8]> {
    match subject {
        Subject::Path(path) => Some(path),
        Subject::Handle(_) | Subject::HandleNamed(_) => None,
    }
}
