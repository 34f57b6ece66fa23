//! The files, directories and links of a home in memory.

use super::content::Content;
use crate::FileType;
use sshome_wire::{Digest, Time};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The permissions that a new file or directory does not get unless they are given exactly.
pub(super) const UMASK: u32 = 0o022;

/// The permissions that a directory's owner always has.
const MIN_DIRECTORY_MODE: u32 = 0o500;

/// A file, a directory or a symbolic link.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) times: NodeTimes,
    /// The number of its names.
    pub(super) links: u64,
    /// The number of handles that have it open.
    pub(super) open: u64,
    pub(super) body: NodeBody,
}

/// The times of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeTimes {
    pub(super) accessed: Time,
    pub(super) modified: Time,
    pub(super) changed: Time,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum NodeBody {
    File(FileBody),
    Directory(DirectoryBody),
    /// With its target.
    Symlink(Vec<u8>),
}

/// A regular file.
#[derive(Debug, Default)]
pub(super) struct FileBody {
    pub(super) content: Content,
    /// The digest of the content, with the modification time that it applies to.
    pub(super) digest: Option<(Digest, Time)>,
    /// Counts the changes of the content.
    pub(super) version: u64,
}

/// A directory.
#[derive(Debug, Default)]
pub(super) struct DirectoryBody {
    /// `None` for the top.
    pub(super) parent: Option<u64>,
    /// Its name in its parent.
    pub(super) name: Vec<u8>,
    pub(super) entries: BTreeMap<Vec<u8>, u64>,
    /// The mode that it gets when it is finalized.
    pub(super) deferred_mode: Option<u32>,
}

impl Node {
    /// A node without a name.
    pub(super) fn new(mode: u32, body: NodeBody) -> Node {
        let now = now();
        let times = NodeTimes { accessed: now, modified: now, changed: now };
        Node { mode, times, links: 0, open: 0, body }
    }

    pub(super) fn file_type(&self) -> FileType {
        match self.body {
            NodeBody::File(_) => FileType::Regular,
            NodeBody::Directory(_) => FileType::Directory,
            NodeBody::Symlink(_) => FileType::Symlink,
        }
    }

    /// Its length in bytes; 0 for a directory.
    pub(super) fn length(&self) -> u64 {
        match &self.body {
            NodeBody::File(file) => file.content.length(),
            NodeBody::Directory(_) => 0,
            NodeBody::Symlink(target) => target.len() as u64,
        }
    }

    /// The target, if it is a symbolic link.
    pub(super) fn target(&self) -> Option<&[u8]> {
        match &self.body {
            NodeBody::Symlink(target) => Some(target),
            _ => None,
        }
    }

    /// Sets the permissions that a user asks for. Set-id bits are dropped. A directory stays readable for its owner, and
    /// keeps its set-group and sticky bits.
    pub(super) fn set_mode(&mut self, mode: u32) {
        let kept =
            if self.file_type() == FileType::Directory { MIN_DIRECTORY_MODE | self.mode & 0o3000 } else { 0 };
        self.mode = mode & 0o777 | kept;
        self.times.changed = now();
    }

    /// Sets the times of access and modification.
    pub(super) fn set_times(&mut self, (accessed, modified): (Time, Time)) {
        self.times = NodeTimes { accessed, modified, changed: now() };
    }
}

impl NodeTimes {
    /// Records a change of the content.
    pub(super) fn modify(&mut self) {
        let now = now();
        (self.modified, self.changed) = (now, now);
    }
}

impl FileBody {
    /// The stored digest, if it applies to a file with this modification time.
    pub(super) fn digest_at(&self, modified: Time) -> Option<Digest> {
        self.digest.filter(|(_, time)| *time == modified).map(|(digest, _)| digest)
    }
}

/// The current time.
pub(super) fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: now.as_secs().cast_signed(), nanoseconds: now.subsec_nanos() }
}
