//! A home on a host, and channels of its user.

use super::{ConformanceHost, NewHost};
use crate::quota::{Comparison, FileId, LedgerUsage, QuotaLimits};
use crate::{
    Cause, ChangeGuard, CheckedPartial, Ctx, FileHandle, FileInfo, Home, HomeSettings, HomeStore,
    MakeDirectory, NEW_FILE_MODE, OpenMode, PartialCheck, PublishItem, PublishResult, SetAttributes,
    StepLimit, StoreError, StoreResult, Takeover, TreeStep, Upload, UploadPermissions, UploadSource,
    UploadSpec,
};
use sshome_wire::{BlockHasher, Digest, RemotePath, Time};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

pub(super) const MIB: u64 = 1 << 20;

pub(super) const READ_ONLY: OpenMode = OpenMode::READ_ONLY;
pub(super) const WRITE_OR_CREATE: OpenMode = OpenMode { read: false, write: true, create: true, ..READ_ONLY };
pub(super) const READ_WRITE_OR_CREATE: OpenMode = OpenMode { read: true, ..WRITE_OR_CREATE };
pub(super) const TRUNCATE_OR_CREATE: OpenMode = OpenMode { truncate: true, ..WRITE_OR_CREATE };
pub(super) const APPEND_OR_CREATE: OpenMode = OpenMode { append: true, ..WRITE_OR_CREATE };

/// The source of all uploads of files.
pub(super) const SOURCE_MTIME: Time = Time { seconds: 1, nanoseconds: 0 };

/// The home of the user `ann`.
pub(super) struct World {
    host: Box<dyn ConformanceHost>,
    pub(super) settings: HomeSettings,
    stores: Vec<Arc<dyn HomeStore>>,
    /// The number of the next channel. Channels take the nodes in turn.
    next: AtomicUsize,
    /// Whether counts are held.
    holds_counts: bool,
}

impl World {
    /// A new host with the home, without limits.
    pub(super) fn new(host: NewHost<'_>) -> World {
        World::with_limits(host, QuotaLimits::default())
    }

    /// A new host with the home and a quota in bytes.
    pub(super) fn with_quota(host: NewHost<'_>, bytes: u64) -> World {
        World::with_limits(host, QuotaLimits { bytes: Some(bytes), entries: None })
    }

    pub(super) fn with_limits(host: NewHost<'_>, limits: QuotaLimits) -> World {
        let host = host();
        let (user, root) = ("ann".to_owned(), host.root());
        let settings = HomeSettings { user, root, make_root: true, unfit: None, writable: true, limits };
        let mut world =
            World { host, settings, stores: Vec::new(), next: AtomicUsize::new(0), holds_counts: false };
        world.start();
        world
    }

    /// Ends the nodes and starts them again. All channels have ended.
    pub(super) fn restart(&mut self) {
        self.stores.clear();
        self.start();
    }

    fn start(&mut self) {
        self.stores = self.host.open();
        for store in &self.stores {
            store.serve(std::slice::from_ref(&self.settings)).unwrap();
        }
        if !self.holds_counts {
            self.await_count();
        }
    }

    /// Restarts the nodes and holds their counts. Returns whether this store counts homes.
    pub(super) fn restart_uncounted(&mut self) -> bool {
        self.stores.clear();
        self.holds_counts = self.host.hold_counts();
        self.start();
        self.holds_counts
    }

    /// Releases the counts and waits for them.
    pub(super) fn release_counts(&mut self) {
        self.holds_counts = false;
        self.host.release_counts();
        self.await_count();
    }

    fn await_count(&self) {
        for store in &self.stores {
            let counting = store.open(&Ctx::default(), &self.settings).unwrap().counting();
            counting.into_iter().for_each(|counting| counting.end.block());
        }
    }

    /// A new channel of the user.
    pub(super) fn user(&self) -> Channel {
        let number = self.next.fetch_add(1, SeqCst);
        self.user_of(&self.stores[number % self.stores.len()])
    }

    /// A new channel through a given store, such as a decorated one.
    pub(super) fn user_of(&self, store: &Arc<dyn HomeStore>) -> Channel {
        self.channel(store, Ctx::default())
    }

    /// A new channel whose changes ask a guard.
    pub(super) fn guarded(&self, guard: Arc<dyn ChangeGuard>) -> Channel {
        self.channel(self.store(), Ctx::default().guarded(guard))
    }

    fn channel(&self, store: &Arc<dyn HomeStore>, ctx: Ctx) -> Channel {
        let home = store.open(&ctx, &self.settings).unwrap();
        let superseded = Arc::new(AtomicBool::new(false));
        let capabilities = store.capabilities();
        Channel { home, ctx, superseded, counts_open_files: capabilities.open_files_count }
    }

    /// The first node.
    pub(super) fn store(&self) -> &Arc<dyn HomeStore> {
        &self.stores[0]
    }

