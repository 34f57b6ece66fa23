//! Random operations on files that uploads are to replace: uploads, streams and staged files that are cut, resumed,
//! refused and finished, while the files that they replace are removed, renamed, linked, truncated and opened, and the
//! server is restarted. After each step the accounting equals a count, including staged bytes, and the charged bytes
//! are within the quota.

use super::NewHost;
use super::model::run_steps;
use super::world::*;
use crate::quota::{QuotaExceeded, QuotaLimits};
use crate::{
    FileHandle, MakeDirectory, OpenMode, Replace, StepLimit, StoreError, StoreResult, Upload, UploadSource,
    UploadSpec,
};
use proptest::prelude::*;
use sshome_wire::{BLOCK_BYTES, StreamId};

const QUOTA_BYTES: u64 = 24 * MIB;
const MAX_ENTRIES: u64 = 12;
/// `s` is a link to `d`: two of these are one target.
const PATHS: [&str; 6] = ["a", "b", "d/a", "s/a", "d/e/f/g", "d"];
const UPLOADS: usize = 3;
const MAX_HANDLES: usize = 3;
const CASES_PER_RUN: u32 = 24;

pub fn staged_bytes_are_counted_after_each_step(host: NewHost<'_>) {
    run_steps(CASES_PER_RUN, prop::collection::vec(step(), 1..50), |steps| check(host, true, steps));
}

pub fn staged_bytes_are_counted_beside_writes_in_place(host: NewHost<'_>) {
    run_steps(CASES_PER_RUN, prop::collection::vec(step(), 1..50), |steps| check(host, false, steps));
}

#[derive(Clone, Debug)]
enum Step {
    Put { name: usize, mib: u64 },
    Begin { slot: usize, name: usize, mib: u64, stream: bool },
    Send { slot: usize, mib: u64 },
    Finish { slot: usize },
    Cut { slot: usize },
    GiveUp { slot: usize },
    Resume { slot: usize, name: usize, mib: u64 },
    Discard { name: Option<usize> },
    Open { slot: usize, name: usize, mode: OpenMode },
    Write { slot: usize, mib: u64 },
    Close { slot: usize, whole: bool },
    SetLength { name: usize, mib: u64 },
    Remove { name: usize },
    RemoveTree { name: usize },
    MakeDirectory,
    Rename { from: usize, to: usize },
    HardLink { from: usize, to: usize, replaces: bool },
    Symlink { name: usize, length: usize },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, name, mib) = (0..UPLOADS, 0..PATHS.len(), 0..14_u64);
    let handle = 0..MAX_HANDLES;
    let modes = prop_oneof![
        Just(READ_ONLY),
        Just(WRITE_OR_CREATE),
        Just(TRUNCATE_OR_CREATE),
        Just(TRUNCATE_OR_CREATE)
    ];
    prop_oneof![
        4 => (name.clone(), mib.clone()).prop_map(|(name, mib)| Step::Put { name, mib }),
        6 => (slot.clone(), name.clone(), mib.clone(), any::<bool>())
            .prop_map(|(slot, name, mib, stream)| Step::Begin { slot, name, mib, stream }),
        6 => (slot.clone(), 1..9_u64).prop_map(|(slot, mib)| Step::Send { slot, mib }),
        2 => slot.clone().prop_map(|slot| Step::Finish { slot }),
        3 => slot.clone().prop_map(|slot| Step::Cut { slot }),
        1 => slot.clone().prop_map(|slot| Step::GiveUp { slot }),
        2 => (slot, name.clone(), mib.clone()).prop_map(|(slot, name, mib)| Step::Resume { slot, name, mib }),
        1 => prop::option::of(name.clone()).prop_map(|name| Step::Discard { name }),
        3 => (handle.clone(), name.clone(), modes).prop_map(|(slot, name, mode)| Step::Open { slot, name, mode }),
        2 => (handle.clone(), 1..4_u64).prop_map(|(slot, mib)| Step::Write { slot, mib }),
        2 => (handle, any::<bool>()).prop_map(|(slot, whole)| Step::Close { slot, whole }),
        3 => (name.clone(), mib).prop_map(|(name, mib)| Step::SetLength { name, mib }),
        4 => name.clone().prop_map(|name| Step::Remove { name }),
        1 => name.clone().prop_map(|name| Step::RemoveTree { name }),
        2 => Just(Step::MakeDirectory),
        4 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => (name.clone(), name.clone(), any::<bool>())
            .prop_map(|(from, to, replaces)| Step::HardLink { from, to, replaces }),
        1 => (name, 1..4000_usize).prop_map(|(name, length)| Step::Symlink { name, length }),
        1 => Just(Step::Restart),
    ]
}

