//! The trait of one user's home.

use crate::quota::FileId;
use crate::{
    BlockSink, CheckedPartial, Counting, DirectoryEntry, DiskSpace, EntryId, EntryRef, FileHandle, FileInfo,
    HomeUsage, MadeLink, OpenMode, PartialCheck, PartialUploadInfo, PublishItem, Published, SetAttributes,
    StepLimit, StoreResult, Takeover, Upload, UploadSource, UploadSpec,
};
use sshome_wire::{RemotePath, StreamId, Time};
use std::fmt;

/// One user's home, opened for one channel.
///
/// Calls may block: callers run them on a thread that may. A path is resolved when the call is made, as in a chroot;
/// docs/paths.md has the rules. Where two calls belong together, an [`EntryRef`], an [`Upload`] or a [`PublishItem`]
/// holds what the first one resolved. Names and quota of one change together. Paths that are returned are canonical,
/// for the log.
pub trait Home: fmt::Debug + Send + Sync {
    /// Fails if nothing may be written at the moment, because the home is not the one that was opened.
    ///
    /// # Errors
    /// The reason.
    fn check_writable(&self) -> StoreResult<()>;

    /// Whether the home is being counted. Until that has ended, calls that store bytes, make an entry, open a file to change
    /// it or rename fail with [`Cause::Counting`](crate::Cause::Counting), and removals too if they have to wait. A
    /// channel waits for the end of the count before it makes such a call. A home that was counted once stays counted.
    /// Always `None` for a store that does not count homes.
    fn counting(&self) -> Option<Counting> {
        None
    }

    /// Checks that a path is a directory that may be read.
    ///
    /// # Errors
    /// If it is not.
    fn enter_directory(&self, path: &RemotePath) -> StoreResult<()>;

    /// The attributes of the file at a path. A link at its end is followed with `follow`, or if the path ends in a
    /// slash.
    ///
    /// # Errors
    /// If it does not exist.
    fn info(&self, path: &RemotePath, follow: bool) -> StoreResult<FileInfo>;

    /// The target of the symbolic link at a path.
    ///
    /// # Errors
    /// If it is not a symbolic link.
    fn read_link(&self, path: &RemotePath) -> StoreResult<Vec<u8>>;

    /// The canonical form of a path: without links, `.` and `..`. Its last name need not exist. For display: a path is
    /// resolved again when it is used.
    ///
    /// # Errors
    /// If a parent is missing or not a directory, or there are too many links.
    fn canonical(&self, path: &RemotePath) -> StoreResult<RemotePath>;

    /// The identity of the entry at a path, which need not exist. A link at its end is followed with `follow`.
    ///
    /// # Errors
    /// If its directory is missing, or the path has no name of its own.
    fn entry_id(&self, path: &RemotePath, follow: bool) -> StoreResult<EntryId>;

    /// Whether the entry at a path is in the directory `tree`, or anywhere below it.
    ///
    /// # Errors
    /// If its directory is missing.
    fn is_inside(&self, path: &RemotePath, tree: FileId) -> StoreResult<bool>;

    /// Opens a directory for reading, links followed.
    ///
    /// # Errors
    /// If it is not a directory, or may not be read.
    fn read_directory(&self, path: &RemotePath) -> StoreResult<Box<dyn DirectoryReader>>;

    /// Walks everything below a directory.
    ///
    /// # Errors
    /// If it is not a directory, or may not be read.
    fn walk(&self, path: &RemotePath) -> StoreResult<Box<dyn TreeWalk>>;

    /// Creates a directory.
    ///
    /// # Errors
    /// If the name exists and is not a directory, or a new entry would exceed the quota.
    fn make_directory(&self, path: &RemotePath, how: MakeDirectory) -> StoreResult<MadeDirectories>;

    /// Holds the directory at a path, to be [finalized](Home::finalize_directories) with this mtime.
    ///
    /// # Errors
    /// If it is not a directory.
    fn hold_directory(&self, path: &RemotePath, mtime: Time) -> StoreResult<EntryRef>;

    /// Sets the times of held directories, and the modes that were deferred when they were made. Those that are reported as
    /// done survive a power cut. The results are in their order, each with the directory's path, or the one that it was
    /// held by.
    fn finalize_directories(&self, directories: Vec<EntryRef>) -> Vec<StoreResult<RemotePath>>;

