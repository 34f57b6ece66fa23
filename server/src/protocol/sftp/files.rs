//! Open files: OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT.

use super::attributes::{attributes, wanted};
use super::conversation::SftpConversation;
use super::handles::OpenHandle;
use super::job;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use crate::service::{OpenFile, OpenMode};
use sshome_wire::sftp::{Data, MAX_DATA, OpenFlags, Response, SftpAttributes, StatusCode};
use std::sync::Arc;

impl SftpConversation {
    pub(super) fn open(&mut self, path: &[u8], flags: OpenFlags, attributes: &SftpAttributes) -> SftpResult {
        let path = at(path)?;
        self.handles.check_room()?;
        let has = |flag| flags.contains(flag);
        if has(OpenFlags::CREAT) {
            self.refuse_copy_id(&path)?;
        }
        let mode = OpenMode {
            // Like OpenSSH's server: a file that is not opened for writing is opened for reading.
            read: has(OpenFlags::READ) || !has(OpenFlags::WRITE),
            write: has(OpenFlags::WRITE),
            append: has(OpenFlags::WRITE | OpenFlags::APPEND),
            create: has(OpenFlags::CREAT),
            truncate: has(OpenFlags::TRUNC),
            exclusive: has(OpenFlags::CREAT | OpenFlags::EXCL),
            mode: attributes.permissions,
        };
        let file = OpenFile::open(&self.user, &path, mode)?;
        Ok(SftpOutcome::Response(Response::Handle(self.handles.add(OpenHandle::File(Arc::new(file))))))
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> SftpResult {
        let OpenHandle::File(file) = self.handles.close(handle)? else { return Ok(done()) };
        // No other request is in progress.
        let file =
            Arc::into_inner(file).ok_or_else(|| SftpError::new(StatusCode::Failure, "it is in use"))?;
        if file.publishes_at_close() {
            return Ok(SftpOutcome::Job(job::close(file)));
        }
        file.finish(&self.user)?;
        Ok(done())
    }

    /// Reads directly into the output buffer.
    pub(super) fn read(&mut self, id: u32, handle: &[u8], offset: u64, length: u32) -> SftpResult {
        let file = self.handles.file(handle)?;
        let most = length.min(MAX_DATA) as usize;
        match self.output.data(id, most, |buffer, most| file.read_at(offset, buffer, most))? {
            // Never send an empty DATA: a client that waits for data would repeat the request forever.
            0 => Err(SftpError::end()),
            _ => Ok(SftpOutcome::Sent),
        }
    }

    pub(super) fn write(&mut self, handle: &[u8], offset: u64, data: &Data) -> SftpResult {
        let file = self.handles.file(handle)?;
        // In one call, so that a write is refused or accepted as a whole.
        let pieces: Vec<&[u8]> = data.pieces().map(AsRef::as_ref).collect();
        file.write_pieces_at(offset, &pieces)?;
        Ok(done())
    }

    pub(super) fn fstat(&mut self, handle: &[u8]) -> SftpResult {
        let info = match self.handles.get(handle)? {
            OpenHandle::File(file) => file.info()?,
            OpenHandle::Directory(directory) => directory.info()?,
        };
        Ok(SftpOutcome::Response(Response::Attrs(attributes(&info))))
    }

    pub(super) fn fsetstat(&mut self, handle: &[u8], attributes: &SftpAttributes) -> SftpResult {
        self.handles.file(handle)?.set_attributes(&self.user, &wanted(attributes))?;
        Ok(done())
    }
}
