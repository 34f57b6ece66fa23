//! Random operations on a few names over several handles: after each step the accounting matches the disk, and a
//! write is refused if, and only if, it does not fit.

use super::world::*;
use proptest::prelude::*;
use sshome_store::StoreError;
use sshome_wire::Status;
use sshomed::service::{
    self, Copy, CopyData, Download, Error, OpenFile, OpenMode, SetAttributes, StepLimit, User,
};
use std::collections::HashMap;

const QUOTA_BYTES: u64 = 6000;
const MAX_ENTRIES: u64 = 6;
const PATHS: [&str; 6] = ["a", "b", "c", "dir", "dir/a", "link"];
const MAX_HANDLES: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Open { slot: usize, name: usize, mode: OpenMode },
    Close { slot: usize },
    Finish { slot: usize },
    Write { slot: usize, offset: u64, length: usize },
    SetLength { slot: usize, length: u64 },
    SetLengthAt { name: usize, length: u64 },
    CopyData { from: usize, at: u64, length: u64, to: usize, offset: u64 },
    HardLink { from: usize, to: usize },
    RenameExact { from: usize, to: usize, replace: bool },
    Rename { from: usize, to: usize },
    Remove { name: usize },
    Put { name: usize, length: usize },
    Copy { from: usize, to: usize },
    Get { name: usize },
    CloseGet,
    MakeDirectory { name: usize },
    RemoveDirectory { name: usize },
    Symlink { name: usize, target: usize },
}