    /// Creates a symbolic link, which must not exist. Returns its path, and the new name, to be
    /// [published](Home::publish).
    ///
    /// # Errors
    /// If the name exists, or the link would exceed the quota.
    fn make_symlink(&self, path: &RemotePath, target: &[u8]) -> StoreResult<(RemotePath, EntryRef)>;

    /// Creates a hard link. It needs one entry and no bytes. If `from` ends in a symbolic link, the second name is that
    /// of the link itself. With `replaces`, a file or link `to` is replaced atomically; a second name of `from` is left.
    ///
    /// # Errors
    /// If `from` is neither a regular file nor a link, `to` exists and is not replaced, or a new entry would exceed the quota.
    fn hard_link(&self, from: &RemotePath, to: &RemotePath, replaces: bool) -> StoreResult<MadeLink>;

    /// Renames `from` to exactly `to`.
    ///
    /// # Errors
    /// If `from` does not exist, `to` may not be replaced or is a directory with entries, or `to` is inside `from`.
    fn rename(&self, from: &RemotePath, to: &RemotePath, replace: Replace) -> StoreResult<Renamed>;

    /// Removes a file or a link. Returns its path.
    ///
    /// # Errors
    /// If it is a directory, or does not exist.
    fn remove_file(&self, path: &RemotePath) -> StoreResult<RemotePath>;

    /// Removes an empty directory. Returns its path.
    ///
    /// # Errors
    /// If it is not empty, or not a directory.
    fn remove_directory(&self, path: &RemotePath) -> StoreResult<RemotePath>;

    /// Begins to remove whatever is at a path. A file is removed at once.
    ///
    /// # Errors
    /// If it does not exist.
    fn remove_tree(
        &self,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<Box<dyn TreeRemoval>>;

    /// Sets attributes of the file at a path. A size is ignored: it is set through [`Home::open_file`]. A link at its end is followed with `follow`. Returns its
    /// path.
    ///
    /// # Errors
    /// If the file does not exist, or only an owner or a group is given that cannot be set.
    fn set_attributes(
        &self,
        path: &RemotePath,
        follow: bool,
        wanted: &SetAttributes,
    ) -> StoreResult<RemotePath>;

    /// Opens a file; links are followed. With `staged`, what is written is staged and published when the file is closed.
    ///
    /// # Errors
    /// If it is not a regular file, does not exist or must not exist, or a new entry would exceed the quota.
    fn open_file(&self, path: &RemotePath, mode: OpenMode, staged: bool) -> StoreResult<Box<dyn FileHandle>>;

    /// Begins an upload: resolves the target and reserves space, before any data arrive. `partial` is the partial upload
    /// that was checked for this path; the spec says whether it is resumed, otherwise it is deleted. `takeover` ends this
    /// channel when a different one resumes its stream.
    ///
    /// # Errors
    /// If the target is a directory, its parent is missing, the quota is exceeded, the stream is being received by a
    /// different channel, or the spec does not match the partial upload.
    fn begin_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
        takeover: &Takeover,
    ) -> StoreResult<Box<dyn Upload>>;

    /// Begins an upload of known size whose blocks arrive in any order: see [`BlockUpload`](crate::BlockUpload). The blocks of
    /// `partial` are kept, whatever the spec says.
    ///
    /// # Errors
    /// As [`Home::begin_upload`].
    fn begin_block_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
    ) -> StoreResult<Box<dyn BlockSink>>;

    /// Publishes a batch: each item gets its name in one step, replacing an existing file. An item is atomic, the batch
    /// is not: a failing item does not undo any other. If a target occurs twice, the later item wins. Everything
    /// reported as done is durable before this returns, and so are the `names` that were made on this channel before.
    /// Partial uploads of files, not of streams, to a target that is published are deleted. An item that is refused
    /// leaves nothing, or a partial upload.
    fn publish(&self, items: Vec<PublishItem>, names: Vec<EntryRef>) -> Published;

    /// Whether short calls may run on a thread that others wait for, because they are as fast as a local disk. By
    /// default they may not.
    fn runs_inline(&self) -> bool {
        false
    }

    /// Whether the user holds so much open that a batch should be published early.
    fn wants_publish(&self) -> bool;

    /// The partial uploads that no channel works on.
    fn partial_uploads(&self) -> Vec<PartialUploadInfo>;

    /// Leases the partial upload of exactly this source to this path, to be checked; `None` if there is none, or
    /// a different channel works on it.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn lease_partial(
        &self,
        path: &RemotePath,
        size: u64,
        mtime: Time,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>>;

    /// Leases the partial upload of a stream; `None` if there is none. A different channel that holds it is told to end.
    /// `takeover` ends this channel in turn.
    ///
    /// # Errors
    /// [`Cause::Busy`](crate::Cause::Busy) until the other channel has released it. If it cannot be opened.
    fn lease_stream(
        &self,
        path: &RemotePath,
        id: StreamId,
        takeover: &Takeover,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>>;

    /// Deletes the partial uploads to a path, or all if there is none. Returns their number. A path from
    /// [`Home::partial_uploads`] always works, even if its directory no longer exists.
    fn discard_partial_uploads(&self, path: Option<&RemotePath>) -> usize;

    /// Makes all earlier changes of this channel durable.
    ///
    /// # Errors
    /// If the disk reports a failed write.
    fn sync(&self) -> StoreResult<()>;

    /// What the home holds, and may hold.
    fn usage(&self) -> HomeUsage;

    /// The size of the disk that the home is on.
    ///
    /// # Errors
    /// The disk's.
    fn disk_space(&self) -> StoreResult<DiskSpace>;
}

