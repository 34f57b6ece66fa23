//! What a store reports about a file.

use crate::quota::FileId;
use sshome_wire::{FileKind, Time};

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// Anything else.
    Other,
}

impl FileType {
    /// The type in `st_mode` of stat(2).
    #[must_use]
    pub fn of_st_mode(mode: u32) -> FileType {
        match mode & 0o170_000 {
            0o100_000 => FileType::Regular,
            0o040_000 => FileType::Directory,
            0o120_000 => FileType::Symlink,
            0o010_000 => FileType::Fifo,
            0o140_000 => FileType::Socket,
            0o020_000 => FileType::CharacterDevice,
            0o060_000 => FileType::BlockDevice,
            _ => FileType::Other,
        }
    }
}

/// The attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its identity, independent of its names.
    pub id: FileId,
    /// Its type.
    pub file_type: FileType,
    /// Permissions, with the set-id and sticky bits: 12 bits.
    pub mode: u32,
    /// The number of its names.
    pub links: u64,
    /// The user id of its owner.
    pub owner: u32,
    /// Its group id.
    pub group: u32,
    /// Length in bytes; of a symbolic link, that of its target.
    pub size: u64,
    /// The last access.
    pub accessed: Time,
    /// The last change of the content.
    pub modified: Time,
    /// The last change of the content or the attributes.
    pub changed: Time,
}

impl FileInfo {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.file_type == FileType::Symlink
    }

    /// Type and permissions as in `st_mode` of stat(2).
    #[must_use]
    pub fn st_mode(&self) -> u32 {
        let file_type = match self.file_type {
            FileType::Regular => 0o100_000,
            FileType::Directory => 0o040_000,
            FileType::Symlink => 0o120_000,
            FileType::Fifo => 0o010_000,
            FileType::Socket => 0o140_000,
            FileType::CharacterDevice => 0o020_000,
            FileType::BlockDevice => 0o060_000,
            FileType::Other => 0,
        };
        file_type | self.mode & 0o7777
    }

    /// The type in the native protocol.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.file_type {
            FileType::Regular => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Special,
        }
    }
}

/// An entry of a directory with its attributes; a link is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// Its attributes.
    pub info: FileInfo,
    /// The target of a link; empty for anything else.
    pub target: Vec<u8>,
}
