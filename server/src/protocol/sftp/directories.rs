//! Directories: OPENDIR, READDIR, MKDIR, RMDIR.

use super::attributes::attributes;
use super::conversation::SftpConversation;
use super::directory_handle::DirectoryHandle;
use super::handles::OpenHandle;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use crate::protocol::ls_format::LsFormat;
use crate::service;
use sshome_wire::sftp::{Response, SftpAttributes, SftpName};

/// The largest number of entries in one READDIR reply.
const MAX_READDIR_ENTRIES: usize = 128;

/// The size at which a READDIR reply is complete, in bytes.
const READDIR_REPLY_BYTES: usize = 64 << 10;

impl SftpConversation {
    pub(super) fn opendir(&mut self, path: &[u8]) -> SftpResult {
        let path = at(path)?;
        self.handles.check_room()?;
        let directory = DirectoryHandle::open(&self.user, &path)?;
        Ok(SftpOutcome::Response(Response::Handle(self.handles.add(OpenHandle::Directory(directory)))))
    }

    pub(super) fn readdir(&mut self, handle: &[u8]) -> SftpResult {
        let directory = self.handles.directory(handle)?;
        let lines = LsFormat::new();
        let (mut names, mut length) = (Vec::new(), 0);
        while names.len() < MAX_READDIR_ENTRIES && length < READDIR_REPLY_BYTES {
            let entry = match directory.next_entry(&self.user) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                // Return the entries that were read. The next request reports the error if it persists.
                Err(_) if !names.is_empty() => break,
                Err(refused) => return Err(refused),
            };
            let long_name = self.names.line(&lines, &entry.name, &entry.info).into();
            length += 2 * entry.name.len() + 100;
            names.push(SftpName { name: entry.name.into(), long_name, attributes: attributes(&entry.info) });
        }
        match names.is_empty() {
            true => Err(SftpError::end()),
            false => Ok(SftpOutcome::Response(Response::Name(names))),
        }
    }

    pub(super) fn mkdir(&mut self, path: &[u8], attributes: &SftpAttributes) -> SftpResult {
        service::make_new_directory(&self.user, &at(path)?, attributes.permissions)?;
        Ok(done())
    }

    pub(super) fn rmdir(&mut self, path: &[u8]) -> SftpResult {
        service::remove_directory(&self.user, &at(path)?)?;
        Ok(done())
    }
}
