//! Random operations on files that uploads replace. Puts, streams and staged SFTP uploads are cut, resumed, refused and
//! finished. Meanwhile the replaced files are removed, renamed, linked, truncated and opened, and the server is
//! restarted. After each step the accounting matches the disk, including staged bytes, and the charged bytes are within
//! the quota.

use super::world::*;
use proptest::prelude::*;
use sshome_store::quota::{Comparison, QuotaExceeded};
use sshome_store::{MakeDirectory, StoreError};
use sshome_wire::{BLOCK_BYTES, Put, Status, StreamId, Time};
use sshomed::service::{
    self, Error, OpenFile, OpenMode, PartCheck, PutUpload, RecursiveRemoval, SetAttributes, StepLimit, User,
};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const QUOTA_BYTES: u64 = 24 * MIB;
const MAX_ENTRIES: u64 = 12;
/// `s` is a link to `d`: two of these are one target.
const PATHS: [&str; 6] = ["a", "b", "d/a", "s/a", "d/e/f/g", "d"];
const UPLOADS: usize = 3;
const MAX_HANDLES: usize = 3;
pub(crate) const SLICE: usize = MIB as usize;

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
    HardLink { from: usize, to: usize },
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
        2 => (slot, name.clone(), mib.clone())
            .prop_map(|(slot, name, mib)| Step::Resume { slot, name, mib }),
        1 => prop::option::of(name.clone()).prop_map(|name| Step::Discard { name }),
        3 => (handle.clone(), name.clone(), modes)
            .prop_map(|(slot, name, mode)| Step::Open { slot, name, mode }),
        2 => (handle.clone(), 1..4_u64).prop_map(|(slot, mib)| Step::Write { slot, mib }),
        2 => (handle, any::<bool>()).prop_map(|(slot, whole)| Step::Close { slot, whole }),
        3 => (name.clone(), mib).prop_map(|(name, mib)| Step::SetLength { name, mib }),
        4 => name.clone().prop_map(|name| Step::Remove { name }),
        1 => name.clone().prop_map(|name| Step::RemoveTree { name }),
        2 => Just(Step::MakeDirectory),
        4 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::HardLink { from, to }),
        1 => (name, 1..4000_usize).prop_map(|(name, length)| Step::Symlink { name, length }),
        1 => Just(Step::Restart),
    ]
}

/// One run: a home, a session in it, and its running operations.
struct Run {
    settings: String,
    /// `None` only during a restart.
    world: Option<(World, User)>,
    uploads: [Option<(PutUpload, u64)>; UPLOADS],
    open: [Option<OpenFile>; MAX_HANDLES],
    streams: u8,
    zeros: Vec<u8>,
}

/// A put of this size, or of a stream. The source is the same for the same size.
pub(crate) fn put_of(mib: u64, stream: bool, resume: u32) -> Put {
    let size = (!stream).then_some(mib * MIB);
    let source = Some(Time { seconds: 1, nanoseconds: 0 });
    Put { path: Vec::new(), size, mtime: None, source, mode: None, resume }
}

impl Run {
    fn new(uploads: &str) -> Run {
        let settings =
            format!("quota = {QUOTA_BYTES}\nmax-files = {MAX_ENTRIES}\nsftp-uploads = \"{uploads}\"");
        let world = World::new(&settings);
        let user = world.user();
        service::make_directory(
            &user,
            &path("d/e/f"),
            MakeDirectory { parents: true, ..MakeDirectory::default() },
        )
        .unwrap();
        service::make_symlink(&user, &path("s"), b"d").unwrap();
        let zeros = vec![0; SLICE];
        let world = Some((world, user));
        Run { settings, world, uploads: Default::default(), open: Default::default(), streams: 0, zeros }
    }

    fn world(&self) -> &World {
        &self.world.as_ref().unwrap().0
    }

