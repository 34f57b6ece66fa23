//! Requests that work on paths: STAT, SETSTAT, REMOVE, RENAME, REALPATH, links.

use super::attributes::{attributes, wanted};
use super::conversation::SftpConversation;
use super::outcome::{SftpOutcome, SftpResult, at, done};
use super::status::SftpError;
use super::symlink_order::SymlinkOrder;
use crate::service;
use bytes::Bytes;
use sshome_wire::RemotePath;
use sshome_wire::sftp::{Response, SftpAttributes, SftpName, StatusCode};

const KEYS_NOT_USED: &str =
    "keys in this file do not log in to this server: run ssh-copy-id without -s, or sshome key install";

/// The directory whose mode `ssh-copy-id -s` sets first, and the file that it writes then.
const KEYS_FOLDER: &[u8] = b"/.ssh";
const KEYS_FILE: &[u8] = b"/.ssh/authorized_keys";

impl SftpConversation {
    /// Refuses the file that `ssh-copy-id -s` writes, because the server does not read keys from it. The request
    /// before it identifies ssh-copy-id: a backup of `.ssh` does not set the directory's mode first.
    pub(super) fn refuse_copy_id(&mut self, path: &RemotePath) -> Result<(), SftpError> {
        if !self.may_be_copy_id || path.as_bytes() != KEYS_FILE {
            return Ok(());
        }
        // OpenSSH's sftp shows the code of an error and not its text, but it shows standard error.
        self.note = Some(Bytes::from(format!("sshome: {KEYS_NOT_USED}\r\n")));
        Err(SftpError::new(StatusCode::PermissionDenied, KEYS_NOT_USED))
    }

    pub(super) fn stat(&mut self, path: &[u8], follow: bool) -> SftpResult {
        let found = service::stat(&self.user, &at(path)?, follow)?;
        Ok(SftpOutcome::Response(Response::Attrs(attributes(&found.info))))
    }

    pub(super) fn setstat(&mut self, path: &[u8], follow: bool, attributes: &SftpAttributes) -> SftpResult {
        let path = at(path)?;
        service::set_attributes(&self.user, &path, follow, &wanted(attributes))?;
        self.may_be_copy_id |= path.as_bytes() == KEYS_FOLDER;
        Ok(done())
    }

    pub(super) fn remove(&mut self, path: &[u8]) -> SftpResult {
        service::remove(&self.user, &at(path)?)?;
        Ok(done())
    }

    /// RENAME fails if the target exists; `posix-rename` replaces it.
    pub(super) fn rename(&mut self, from: &[u8], to: &[u8], replace: bool) -> SftpResult {
        service::rename_exact(&self.user, &at(from)?, &at(to)?, replace)?;
        Ok(done())
    }

    pub(super) fn realpath(&mut self, path: &[u8]) -> SftpResult {
        // In this request only, OpenSSH's server takes an empty path for `.`.
        let path = if path.is_empty() { b"." } else { path };
        let path = service::real_path(&self.user, &at(path)?)?;
        Ok(name(path.as_bytes().to_vec()))
    }

    pub(super) fn readlink(&mut self, path: &[u8]) -> SftpResult {
        let target = service::read_link(&self.user, &at(path)?)?;
        Ok(name(target))
    }

    pub(super) fn symlink(&mut self, first: &[u8], second: &[u8]) -> SftpResult {
        let (target, path) = match self.symlink_order {
            SymlinkOrder::OpenSsh => (first, second),
            SymlinkOrder::Draft => (second, first),
        };
        service::make_symlink(&self.user, &at(path)?, target)?;
        Ok(done())
    }
}

/// A reply with one name and no attributes.
pub(super) fn name(name: Vec<u8>) -> SftpOutcome {
    let name = Bytes::from(name);
    let attributes = SftpAttributes::default();
    SftpOutcome::Response(Response::Name(vec![SftpName { long_name: name.clone(), name, attributes }]))
}