/// One run: a home, two channels in it, and their open files and uploads.
struct Run {
    world: World,
    /// None only during a restart.
    users: Option<[Channel; 2]>,
    /// With the bytes that are still to be sent.
    uploads: [Option<(Box<dyn Upload>, u64)>; UPLOADS],
    open: [Option<Box<dyn FileHandle>>; MAX_HANDLES],
    streams: u8,
    staged: bool,
}

impl Run {
    fn new(host: NewHost<'_>, staged: bool) -> Run {
        let world =
            World::with_limits(host, QuotaLimits { bytes: Some(QUOTA_BYTES), entries: Some(MAX_ENTRIES) });
        let users = [world.user(), world.user()];
        users[0].make_directory("d/e/f");
        users[0].make_symlink("s", "d");
        let (uploads, open) = Default::default();
        Run { world, users: Some(users), uploads, open, streams: 0, staged }
    }

    fn user(&self, slot: usize) -> &Channel {
        &self.users.as_ref().unwrap()[slot % 2]
    }

    fn take(&mut self, step: Step) -> StoreResult<()> {
        let user = self.user(0);
        let at = |name: usize| path(PATHS[name]);
        match step {
            Step::Put { name, mib } => self.put(name, mib)?,
            Step::Begin { slot, name, mib, stream } => self.begin(slot, name, mib, stream)?,
            Step::Send { slot, mib } => {
                let Some((upload, left)) = &mut self.uploads[slot] else { return Ok(()) };
                for _ in 0..mib.min(*left / MIB) {
                    upload.write(&zeros(1))?;
                    *left -= MIB;
                }
            }
            Step::Finish { slot } => {
                // An upload that has not received everything is cut.
                let Some((upload, left)) = self.uploads[slot].take() else { return Ok(()) };
                if left == 0 || left > QUOTA_BYTES {
                    let size = upload.written();
                    let item = upload.finish(size, None)?;
                    self.user(slot).publish(item)?;
                }
            }
            Step::Cut { slot } => self.uploads[slot] = None,
            Step::GiveUp { slot } => {
                if let Some((mut upload, _)) = self.uploads[slot].take() {
                    upload.discard_on_drop();
                }
            }
            Step::Resume { slot, name, mib } => self.resume(slot, name, mib)?,
            Step::Discard { name } => drop(user.home.discard_partial_uploads(name.map(at).as_ref())),
            Step::Open { slot, name, mode } => {
                self.open[slot] = None;
                let opened = self.user(slot).home.open_file(&at(name), mode, self.staged && mode.is_upload());
                self.open[slot] = Some(opened?);
            }
            Step::Write { slot, mib } => {
                let Some(file) = &self.open[slot] else { return Ok(()) };
                for _ in 0..mib {
                    file.write_at(None, &[&zeros(1)])?;
                }
            }
            Step::Close { slot, whole } => {
                if let Some(file) = self.open[slot].take_if(|_| whole) {
                    self.user(slot).close(file)?;
                }
                self.open[slot] = None;
            }
            Step::SetLength { name, mib } => user.set_size(PATHS[name], mib * MIB)?,
            Step::Remove { name } => drop(user.home.remove_file(&at(name))?),
            Step::RemoveTree { name } => {
                let mut removal = user.home.remove_tree(&at(name), &mut |_, _| ())?;
                while !removal.step(StepLimit::entries(2), &mut |_, _| (), &mut |_| ())? {}
            }
            Step::MakeDirectory => {
                let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
                drop(user.home.make_directory(&path("d/e/f"), how)?);
            }
            Step::Rename { from, to } => self.rename(from, to)?,
            Step::HardLink { from, to, replaces } => {
                drop(user.home.hard_link(&at(from), &at(to), replaces)?)
            }
            Step::Symlink { name, length } => {
                drop(user.home.make_symlink(&at(name), &vec![b'x'; length])?);
            }
            Step::Restart => self.restart(),
        }
        Ok(())
    }

