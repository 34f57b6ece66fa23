//! Directories: OPENDIR, READDIR, MKDIR, RMDIR.

use super::attributes::attributes;
use super::conversation::Conversation;
use super::directory_handle::Folder;
use super::handles::Open;
use super::outcome::{Handled, Outcome, at, done};
use super::status::Refused;
use crate::operations;
use crate::subsystem::ls_format::Lines;
use sshome_wire::sftp::{Attributes, Name, Response};

/// Entries that one READDIR is answered with, at the most.
const BATCH: usize = 128;

/// An answer is closed when its names have about this many bytes.
const FULL: usize = 64 << 10;

impl Conversation {
    pub(super) fn opendir(&mut self, path: &[u8]) -> Handled {
        let path = at(path)?;
        self.handles.check_room()?;
        let folder = Folder::open(&self.user, &path)?;
        Ok(Outcome::Response(Response::Handle(self.handles.add(Open::Folder(folder)))))
    }

    pub(super) fn readdir(&mut self, handle: &[u8]) -> Handled {
        let folder = self.handles.folder(handle)?;
        let lines = Lines::new();
        let (mut names, mut length) = (Vec::new(), 0);
        while names.len() < BATCH && length < FULL {
            let entry = match folder.next_entry(&self.user) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                // What was read is told; the fault comes again with the next request, or is over.
                Err(_) if !names.is_empty() => break,
                Err(refused) => return Err(refused),
            };
            let long_name = self.names.line(&lines, &entry.name, &entry.stat).into();
            length += 2 * entry.name.len() + 100;
            names.push(Name { name: entry.name.into(), long_name, attributes: attributes(&entry.stat) });
        }
        match names.is_empty() {
            true => Err(Refused::end()),
            false => Ok(Outcome::Response(Response::Name(names))),
        }
    }

    pub(super) fn mkdir(&mut self, path: &[u8], attributes: &Attributes) -> Handled {
        operations::make_new_directory(&self.user, &at(path)?, attributes.permissions)?;
        Ok(done())
    }

    pub(super) fn rmdir(&mut self, path: &[u8]) -> Handled {
        operations::remove_directory(&self.user, &at(path)?)?;
        Ok(done())
    }
}
