//! Dispatch of SFTP requests: the log line and the call of the handler.

use super::conversation::SftpConversation;
use super::outcome::SftpResult;
use crate::operations::OpenFile;
use sshome_wire::display::Escaped;
use sshome_wire::sftp::{Extended, SftpRequest, Subject};
use std::time::Instant;

impl SftpConversation {
    /// Handles one request.
    pub(super) fn handle(&mut self, id: u32, request: SftpRequest) -> SftpResult {
        self.log(&request);
        self.timed = Some((kind(&request), Instant::now()));
        match request {
            SftpRequest::Open { path, flags, attributes } => self.open(&path, flags, &attributes),
            SftpRequest::Close { handle } => self.close(&handle),
            SftpRequest::Read { handle, offset, length } => self.read(id, &handle, offset, length),
            SftpRequest::Write { handle, offset, data } => self.write(&handle, offset, &data),
            SftpRequest::Lstat { path } => self.stat(&path, false),
            SftpRequest::Fstat { handle } => self.fstat(&handle),
            SftpRequest::Setstat { path, attributes } => self.setstat(&path, true, &attributes),
            SftpRequest::Fsetstat { handle, attributes } => self.fsetstat(&handle, &attributes),
            SftpRequest::Opendir { path } => self.opendir(&path),
            SftpRequest::Readdir { handle } => self.readdir(&handle),
            SftpRequest::Remove { path } => self.remove(&path),
            SftpRequest::Mkdir { path, attributes } => self.mkdir(&path, &attributes),
            SftpRequest::Rmdir { path } => self.rmdir(&path),
            SftpRequest::Realpath { path } => self.realpath(&path),
            SftpRequest::Stat { path } => self.stat(&path, true),
            SftpRequest::Rename { from, to } => self.rename(&from, &to, false),
            SftpRequest::Readlink { path } => self.readlink(&path),
            SftpRequest::Symlink { target, path } => self.symlink(&target, &path),
            SftpRequest::Extended(extended) => self.extended(extended),
        }
    }

    /// Whether a request is expected to block: it syncs or processes much data.
    pub(super) fn takes_long(&self, request: &SftpRequest) -> bool {
        match request {
            SftpRequest::Close { handle } => {
                self.handles.file(handle).is_ok_and(OpenFile::publishes_at_close)
            }
            SftpRequest::Extended(extended) => matches!(
                extended,
                Extended::Fsync { .. } | Extended::CopyData { .. } | Extended::CheckFile(_)
            ),
            _ => false,
        }
    }

    fn log(&self, request: &SftpRequest) {
        if tracing::enabled!(tracing::Level::DEBUG)
            && let Some((name, path)) = named(request)
        {
            tracing::debug!(user = self.user.name(), request = name, path = %Escaped(path), "request");
        }
    }
}

/// The name of a request in metrics.
fn kind(request: &SftpRequest) -> &'static str {
    match request {
        SftpRequest::Close { .. } => "close",
        SftpRequest::Read { .. } => "read",
        SftpRequest::Write { .. } => "write",
        SftpRequest::Fstat { .. } => "fstat",
        SftpRequest::Fsetstat { .. } => "fsetstat",
        SftpRequest::Readdir { .. } => "readdir",
        SftpRequest::Extended(Extended::CheckFile(_)) => "check-file",
        SftpRequest::Extended(Extended::CopyData { .. }) => "copy-data",
        SftpRequest::Extended(Extended::Fsync { .. }) => "fsync",
        named_one => named(named_one).map_or("extended", |(name, _)| name),
    }
}

/// The name of a request in the log, and its path. `None` for a request that works on a handle.
fn named(request: &SftpRequest) -> Option<(&'static str, &[u8])> {
    Some(match request {
        SftpRequest::Open { path, .. } => ("open", path),
        SftpRequest::Lstat { path } => ("lstat", path),
        SftpRequest::Setstat { path, .. } => ("setstat", path),
        SftpRequest::Opendir { path } => ("opendir", path),
        SftpRequest::Remove { path } => ("remove", path),
        SftpRequest::Mkdir { path, .. } => ("mkdir", path),
        SftpRequest::Rmdir { path } => ("rmdir", path),
        SftpRequest::Realpath { path } => ("realpath", path),
        SftpRequest::Stat { path } => ("stat", path),
        SftpRequest::Rename { from, .. } => ("rename", from),
        SftpRequest::Readlink { path } => ("readlink", path),
        SftpRequest::Symlink { path, .. } => ("symlink", path),
        SftpRequest::Extended(extended) => match extended {
            Extended::PosixRename { from, .. } => ("posix-rename", from),
            Extended::Statvfs { path } => ("statvfs", path),
            Extended::Hardlink { to, .. } => ("hardlink", to),
            Extended::Lsetstat { path, .. } => ("lsetstat", path),
            Extended::ExpandPath { path } => ("expand-path", path),
            Extended::CheckFile(check) => match &check.subject {
                Subject::Path(path) => ("check-file", path),
                Subject::Handle(_) | Subject::HandleNamed(_) => return None,
            },
            Extended::Unknown(extension) => ("unknown", &extension.name),
            Extended::Fstatvfs { .. }
            | Extended::Fsync { .. }
            | Extended::Limits
            | Extended::UsersGroupsById { .. }
            | Extended::CopyData { .. }
            | Extended::HomeDirectory { .. }
            | Extended::VendorId(_) => return None,
        },
        SftpRequest::Close { .. }
        | SftpRequest::Read { .. }
        | SftpRequest::Write { .. }
        | SftpRequest::Fstat { .. }
        | SftpRequest::Fsetstat { .. }
        | SftpRequest::Readdir { .. } => return None,
    })
}
