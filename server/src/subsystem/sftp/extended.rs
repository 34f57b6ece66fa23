//! SFTP extensions: posix-rename, statvfs, fsync, copy-data, check-file and others.

use super::conversation::SftpConversation;
use super::handles;
use super::job::SftpJob;
use super::names::name;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use crate::operations;
use bytes::Bytes;
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;
use sshome_wire::sftp::{
    Extended, MAX_DATA, MAX_PACKET, SftpLimits, StatusCode, Statvfs, UsersGroups, Vendor,
};

/// The flag of `statvfs(3)` for a read-only filesystem.
const ST_RDONLY: u64 = 1;
/// The flag of `statvfs(3)` for a filesystem that ignores set-id bits.
const ST_NOSUID: u64 = 2;

impl SftpConversation {
    pub(super) fn extended(&mut self, extended: Extended) -> SftpResult {
        match extended {
            Extended::PosixRename { from, to } => self.rename(&from, &to, true),
            Extended::Statvfs { path } => {
                operations::stat(&self.user, &at(&path)?, true)?;
                self.statvfs()
            }
            Extended::Fstatvfs { handle } => {
                self.handles.get(&handle)?;
                self.statvfs()
            }
            Extended::Hardlink { from, to } => {
                operations::hard_link(&self.user, &at(&from)?, &at(&to)?)?;
                Ok(done())
            }
            Extended::Fsync { handle } => {
                self.handles.file(&handle)?.sync()?;
                Ok(done())
            }
            Extended::Lsetstat { path, attributes } => self.setstat(&path, false, &attributes),
            Extended::Limits => Ok(limits()),
            Extended::ExpandPath { path } => self.expand_path(&path),
            Extended::UsersGroupsById { users, groups } => Ok(self.users_groups(&users, &groups)),
            Extended::CopyData { from, from_offset, length, to, to_offset } => {
                let job = SftpJob::copy(&self.handles, (from, from_offset), length, (to, to_offset))?;
                Ok(SftpOutcome::Job(Box::new(job)))
            }
            Extended::HomeDirectory { user } => self.home_directory(&user),
            Extended::CheckFile(check) => {
                let job = SftpJob::check(&self.user, &self.handles, check)?;
                Ok(SftpOutcome::Job(Box::new(job)))
            }
            Extended::VendorId(vendor) => {
                self.log_vendor(&vendor);
                Ok(done())
            }
            Extended::Unknown(_) => {
                Err(SftpError::new(StatusCode::OpUnsupported, "this extension is not known here"))
            }
        }
    }

    /// Reports the home as a filesystem whose size is the quota.
    fn statvfs(&self) -> SftpResult {
        let space = operations::space(&self.user)?;
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

    fn users_groups(&self, users: &[u32], groups: &[u32]) -> SftpOutcome {
        let bytes = |name: Option<&str>| Bytes::copy_from_slice(name.unwrap_or_default().as_bytes());
        let names = UsersGroups {
            users: users.iter().map(|uid| bytes(self.names.user(*uid))).collect(),
            groups: groups.iter().map(|gid| bytes(self.names.group(*gid))).collect(),
        };
        SftpOutcome::Response(names.response())
    }

    fn log_vendor(&self, vendor: &Vendor) {
        let (product, version) = (Escaped(&vendor.product), Escaped(&vendor.version));
        tracing::debug!(user = self.user.name(), %product, %version, "client");
    }
}

fn limits() -> SftpOutcome {
    let limits = SftpLimits {
        packet: MAX_PACKET.into(),
        read: MAX_DATA.into(),
        write: MAX_DATA.into(),
        handles: handles::MAX_OPEN_HANDLES as u64,
    };
    SftpOutcome::Response(limits.response())
}