    /// The result of the store's own count.
    pub(super) fn count(&self) -> Comparison {
        self.store().count("ann").unwrap()
    }

    /// Bytes that count against the quota.
    pub(super) fn charged(&self) -> u64 {
        self.user().usage().charged().bytes
    }

    /// Compares the accounting with a walk. No upload may be in progress; `orphaned` bytes are in open files without a
    /// name.
    pub(super) fn assert_accounting(&self, orphaned: u64) {
        let user = self.user();
        let usage = user.usage();
        let (bytes, entries) = user.scan();
        let used = (usage.used.bytes, usage.used.entries);
        assert_eq!(used, (bytes + orphaned, entries), "the accounting differs from the home");
        assert_eq!(usage.staged.bytes, 0, "something is reserved and nothing is under way");
        self.assert_counted();
    }

    /// Checks that the store finds nothing to correct.
    pub(super) fn assert_counted(&self) {
        match self.count() {
            Comparison::Compared { recorded, found, staged } => {
                assert_eq!((recorded, staged.discrepancy()), (found, 0), "{staged:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A channel of the user.
pub(super) struct Channel {
    pub(super) home: Arc<dyn Home>,
    pub(super) ctx: Ctx,
    /// Whether a different channel has taken its stream.
    pub(super) superseded: Arc<AtomicBool>,
    pub(super) counts_open_files: bool,
}

impl Channel {
    pub(super) fn takeover(&self) -> Takeover {
        let superseded = Arc::clone(&self.superseded);
        Takeover::new(move || superseded.store(true, SeqCst))
    }

    pub(super) fn usage(&self) -> LedgerUsage {
        self.home.usage().usage
    }

    pub(super) fn used(&self) -> u64 {
        self.usage().used.bytes
    }

    pub(super) fn info(&self, name: &str) -> StoreResult<FileInfo> {
        self.home.info(&path(name), false)
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        match self.info(name) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.cause(), Some(&Cause::NotFound), "{error}");
                false
            }
        }
    }

    pub(super) fn mode_of(&self, name: &str) -> u32 {
        self.info(name).unwrap().mode & 0o7777
    }

    /// Bytes and entries that a walk finds, each file once.
    pub(super) fn scan(&self) -> (u64, u64) {
        let (mut bytes, mut entries, mut seen) = (0, 0, HashSet::new());
        let mut walk = self.home.walk(&RemotePath::root()).unwrap();
        while let Some(step) = walk.next_step().unwrap() {
            match step {
                TreeStep::Enter(_) => entries += 1,
                TreeStep::Leaf(_, info) => {
                    entries += 1;
                    if seen.insert(info.id) {
                        bytes += info.size;
                    }
                }
                TreeStep::Pause => {}
            }
        }
        (bytes, entries)
    }

    pub(super) fn make_directory(&self, name: &str) {
        let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
        self.home.make_directory(&path(name), how).unwrap();
    }

    pub(super) fn make_symlink(&self, name: &str, target: &str) {
        self.home.make_symlink(&path(name), target.as_bytes()).unwrap();
    }

    /// Opens a file to be read or written in place, if the store can do that.
    pub(super) fn open(&self, name: &str, mode: OpenMode) -> Box<dyn FileHandle> {
        self.try_open(name, mode).unwrap()
    }

    pub(super) fn try_open(&self, name: &str, mode: OpenMode) -> StoreResult<Box<dyn FileHandle>> {
        self.home.open_file(&path(name), mode, false)
    }

    /// Opens a file that is published when it is closed.
    pub(super) fn open_staged(&self, name: &str, mode: OpenMode) -> Box<dyn FileHandle> {
        self.home.open_file(&path(name), mode, true).unwrap()
    }

    /// Closes a file, and publishes it if it was staged.
    pub(super) fn close(&self, file: Box<dyn FileHandle>) -> StoreResult<()> {
        while !file.prepare_close(StepLimit::bytes(u64::MAX))? {}
        match file.close()? {
            Some(item) => self.publish(item),
            None => Ok(()),
        }
    }

    /// Publishes one item.
    pub(super) fn publish(&self, item: PublishItem) -> StoreResult<()> {
        let mut published = self.home.publish(vec![item], Vec::new());
        published.names?;
        match published.items.pop().unwrap() {
            PublishResult::Done { .. } => Ok(()),
            PublishResult::Refused(error)
            | PublishResult::VisibleNotDurable(error)
            | PublishResult::Unknown(error) => Err(error),
        }
    }

    /// Sets the length of a file.
    pub(super) fn set_size(&self, name: &str, length: u64) -> StoreResult<()> {
        let file = self.try_open(name, OpenMode { write: true, ..OpenMode::default() })?;
        file.set_length(length)?;
        self.close(file)
    }

    pub(super) fn set_mode(&self, name: &str, mode: u32) -> StoreResult<RemotePath> {
        let wanted = SetAttributes { mode: Some(mode), ..SetAttributes::default() };
        self.home.set_attributes(&path(name), true, &wanted)
    }

    pub(super) fn begin(&self, name: &str, spec: &UploadSpec) -> StoreResult<Box<dyn Upload>> {
        self.home.begin_upload(&path(name), spec, None, &self.takeover())
    }

    /// A verified upload of a whole file that is not published yet.
    pub(super) fn complete(&self, name: &str, content: &[u8]) -> StoreResult<PublishItem> {
        let mut upload = self.begin(name, &spec_of(Some(content.len() as u64)))?;
        upload.write(content)?;
        upload.finish(content.len() as u64, Some(digest_of(content)))
    }

    /// Uploads a whole file.
    pub(super) fn put(&self, name: &str, content: &[u8]) -> StoreResult<()> {
        let item = self.complete(name, content)?;
        self.publish(item)
    }

    /// Begins an upload of this many MiB, sends part of it, and loses the connection.
    pub(super) fn cut(&self, name: &str, mib: u64, sent: u64) {
        let mut upload = self.begin(name, &file_of(mib, 0)).unwrap();
        (0..sent).for_each(|_| upload.write(&zeros(1)).unwrap());
    }

    /// The content of a file.
    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        content_of(&*self.open(name, READ_ONLY))
    }

    pub(super) fn remove(&self, name: &str) -> StoreResult<RemotePath> {
        self.home.remove_file(&path(name))
    }

    /// Leases the partial upload of a file of this many MiB.
    pub(super) fn lease(&self, name: &str, mib: u64) -> Option<Box<dyn PartialCheck>> {
        self.home.lease_partial(&path(name), mib * MIB, SOURCE_MTIME).unwrap()
    }

    /// The paths of the partial uploads, in order.
    pub(super) fn partial_paths(&self) -> Vec<String> {
        let paths = self.home.partial_uploads().into_iter().map(|partial| partial.path.to_string());
        let mut paths: Vec<String> = paths.collect();
        paths.sort();
        paths
    }
}

/// The content of an open file.
pub(super) fn content_of(file: &dyn FileHandle) -> Vec<u8> {
    let mut content = Vec::with_capacity(usize::try_from(file.info().unwrap().size).unwrap() + 1);
    while file.read_at(content.len() as u64, &mut content, 1 << 20).unwrap() > 0 {}
    content
}

/// Executes all steps of a check.
pub(super) fn checked(mut check: Box<dyn PartialCheck>) -> CheckedPartial {
    loop {
        if let Some(checked) = check.step(StepLimit::bytes(u64::MAX)).unwrap() {
            return checked;
        }
    }
}

pub(super) fn path(name: &str) -> RemotePath {
    RemotePath::root().join(name.as_bytes()).unwrap()
}

pub(super) fn zeros(mib: u64) -> Vec<u8> {
    vec![0; usize::try_from(mib * MIB).unwrap()]
}

pub(super) fn digest_of(content: &[u8]) -> Digest {
    let mut hasher = BlockHasher::new();
    hasher.update(content);
    hasher.finish()
}

/// The spec of an upload that cannot be resumed.
pub(super) fn spec_of(size: Option<u64>) -> UploadSpec {
    let permissions = UploadPermissions::Inherited(NEW_FILE_MODE);
    UploadSpec { size, mtime: None, source: None, permissions, resume: 0, exclusive: false }
}

/// The spec of an upload of a file of this many MiB, after `resume` blocks.
pub(super) fn file_of(mib: u64, resume: u32) -> UploadSpec {
    let source = Some(UploadSource::File { size: mib * MIB, mtime: SOURCE_MTIME });
    UploadSpec { source, resume, ..spec_of(Some(mib * MIB)) }
}

/// The cause of an error.
pub(super) fn cause<T>(result: StoreResult<T>) -> Cause {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(StoreError::IsDirectory { .. }) => Cause::IsDirectory,
        Err(StoreError::NotDirectory(_)) => Cause::NotDirectory,
        Err(error) => error.cause().unwrap_or_else(|| panic!("{error}")).clone(),
    }
}

pub(super) fn is_over_quota<T>(result: StoreResult<T>) -> bool {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(StoreError::Quota { .. } | StoreError::BeingReplaced { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Bytes in open files without a name, each file once.
pub(super) fn orphaned<'a>(files: impl Iterator<Item = &'a dyn FileHandle>) -> u64 {
    let infos = files.filter(|file| !file.publishes_at_close()).map(|file| file.info().unwrap());
    let nameless = infos.filter(|info| info.links == 0).map(|info| (info.id, info.size));
    nameless.collect::<std::collections::HashMap<FileId, u64>>().values().sum()
}
