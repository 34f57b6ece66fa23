use sshome_store::DirectoryEntry;
use sshome_wire::{Entries, Entry};

/// The size at which a frame of entries is complete, in bytes.
const FRAME_BYTES: usize = 64 << 10;

/// A file's entry in the wire format.
pub(super) fn entry(attributes: &DirectoryEntry) -> Entry {
    let info = &attributes.info;
    Entry {
        name: attributes.name.clone(),
        kind: info.kind(),
        size: info.size,
        mtime: info.modified,
        mode: info.mode,
        links: info.links,
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