fn mode() -> impl Strategy<Value = OpenMode> {
    (any::<[bool; 6]>()).prop_map(|[read, write, append, create, truncate, exclusive]| OpenMode {
        read,
        write,
        append: append && !truncate,
        create: create || write,
        truncate,
        exclusive: exclusive && append,
        mode: None,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, name) = (0..MAX_HANDLES, 0..PATHS.len());
    let (offset, length) = (0..QUOTA_BYTES, 0..QUOTA_BYTES / 2);
    prop_oneof![
        6 => (slot.clone(), name.clone(), mode()).prop_map(|(slot, name, mode)| Step::Open { slot, name, mode }),
        1 => slot.clone().prop_map(|slot| Step::Close { slot }),
        1 => slot.clone().prop_map(|slot| Step::Finish { slot }),
        6 => (slot.clone(), offset.clone(), length.clone())
            .prop_map(|(slot, offset, length)| Step::Write { slot, offset, length: length as usize }),
        1 => (slot.clone(), length.clone()).prop_map(|(slot, length)| Step::SetLength { slot, length }),
        1 => (name.clone(), length.clone()).prop_map(|(name, length)| Step::SetLengthAt { name, length }),
        1 => (slot.clone(), offset.clone(), length.clone(), slot, offset)
            .prop_map(|(from, at, length, to, offset)| Step::CopyData { from, at, length, to, offset }),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::HardLink { from, to }),
        2 => (name.clone(), name.clone(), any::<bool>())
            .prop_map(|(from, to, replace)| Step::RenameExact { from, to, replace }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => name.clone().prop_map(|name| Step::Remove { name }),
        2 => (name.clone(), length).prop_map(|(name, length)| Step::Put { name, length: length as usize }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => name.clone().prop_map(|name| Step::Get { name }),
        1 => Just(Step::CloseGet),
        1 => name.clone().prop_map(|name| Step::MakeDirectory { name }),
        1 => name.clone().prop_map(|name| Step::RemoveDirectory { name }),
        1 => (name.clone(), name).prop_map(|(name, target)| Step::Symlink { name, target }),
    ]
}

/// The open handles of two sessions of one user.
struct Handles {
    users: [User; 2],
    open: [Option<OpenFile>; MAX_HANDLES],
    /// A running get, and another handle of its file, to see its length.
    get: Option<(Download, OpenFile)>,
    /// The handles on which a change has failed. All later changes through them fail, whatever the space.
    failed: [bool; MAX_HANDLES],
    /// Whether uploads are staged, and which handles are of files that are staged with their old content. These need
    /// space for the new data as well.
    atomic: bool,
    over_old: [bool; MAX_HANDLES],
}

impl Handles {
    fn new(world: &World, atomic: bool) -> Handles {
        let users = [world.user(), world.user()];
        Handles {
            users,
            open: Default::default(),
            get: None,
            failed: Default::default(),
            atomic,
            over_old: Default::default(),
        }
    }

    /// The total that is charged to the quota.
    fn taken(&self) -> u64 {
        service::usage(&self.users[0]).unwrap().charged()
    }

    /// Bytes of open files without a name.
    fn orphaned(&self) -> u64 {
        let files = self.open.iter().flatten().chain(self.get.iter().map(|get| &get.1));
        let stats = files.map(|file| file.info().unwrap());
        let nameless = stats.filter(|stat| stat.links == 0);
        nameless.map(|stat| (stat.id, stat.size)).collect::<HashMap<_, _>>().values().sum()
    }

    /// Takes a step, and notes which handle it opens, or makes fail.
    fn act(&mut self, step: Step) -> service::Result<()> {
        let changed = match step {
            Step::Write { slot, .. } | Step::SetLength { slot, .. } => Some(slot),
            Step::CopyData { from, to, .. } => self.open[from].is_some().then_some(to),
            Step::Open { slot, mode, .. } => {
                self.failed[slot] = false;
                self.over_old[slot] =
                    self.atomic && mode.write && mode.create && !mode.truncate && !mode.read;
                None
            }
            _ => None,
        };
        let failed = changed.is_some_and(|slot| self.failed[slot]);
        let result = self.take(step);
        if let Some(slot) = changed.filter(|slot| self.open[*slot].is_some()) {
            assert!(!failed || result.is_err(), "a change after one that failed is made");
            self.failed[slot] |= matches!(&result, Err(Error::Earlier(_)));
        }
        result
    }

    fn take(&mut self, step: Step) -> service::Result<()> {
        let [user, other] = &self.users;
        let at = |name: usize| path(PATHS[name]);
        match step {
            Step::Open { slot, name, mode } => {
                let user = if slot % 2 == 0 { user } else { other };
                self.open[slot] = None;
                self.open[slot] = Some(OpenFile::open(user, &at(name), mode)?);
            }
            Step::Close { slot } => self.open[slot] = None,
            Step::Finish { slot } => {
                if let Some(file) = self.open[slot].take() {
                    file.finish(user)?;
                }
            }
            Step::Write { slot, offset, length } => {
                let Some(file) = &self.open[slot] else { return Ok(()) };
                let (before, taken) = (file.info().unwrap().size, self.taken());
                let result = file.write_at(offset, &vec![1; length]);
                if let Err(error) = &result
                    && error.status() == Status::QuotaExceeded
                    && !self.failed[slot]
                {
                    let most = before.max(offset + length as u64).max(before + length as u64);
                    let fits = taken + (most - before) <= QUOTA_BYTES;
                    assert!(!fits || self.over_old[slot], "refused, and would have fitted");
                    assert_eq!((file.info().unwrap().size, self.taken()), (before, taken));
                }
                result?;
            }
            Step::SetLength { slot, length } => {
                let Some(file) = &self.open[slot] else { return Ok(()) };
                file.set_attributes(user, &SetAttributes { size: Some(length), ..Default::default() })?;
            }
            Step::SetLengthAt { name, length } => {
                let wanted = SetAttributes { size: Some(length), ..Default::default() };
                service::set_attributes(user, &at(name), true, &wanted)?;
            }
            Step::CopyData { from, at, length, to, offset } => {
                let (Some(from), Some(to)) = (&self.open[from], &self.open[to]) else { return Ok(()) };
                let mut copy = CopyData::begin(from, at, length, to, offset)?;
                while copy.step(from, to, StepLimit::bytes(500))?.is_none() {}
            }
            Step::HardLink { from, to } => service::hard_link(user, &at(from), &at(to))?,
            Step::RenameExact { from, to, replace } => {
                service::rename_exact(user, &at(from), &at(to), replace)?;
            }
            Step::Rename { from, to } => service::rename(user, &at(from), &at(to))?,
            Step::Remove { name } => service::remove(user, &at(name))?,
            Step::Put { name, length } => put(user, PATHS[name], &vec![2; length])?,
            Step::Copy { from, to } => {
                let mut copy = Copy::begin(user, &at(from), &at(to), false)?;
                while !copy.step(user, StepLimit::bytes(500))? {}
            }
            Step::Get { name } => {
                self.get = None;
                let get = Download::begin(user, &at(name))?;
                self.get = Some((get, OpenFile::open(user, &at(name), READ_ONLY)?));
            }
            Step::CloseGet => self.get = None,
            Step::MakeDirectory { name } => service::make_new_directory(user, &at(name), None)?,
            Step::RemoveDirectory { name } => service::remove_directory(user, &at(name))?,
            Step::Symlink { name, target } => {
                service::make_symlink(user, &at(name), PATHS[target].as_bytes())?;
            }
        }
        Ok(())
    }
}

fn check(uploads: &str, steps: Vec<Step>) {
    let settings = format!("quota = {QUOTA_BYTES}\nmax-files = {MAX_ENTRIES}\nsftp-uploads = \"{uploads}\"");
    let world = World::new(&settings);
    let mut handles = Handles::new(&world, uploads == "atomic");
    for step in steps {
        let shown = format!("{step:?}");
        if let Err(error) = handles.act(step) {
            // No user may cause an error that looks like a fault of the server.
            assert!(
                !matches!(error, Error::Store(StoreError::Mismatch { .. }) | Error::Rotten(_)),
                "{shown}: {error}"
            );
        }
        let credited = service::usage(&handles.users[1]).unwrap();
        let usage = credited.usage;
        let (bytes, entries) = world.scan();
        assert_eq!(usage.used, bytes + handles.orphaned(), "bytes, after {shown}");
        assert_eq!(usage.entries, entries, "entries, after {shown}");
        assert!(credited.charged() <= QUOTA_BYTES && usage.entries <= MAX_ENTRIES, "after {shown}");
    }
    drop(handles);
    world.assert_accounting(0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accounting_matches_the_disk_after_each_step_in_place(steps in prop::collection::vec(step(), 1..80)) {
        check("in-place", steps);
    }

    #[test]
    fn accounting_matches_the_disk_after_each_step_with_atomic_uploads(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        check("atomic", steps);
    }
}