    fn put(&self, name: usize, mib: u64) -> StoreResult<()> {
        let before = self.world.charged();
        let put = self.user(1).put(PATHS[name], &zeros(mib));
        if let Err(StoreError::Quota { exceeded: QuotaExceeded::Bytes { .. }, .. }) = &put {
            assert!(before + mib * MIB > QUOTA_BYTES, "it would have fitted");
        }
        put
    }

    fn begin(&mut self, slot: usize, name: usize, mib: u64, stream: bool) -> StoreResult<()> {
        self.uploads[slot] = None;
        let (spec, left) = if stream {
            self.streams += 1;
            let source = Some(UploadSource::Stream(StreamId([self.streams; 16])));
            (UploadSpec { source, ..spec_of(None) }, u64::MAX)
        } else {
            (file_of(mib, 0), mib * MIB)
        };
        let upload = self.user(slot).begin(PATHS[name], &spec)?;
        self.uploads[slot] = Some((upload, left));
        Ok(())
    }

    fn resume(&mut self, slot: usize, name: usize, mib: u64) -> StoreResult<()> {
        self.uploads[slot] = None;
        let user = self.user(slot);
        let Some(check) = user.home.lease_partial(&path(PATHS[name]), mib * MIB, SOURCE_MTIME)? else {
            return Ok(());
        };
        let partial = checked(check);
        let blocks = u32::try_from(partial.digests.len()).unwrap();
        let spec = file_of(mib, blocks);
        let upload = user.home.begin_upload(&path(PATHS[name]), &spec, Some(partial), &user.takeover())?;
        self.uploads[slot] = Some((upload, mib * MIB - u64::from(blocks) * BLOCK_BYTES));
        Ok(())
    }

    fn rename(&self, from: usize, to: usize) -> StoreResult<()> {
        let renamed = self.user(0).home.rename(&path(PATHS[from]), &path(PATHS[to]), Replace::Always);
        if let Err(StoreError::BeingReplaced { .. }) = renamed {
            assert!(!self.is_idle(), "nothing replaces it");
        }
        renamed.map(drop)
    }

    /// Whether nothing is being uploaded.
    fn is_idle(&self) -> bool {
        self.uploads.iter().all(Option::is_none)
            && self.open.iter().flatten().all(|file| !file.publishes_at_close())
    }

    /// Stops the server, with all open files and uploads, and starts it again.
    fn restart(&mut self) {
        self.uploads = Default::default();
        self.open = Default::default();
        self.users = None;
        self.world.restart();
        self.users = Some([self.world.user(), self.world.user()]);
    }

    /// Compares the accounting with a count.
    fn check(&self, after: &str) {
        let user = self.user(1);
        let usage = user.usage();
        let counts = user.counts_open_files;
        let orphaned = if counts { orphaned(self.open.iter().flatten().map(|file| &**file)) } else { 0 };
        let (bytes, entries) = user.scan();
        assert_eq!((usage.used.bytes, usage.used.entries), (bytes + orphaned, entries), "after {after}");
        let charged = usage.charged();
        assert!(charged.bytes <= QUOTA_BYTES && charged.entries <= MAX_ENTRIES, "{usage:?} after {after}");
        // Each lent byte exists.
        assert!(usage.credited <= usage.used.bytes.min(usage.staged.bytes), "{usage:?} after {after}");
        let partial: u64 = user.home.partial_uploads().iter().map(|partial| partial.length).sum();
        assert!(partial <= usage.staged.bytes, "{usage:?} after {after}");
        if self.is_idle() {
            assert_eq!(usage.staged.bytes, partial, "after {after}");
        }
        self.world.assert_counted();
    }
}

fn check(host: NewHost<'_>, staged: bool, steps: Vec<Step>) {
    let mut run = Run::new(host, staged);
    for step in steps {
        let shown = format!("{step:?}");
        if let Err(error) = run.take(step) {
            assert!(!matches!(error, StoreError::Mismatch { .. }), "{shown}: {error}");
        }
        run.check(&shown);
    }
    run.restart();
    run.check("the last restart");
    run.user(0).home.discard_partial_uploads(None);
    run.check("all partial uploads were discarded");
    assert_eq!(run.user(0).usage().staged.bytes, 0);
}