    fn take(&mut self, step: Step) -> service::Result<()> {
        if let Step::Restart = step {
            self.restart();
            return Ok(());
        }
        let (world, user) = self.world.as_ref().unwrap();
        let at = |name: usize| path(PATHS[name]);
        match step {
            Step::Put { name, mib } => {
                let before = world.charged();
                let put = put(user, PATHS[name], &vec![0; (mib * MIB) as usize]);
                if let Err(Error::Store(StoreError::Quota {
                    exceeded: QuotaExceeded::Bytes { .. }, ..
                })) = &put
                {
                    assert!(before + mib * MIB > QUOTA_BYTES, "it would have fitted");
                }
                put?;
            }
            Step::Begin { slot, name, mib, stream } => {
                self.uploads[slot] = None;
                let put = put_of(mib, stream, 0);
                let upload = match stream {
                    true => {
                        self.streams += 1;
                        PutUpload::begin(user, &put, &at(name), None, Some(StreamId([self.streams; 16])))?
                    }
                    false => PutUpload::begin(user, &put, &at(name), None, None)?,
                };
                self.uploads[slot] = Some((upload, if stream { u64::MAX } else { mib * MIB }));
            }
            Step::Send { slot, mib } => {
                let Some((upload, left)) = &mut self.uploads[slot] else { return Ok(()) };
                for _ in 0..mib.min(*left / MIB) {
                    upload.write(&self.zeros)?;
                    *left -= MIB;
                }
            }
            Step::Finish { slot } => {
                // An incomplete upload is cut.
                let Some((upload, left)) = self.uploads[slot].take() else { return Ok(()) };
                if left == 0 || left > QUOTA_BYTES {
                    let placement = upload.finish_at_eof(None)?;
                    let (placed, synced) = service::publish(user, vec![placement], Vec::new());
                    placed.into_iter().chain([synced]).collect::<service::Result<()>>()?;
                }
            }
            Step::Cut { slot } => self.uploads[slot] = None,
            Step::GiveUp { slot } => drop(self.uploads[slot].take().map(|(upload, _)| upload.give_up())),
            Step::Resume { slot, name, mib } => {
                self.uploads[slot] = None;
                let source = Time { seconds: 1, nanoseconds: 0 };
                let check = PartCheck::begin(user, &at(name), mib * MIB, source)?;
                let Some(mut check) = check else { return Ok(()) };
                let part = loop {
                    if let Some(part) = check.step(StepLimit::bytes(u64::MAX))? {
                        break part;
                    }
                };
                let blocks = part.digests.len() as u32;
                let upload =
                    PutUpload::begin(user, &put_of(mib, false, blocks), &at(name), Some(part), None)?;
                self.uploads[slot] = Some((upload, mib * MIB - u64::from(blocks) * BLOCK_BYTES));
            }
            Step::Discard { name } => drop(service::discard(user, name.map(at).as_ref()).unwrap()),
            Step::Open { slot, name, mode } => {
                self.open[slot] = None;
                self.open[slot] = Some(OpenFile::open(user, &at(name), mode)?);
            }
            Step::Write { slot, mib } => {
                let Some(file) = &self.open[slot] else { return Ok(()) };
                for _ in 0..mib {
                    file.write_at(file.info()?.size, &self.zeros)?;
                }
            }
            Step::Close { slot, whole } => {
                if let Some(file) = self.open[slot].take_if(|_| whole) {
                    file.finish(user)?;
                }
                self.open[slot] = None;
            }
            Step::SetLength { name, mib } => {
                let size = SetAttributes { size: Some(mib * MIB), ..SetAttributes::default() };
                service::set_attributes(user, &at(name), true, &size)?;
            }
            Step::Remove { name } => service::remove(user, &at(name))?,
            Step::RemoveTree { name } => {
                let mut removal = RecursiveRemoval::begin(user, &at(name))?;
                while !removal.step(user, StepLimit::entries(2))? {}
            }
            Step::MakeDirectory => drop(service::make_directory(
                user,
                &path("d/e/f"),
                MakeDirectory { parents: true, ..MakeDirectory::default() },
            )?),
            Step::Rename { from, to } => {
                let renamed = service::rename_exact(user, &at(from), &at(to), true);
                if let Err(Error::Store(StoreError::BeingReplaced { .. })) = renamed {
                    let staged = |file: &OpenFile| file.publishes_at_close();
                    let under_way = self.uploads.iter().any(Option::is_some);
                    assert!(under_way || self.open.iter().flatten().any(staged), "nothing replaces it");
                }
                renamed?;
            }
            Step::HardLink { from, to } => service::hard_link(user, &at(from), &at(to))?,
            Step::Symlink { name, length } => {
                service::make_symlink(user, &at(name), &vec![b'x'; length])?;
            }
            Step::Restart => {}
        }
        Ok(())
    }