/// Called with each removed entry.
pub type OnRemoved<'a> = dyn FnMut(&RemotePath, bool) + 'a;

/// Reads one directory, without `.` and `..`.
pub trait DirectoryReader: fmt::Debug + Send {
    /// The next entry; `None` at the end. Entries that are removed meanwhile are skipped.
    ///
    /// # Errors
    /// The disk's.
    fn next_entry(&mut self) -> StoreResult<Option<DirectoryEntry>>;

    /// The attributes of the directory.
    ///
    /// # Errors
    /// The disk's.
    fn info(&self) -> StoreResult<FileInfo>;
}

/// A depth-first walk over everything below a directory: of each directory first the other entries, then its
/// subdirectories. Links are not followed.
pub trait TreeWalk: fmt::Debug + Send {
    /// The next step; `None` at the end. An error concerns one entry or one subtree; the walk can continue.
    ///
    /// # Errors
    /// If an entry cannot be read.
    fn next_step(&mut self) -> StoreResult<Option<TreeStep>>;

    /// The path, relative to the top, of the directory that the last step was in or entered; `None` if it is too long
    /// for a path.
    fn relative(&self) -> Option<Vec<u8>>;
}

/// One step of a walk.
#[derive(Clone, Debug)]
pub enum TreeStep {
    /// A directory, before its entries.
    Enter(FileInfo),
    /// Anything but a directory, with its name.
    Leaf(Vec<u8>, FileInfo),
    /// The end of a directory, or of a bounded amount of work.
    Pause,
}

/// The removal of a tree, in steps. Links in it are removed, not followed. An entry that appears meanwhile may make the
/// removal of its directory fail.
pub trait TreeRemoval: fmt::Debug + Send {
    /// Executes one step. Returns whether it is done. `removed` is called with the path of each entry that is gone,
    /// and whether it was a directory. `failed` is called with each error. Everything else is still removed, except the
    /// directories above the failed entry, which are then not empty.
    ///
    /// # Errors
    /// That of the top itself.
    fn step(
        &mut self,
        limit: StepLimit,
        removed: &mut OnRemoved<'_>,
        failed: &mut dyn FnMut(crate::StoreError),
    ) -> StoreResult<bool>;
}

/// How a directory is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct MakeDirectory {
    /// Whether missing parents are made as well.
    pub parents: bool,
    /// The permissions; `None` for those that the umask or the parent's default access control list leave.
    pub mode: Option<u32>,
    /// Defers a mode that denies its owner access until the directory is [finalized](Home::finalize_directories). An
    /// existing directory with exactly that mode is made accessible again.
    pub deferred: bool,
}

/// The result of making a directory.
#[derive(Debug, Default)]
pub struct MadeDirectories {
    /// The paths of the new directories, the outermost first; empty if the directory existed.
    pub made: Vec<RemotePath>,
    /// New names, to be [published](Home::publish): enough to make all of them durable.
    pub names: Vec<EntryRef>,
}

/// What a rename does with a file that is at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It fails.
    Never,
    /// It replaces the file. Two names of one file are both kept, as by rename(2).
    Always,
    /// It replaces the file. Of two names of one file, the old one is removed.
    AlwaysAndMerge,
}

/// The result of a rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The old path.
    pub from: RemotePath,
    /// The new path.
    pub to: RemotePath,
    /// Whether something was replaced.
    pub replaced: bool,
}

impl UploadSource {
    /// Whether the client cannot read it again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, UploadSource::Stream(_))
    }
}
