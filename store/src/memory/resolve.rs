//! Resolving paths, as in a chroot.

use super::tree::Tree;
use crate::Cause;
use sshome_wire::RemotePath;

/// Symbolic links that one path may lead through.
const MAX_LINKS: u32 = 40;

/// The maximum length of a name in bytes.
pub(super) const MAX_NAME: usize = 255;

/// The reserved name: other stores keep their staged files there.
const STAGING_DIRECTORY: &[u8] = b".sshome-staging";

/// A name in a directory; the entry need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemoryLocation {
    pub(super) directory: u64,
    pub(super) name: Vec<u8>,
    /// Whether the path ended in a slash: it means a directory.
    pub(super) slash: bool,
}

/// What a path leads to.
enum Found {
    /// A directory without a name of its own: the path is that of the top, or ends in `.` or `..`.
    Unnamed(u64),
    Named(MemoryLocation),
}

impl Tree {
    /// The location of a path: links on the way are followed, one at its end is not. For changes of names.
    pub(super) fn locate(&self, path: &RemotePath) -> Result<MemoryLocation, Cause> {
        match self.find(path.as_bytes(), false)? {
            Found::Named(location) => Ok(location),
            Found::Unnamed(_) if path.components().next().is_none() => Err(Cause::Top),
            Found::Unnamed(_) => Err(Cause::Dot),
        }
    }

    /// As [`Tree::locate`], but a link at the end is followed if the path ends in a slash.
    pub(super) fn locate_entry(&self, path: &RemotePath) -> Result<MemoryLocation, Cause> {
        if path.names_directory() { Ok(self.locate_target(path)?.0) } else { self.locate(path) }
    }

    /// As [`Tree::locate`], for a file that must not exist.
    pub(super) fn locate_new_file(&self, path: &RemotePath) -> Result<MemoryLocation, Cause> {
        match self.locate(path) {
            Err(Cause::Top | Cause::Dot) => Err(Cause::IsDirectory),
            Ok(location) if location.slash => Err(Cause::IsDirectory),
            location => location,
        }
    }

    /// The location that a write to a path would reach, and the existing node. A link at the end is followed, even if
    /// its target does not exist.
    pub(super) fn locate_target(&self, path: &RemotePath) -> Result<(MemoryLocation, Option<u64>), Cause> {
        let Found::Named(location) = self.find(path.as_bytes(), true)? else {
            return Err(Cause::IsDirectory);
        };
        let found = self.lookup(&location);
        match found {
            None if location.slash => Err(Cause::NotFound),
            Some(id) if location.slash => self.directory(id).map(|_| (location, found)),
            _ => Ok((location, found)),
        }
    }

    /// The node at a path, links followed, and its location unless it has no name of its own.
    pub(super) fn resolve(&self, path: &RemotePath) -> Result<(u64, Option<MemoryLocation>), Cause> {
        match self.find(path.as_bytes(), true)? {
            Found::Unnamed(id) => Ok((id, None)),
            Found::Named(_) => {
                let (location, found) = self.locate_target(path)?;
                Ok((found.ok_or(Cause::NotFound)?, Some(location)))
            }
        }
    }

    /// The directory at a path, links followed.
    pub(super) fn resolve_directory(&self, path: &RemotePath) -> Result<u64, Cause> {
        let (id, _) = self.resolve(path)?;
        self.directory(id).map(|_| id)
    }

    /// The node at a path. A link at its end is followed with `follow`, or if the path ends in a slash.
    pub(super) fn entry(
        &self,
        path: &RemotePath,
        follow: bool,
    ) -> Result<(u64, Option<MemoryLocation>), Cause> {
        if follow || path.names_directory() {
            return self.resolve(path);
        }
        let location = self.locate(path)?;
        Ok((self.existing(&location)?, Some(location)))
    }

    fn find(&self, path: &[u8], follow: bool) -> Result<Found, Cause> {
        let (mut at, mut links) = (self.top(), 0);
        let mut slash = path.ends_with(b"/");
        // In reverse order.
        let mut left: Vec<Vec<u8>> = names(path);
        while let Some(name) = left.pop() {
            let directory = self.directory(at)?;
            match &name[..] {
                b"." => continue,
                b".." => {
                    at = directory.parent.unwrap_or(at);
                    continue;
                }
                name => check_name(name)?,
            }
            let is_last = left.is_empty();
            let found = directory.entries.get(&name).copied();
            let link = match found {
                Some(id) if follow || !is_last => self.node(id)?.target(),
                _ => None,
            };
            if let Some(target) = link {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Cause::TooManyLinks);
                }
                if target.starts_with(b"/") {
                    at = self.top();
                }
                slash |= is_last && target.ends_with(b"/");
                left.extend(names(target));
            } else if is_last {
                return Ok(Found::Named(MemoryLocation { directory: at, name, slash }));
            } else {
                at = found.ok_or(Cause::NotFound)?;
                self.directory(at)?;
            }
        }
        Ok(Found::Unnamed(at))
    }
}

/// The components of a path, in reverse order.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.rev().map(<[u8]>::to_vec).collect()
}

fn check_name(name: &[u8]) -> Result<(), Cause> {
    match name {
        STAGING_DIRECTORY => Err(Cause::Reserved),
        name if name.len() > MAX_NAME => Err(Cause::NameTooLong),
        _ => Ok(()),
    }
}