    /// Restarts the server, which ends all running operations.
    fn restart(&mut self) {
        self.uploads = Default::default();
        self.open = Default::default();
        if let Some((world, user)) = self.world.take() {
            drop(user);
            let world = world.restarted();
            let user = world.user();
            self.world = Some((world, user));
        }
    }

    /// Compares the accounting with the disk.
    fn check(&self, after: &str) {
        let (world, user) = self.world.as_ref().unwrap();
        let service_usage = service::usage(user).unwrap();
        let usage = service_usage.usage;
        let in_place = self.open.iter().flatten().filter(|file| !file.publishes_at_close());
        let nameless = in_place.map(|file| file.info().unwrap()).filter(|stat| stat.links == 0);
        let orphaned: u64 =
            nameless.map(|stat| (stat.id, stat.size)).collect::<HashMap<_, _>>().values().sum();
        let (bytes, entries) = world.scan();
        assert_eq!((usage.used, usage.entries), (bytes + orphaned, entries), "after {after}");
        assert!(service_usage.charged() <= QUOTA_BYTES, "{service_usage:?} after {after}");
        assert!(usage.entries <= MAX_ENTRIES, "after {after}");
        // Each lent byte exists, and each staged byte is accounted for.
        assert!(service_usage.credited <= usage.used.min(usage.reserved), "after {after}");
        let staged = self.staged();
        assert!(staged <= usage.reserved, "{staged} are staged, {usage:?} after {after}");
        let partial: u64 = service::parts(user).iter().map(|part| part.length).sum();
        let idle = self.uploads.iter().all(Option::is_none)
            && self.open.iter().flatten().all(|file| !file.publishes_at_close());
        if idle {
            assert_eq!((staged, usage.reserved), (partial, partial), "after {after}");
        }
        match world.count() {
            Comparison::Compared { recorded, found, staged } => {
                assert_eq!((recorded, staged.discrepancy()), (found, 0), "after {after}");
            }
            other => panic!("{other:?} after {after}"),
        }
    }

    /// Bytes of staged files on the disk.
    fn staged(&self) -> u64 {
        let folder = self.world().home().join(sshome_store_posix::STAGING_DIRECTORY);
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let data = files.filter(|file| file.path().extension().is_none());
        data.map(|file| file.metadata().unwrap().size()).sum()
    }
}

fn check(uploads: &str, steps: Vec<Step>) {
    let mut run = Run::new(uploads);
    for step in steps {
        let shown = format!("{step:?}");
        if let Err(error) = run.take(step) {
            assert!(
                !matches!(error, Error::Store(StoreError::Mismatch { .. }) | Error::Rotten(_)),
                "{shown}: {error}"
            );
            assert_ne!(error.status(), Status::BadCommand);
        }
        run.check(&shown);
    }
    run.restart();
    run.check(&format!("the last restart with {}", run.settings));
    let user = &run.world.as_ref().unwrap().1;
    service::discard(user, None).unwrap();
    run.check("all partial uploads were discarded");
    assert_eq!(service::usage(user).unwrap().usage.reserved, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn staged_bytes_are_counted_after_each_step(steps in prop::collection::vec(step(), 1..50)) {
        check("atomic", steps);
    }

    #[test]
    fn staged_bytes_are_counted_beside_writes_in_place(steps in prop::collection::vec(step(), 1..50)) {
        check("in-place", steps);
    }
}
