use crate::home::{DirectoryEntry, length};
use rustix::fs::{FileType, Stat};
use sshome_wire::{Entries, Entry, FileKind, Time};

/// The size at which a frame of entries is complete, in bytes.
const FRAME_BYTES: usize = 64 << 10;

/// A file's entry in the wire format.
pub(super) fn entry(attributes: &DirectoryEntry) -> Entry {
    let stat = &attributes.stat;
    Entry {
        name: attributes.name.clone(),
        kind: kind(stat),
        size: length(stat),
        mtime: mtime(stat),
        mode: mode(stat),
        links: stat.st_nlink,
        target: attributes.target.clone(),
    }
}

/// The entries of one directory, split into frames. An empty directory has one frame.
pub(super) fn frames(directory: &[u8], entries: &[DirectoryEntry]) -> Vec<Entries> {
    let empty = || Entries { directory: directory.to_vec(), entries: Vec::new() };
    let mut frames = Vec::new();
    let (mut frame, mut length) = (empty(), 0);
    for attributes in entries {
        if length >= FRAME_BYTES {
            frames.push(std::mem::replace(&mut frame, empty()));
            length = 0;
        }
        length += attributes.name.len() + attributes.target.len() + 64;
        frame.entries.push(entry(attributes));
    }
    frames.push(frame);
    frames
}

pub(super) fn mtime(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
}

pub(super) fn mode(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

fn kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    }
}
