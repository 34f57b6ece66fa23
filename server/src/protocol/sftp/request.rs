//! The table of SFTP requests. Extensions have their own: [`extended`](SftpConversation::extended).

use super::conversation::SftpConversation;
use super::outcome::SftpResult;
use crate::service::ChangeKind;
use sshome_wire::display::Escaped;
use sshome_wire::sftp::{Extended, OpenFlags, SftpAttributes, SftpRequest};
use std::time::Instant;

/// How long a request is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestCost {
    /// So short that it may run inline.
    Short,
    /// It syncs or processes much data.
    Long,
}
use RequestCost::{Long, Short};

/// What a request changes that waits while the home is being counted.
pub(super) fn change_of(request: &SftpRequest) -> Option<ChangeKind> {
    let sets_size = |attributes: &SftpAttributes| attributes.size.is_some();
    let stores = match request {
        SftpRequest::Open { flags, .. } => {
            [OpenFlags::WRITE, OpenFlags::CREAT, OpenFlags::TRUNC].iter().any(|flag| flags.contains(*flag))
        }
        SftpRequest::Write { .. }
        | SftpRequest::Mkdir { .. }
        | SftpRequest::Rename { .. }
        | SftpRequest::Symlink { .. } => true,
        SftpRequest::Setstat { attributes, .. } | SftpRequest::Fsetstat { attributes, .. } => {
            sets_size(attributes)
        }
        SftpRequest::Extended(extended) => match extended {
            Extended::PosixRename { .. } | Extended::Hardlink { .. } | Extended::CopyData { .. } => true,
            Extended::Lsetstat { attributes, .. } => sets_size(attributes),
            _ => false,
        },
        SftpRequest::Remove { .. } | SftpRequest::Rmdir { .. } => return Some(ChangeKind::Removes),
        _ => false,
    };
    stores.then_some(ChangeKind::Stores)
}

impl SftpConversation {
    /// The request table: a row for each request with its cost, its name, its path unless it works on a handle, and
    /// its handler. Returns `None` if the request takes long and the slice runs inline: then nothing was done.
    pub(super) fn handle(&mut self, id: u32, request: &SftpRequest) -> Option<SftpResult> {
        Some(match request {
            SftpRequest::Open { path, flags, attributes } => {
                self.begin(Short, "open", Some(path))?.open(path, *flags, attributes)
            }
            SftpRequest::Close { handle } => {
                let publishes = self.handles.file(handle).is_ok_and(|file| file.publishes_at_close());
                self.begin(if publishes { Long } else { Short }, "close", None)?.close(handle)
            }
            SftpRequest::Read { handle, offset, length } => {
                self.begin(Short, "read", None)?.read(id, handle, *offset, *length)
            }
            SftpRequest::Write { handle, offset, data } => {
                self.begin(Short, "write", None)?.write(handle, *offset, data)
            }
            SftpRequest::Lstat { path } => self.begin(Short, "lstat", Some(path))?.stat(path, false),
            SftpRequest::Fstat { handle } => self.begin(Short, "fstat", None)?.fstat(handle),
            SftpRequest::Setstat { path, attributes } => {
                self.begin(Short, "setstat", Some(path))?.setstat(path, true, attributes)
            }
            SftpRequest::Fsetstat { handle, attributes } => {
                self.begin(Short, "fsetstat", None)?.fsetstat(handle, attributes)
            }
            SftpRequest::Opendir { path } => self.begin(Short, "opendir", Some(path))?.opendir(path),
            SftpRequest::Readdir { handle } => self.begin(Short, "readdir", None)?.readdir(handle),
            SftpRequest::Remove { path } => self.begin(Short, "remove", Some(path))?.remove(path),
            SftpRequest::Mkdir { path, attributes } => {
                self.begin(Short, "mkdir", Some(path))?.mkdir(path, attributes)
            }
            SftpRequest::Rmdir { path } => self.begin(Short, "rmdir", Some(path))?.rmdir(path),
            SftpRequest::Realpath { path } => self.begin(Short, "realpath", Some(path))?.realpath(path),
            SftpRequest::Stat { path } => self.begin(Short, "stat", Some(path))?.stat(path, true),
            SftpRequest::Rename { from, to } => {
                self.begin(Short, "rename", Some(from))?.rename(from, to, false)
            }
            SftpRequest::Readlink { path } => self.begin(Short, "readlink", Some(path))?.readlink(path),
            SftpRequest::Symlink { target, path } => {
                self.begin(Short, "symlink", Some(path))?.symlink(target, path)
            }
            SftpRequest::Extended(extended) => return self.extended(extended),
        })
    }

    /// Begins a request: writes the log line, and starts the clock of the metrics. `None` if it must not run inline and the
    /// slice does.
    pub(super) fn begin(
        &mut self,
        cost: RequestCost,
        name: &'static str,
        path: Option<&[u8]>,
    ) -> Option<&mut SftpConversation> {
        if cost == Long && self.is_inline {
            return None;
        }
        if let Some(path) = path {
            tracing::debug!(user = self.user.name(), request = name, path = %Escaped(path), "request");
        }
        self.timed = Some((name, Instant::now()));
        Some(self)
    }
}
