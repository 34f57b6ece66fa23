//! From each request to what does it: its line in the log, and the call.

use super::conversation::SftpConversation;
use super::outcome::SftpResult;
use crate::operations::OpenFile;
use sshome_wire::display::Escaped;
use sshome_wire::sftp::{Extended, Request, Subject};
use std::time::Instant;

impl SftpConversation {
    /// Takes one request up.
    pub(super) fn handle(&mut self, id: u32, request: Request) -> SftpResult {
        self.log(&request);
        self.timed = Some((kind(&request), Instant::now()));
        match request {
            Request::Open { path, flags, attributes } => self.open(&path, flags, &attributes),
            Request::Close { handle } => self.close(&handle),
            Request::Read { handle, offset, length } => self.read(id, &handle, offset, length),
            Request::Write { handle, offset, data } => self.write(&handle, offset, &data),
            Request::Lstat { path } => self.stat(&path, false),
            Request::Fstat { handle } => self.fstat(&handle),
            Request::Setstat { path, attributes } => self.setstat(&path, true, &attributes),
            Request::Fsetstat { handle, attributes } => self.fsetstat(&handle, &attributes),
            Request::Opendir { path } => self.opendir(&path),
            Request::Readdir { handle } => self.readdir(&handle),
            Request::Remove { path } => self.remove(&path),
            Request::Mkdir { path, attributes } => self.mkdir(&path, &attributes),
            Request::Rmdir { path } => self.rmdir(&path),
            Request::Realpath { path } => self.realpath(&path),
            Request::Stat { path } => self.stat(&path, true),
            Request::Rename { from, to } => self.rename(&from, &to, false),
            Request::Readlink { path } => self.readlink(&path),
            Request::Symlink { target, path } => self.symlink(&target, &path),
            Request::Extended(extended) => self.extended(extended),
        }
    }

    /// Whether a request waits for the disk as a matter of course, or goes through much.
    pub(super) fn takes_long(&self, request: &Request) -> bool {
        match request {
            Request::Close { handle } => self.handles.file(handle).is_ok_and(OpenFile::publishes_at_close),
            Request::Extended(extended) => matches!(
                extended,
                Extended::Fsync { .. } | Extended::CopyData { .. } | Extended::CheckFile(_)
            ),
            _ => false,
        }
    }

    fn log(&self, request: &Request) {
        if tracing::enabled!(tracing::Level::DEBUG)
            && let Some((name, path)) = named(request)
        {
            tracing::debug!(user = self.user.name(), request = name, path = %Escaped(path), "request");
        }
    }
}

/// How the metrics name a request.
fn kind(request: &Request) -> &'static str {
    match request {
        Request::Close { .. } => "close",
        Request::Read { .. } => "read",
        Request::Write { .. } => "write",
        Request::Fstat { .. } => "fstat",
        Request::Fsetstat { .. } => "fsetstat",
        Request::Readdir { .. } => "readdir",
        Request::Extended(Extended::CheckFile(_)) => "check-file",
        Request::Extended(Extended::CopyData { .. }) => "copy-data",
        Request::Extended(Extended::Fsync { .. }) => "fsync",
        named_one => named(named_one).map_or("extended", |(name, _)| name),
    }
}

/// How the log names a request, and the path it is about; none for what only goes on with a handle.
fn named(request: &Request) -> Option<(&'static str, &[u8])> {
    Some(match request {
        Request::Open { path, .. } => ("open", path),
        Request::Lstat { path } => ("lstat", path),
        Request::Setstat { path, .. } => ("setstat", path),
        Request::Opendir { path } => ("opendir", path),
        Request::Remove { path } => ("remove", path),
        Request::Mkdir { path, .. } => ("mkdir", path),
        Request::Rmdir { path } => ("rmdir", path),
        Request::Realpath { path } => ("realpath", path),
        Request::Stat { path } => ("stat", path),
        Request::Rename { from, .. } => ("rename", from),
        Request::Readlink { path } => ("readlink", path),
        Request::Symlink { path, .. } => ("symlink", path),
        Request::Extended(extended) => match extended {
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
        Request::Close { .. }
        | Request::Read { .. }
        | Request::Write { .. }
        | Request::Fstat { .. }
        | Request::Fsetstat { .. }
        | Request::Readdir { .. } => return None,
    })
}
