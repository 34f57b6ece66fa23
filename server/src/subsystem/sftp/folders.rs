//! Directories: OPENDIR, READDIR, MKDIR, RMDIR.

use super::attributes::attributes;
use super::conversation::Conversation;
use super::handles::Open;
use super::refused::Refused;
use super::request::{Handled, Outcome, at, done};
use crate::home::Attributes as Entry;
use crate::operations::{self, Directory, User};
use crate::subsystem::long::Lines;
use rustix::fs::Stat;
use sshome_wire::sftp::{Attributes, Name, Response};

/// Entries that one READDIR is answered with, at the most.
const BATCH: usize = 128;

/// An answer is closed when its names have about this many bytes.
const FULL: usize = 64 << 10;

/// A directory that is being read. `.` and `..` come first, as other servers have them.
pub(super) struct Folder {
    directory: Directory,
    dots: &'static [&'static [u8]],
}

impl Folder {
    fn open(user: &User, path: &sshome_wire::RemotePath) -> Result<Folder, Refused> {
        Ok(Folder { directory: operations::open_directory(user, path)?, dots: &[b".", b".."] })
    }

    pub(super) fn stat(&self) -> Result<Stat, Refused> {
        Ok(self.directory.stat()?)
    }

    fn next_entry(&mut self, user: &User) -> Result<Option<Entry>, Refused> {
        let Some((dot, rest)) = self.dots.split_first() else { return Ok(self.directory.next_entry()?) };
        self.dots = rest;
        let stat = match *dot {
            b"." => self.stat()?,
            // By its path: only that ends at the home's top.
            dot => operations::stat(user, &self.directory.path().join(dot)?, true)?.stat,
        };
        Ok(Some(Entry { name: dot.to_vec(), stat, target: Vec::new() }))
    }
}

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
