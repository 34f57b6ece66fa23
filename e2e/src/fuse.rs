//! A folder mirrored through FUSE, with a watcher that can refuse each change and sees each that was made.

mod backing;
mod filesystem;
mod mounted;
pub(crate) mod reply;

pub(crate) use mounted::MountedFilesystem;

use backing::Backing;
use fuser::{Config, MountOption};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// An operation of a disk, which can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// An existing file is opened.
    Open,
    /// A file is created.
    Create,
    /// A directory or a symbolic link is created.
    Make,
    /// A hard link is created.
    Link,
    /// Bytes are written.
    Write,
    /// Mode, times or length are set.
    SetAttributes,
    /// An extended attribute is written or removed.
    SetXattr,
    /// A file is synced.
    Sync,
    /// A directory is synced.
    SyncDirectory,
    /// A file is renamed.
    Rename,
    /// A name is removed.
    Remove,
}

impl DiskOperation {
    /// All except removal: a failed removal leaves something behind.
    pub const BUILDING: &[DiskOperation] = &[
        DiskOperation::Open,
        DiskOperation::Create,
        DiskOperation::Make,
        DiskOperation::Link,
        DiskOperation::Write,
        DiskOperation::SetAttributes,
        DiskOperation::SetXattr,
        DiskOperation::Sync,
        DiskOperation::SyncDirectory,
        DiskOperation::Rename,
    ];
}

/// A change that was made. Inodes have the numbers of the backing folder, which reuses a number once its file is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// A file, a directory or a symbolic link was created.
    Create { parent: u64, name: &'a OsStr, inode: u64, kind: NewEntry<'a> },
    /// A file was given another name.
    Link { inode: u64, parent: u64, name: &'a OsStr },
    /// A name was removed.
    Remove { parent: u64, name: &'a OsStr },
    /// A file was renamed, which removed the previous holder of the new name.
    Rename { parent: u64, name: &'a OsStr, new_parent: u64, new_name: &'a OsStr },
    /// Bytes were written.
    Write { inode: u64, offset: u64, data: &'a [u8] },
    /// The length was set.
    SetLength { inode: u64, length: u64 },
    /// The mode was set.
    SetMode { inode: u64, mode: u32 },
    /// The time of the last change was set.
    SetModified { inode: u64, time: SystemTime },
    /// An extended attribute was set, or removed.
    SetXattr { inode: u64, name: &'a OsStr, value: Option<&'a [u8]> },
    /// A file was synced.
    SyncFile { inode: u64 },
    /// A directory was synced.
    SyncDirectory { inode: u64 },
}

/// What was created.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NewEntry<'a> {
    /// An empty file with this mode.
    File(u32),
    /// An empty directory with this mode.
    Directory(u32),
    /// A symbolic link with this target.
    Link(&'a Path),
}

/// The calls of a mounted folder. It serves one request at a time.
pub(crate) trait Watcher: Send + Sync {
    /// Called before each step; its error is the step's.
    fn before(&self, _step: DiskOperation) -> Result<(), Errno> {
        Ok(())
    }

    /// Called after each change, before it is answered.
    fn changed(&self, _change: Change<'_>) {}

    /// Whether names that differ only in their case are one, as on FAT.
    fn ignores_case(&self) -> bool {
        false
    }

    /// The steps in which times are stored, in seconds; 0 if exactly.
    fn time_step(&self) -> u64 {
        0
    }
}

/// A mounted folder. It is unmounted when this is dropped.
pub(crate) struct FuseMount(MountedFilesystem);

impl FuseMount {
    /// Shows the folder `backing` at `path`. `None` if this machine cannot mount: then the skipped test is reported.
    pub(crate) fn new(
        test: &str,
        name: &str,
        backing: &Path,
        path: PathBuf,
        watcher: Arc<dyn Watcher>,
    ) -> Option<FuseMount> {
        let filesystem = Backing::of(backing, watcher).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(name.into()), MountOption::NoAtime];
        match MountedFilesystem::new(filesystem, path, &config) {
            Ok(mounted) => Some(FuseMount(mounted)),
            Err(error) => {
                eprintln!("skipped: {test}: nothing can be mounted here: {error}");
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
