//! Random operations on a few names over several handles and two channels: after each step the accounting equals the
//! result of a walk, and a write is refused if and only if it does not fit.

use super::NewHost;
use super::world::*;
use crate::quota::QuotaLimits;
use crate::{FileHandle, MakeDirectory, OpenMode, Replace, StoreError, StoreResult};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const QUOTA_BYTES: u64 = 6000;
const MAX_ENTRIES: u64 = 6;
const PATHS: [&str; 6] = ["a", "b", "c", "dir", "dir/a", "link"];
const MAX_HANDLES: usize = 5;
const CASES_PER_RUN: u32 = 100;

pub fn accounting_matches_a_count_after_each_step_in_place(host: NewHost<'_>) {
    run_steps(CASES_PER_RUN, prop::collection::vec(step(), 1..80), |steps| check(host, false, steps));
}

pub fn accounting_matches_a_count_after_each_step_with_staged_files(host: NewHost<'_>) {
    run_steps(CASES_PER_RUN, prop::collection::vec(step(), 1..80), |steps| check(host, true, steps));
}

/// Checks random steps; a failure is shrunk to a minimal sequence of steps. `SSHOME_STORE_CASES` overrides the number
/// of cases.
pub(super) fn run_steps<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let wanted = std::env::var("SSHOME_STORE_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(cases);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&strategy, |steps| {
        check(steps);
        Ok(())
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open { slot: usize, name: usize, mode: OpenMode },
    Drop { slot: usize },
    Close { slot: usize },
    Write { slot: usize, offset: u64, length: usize },
    SetLength { slot: usize, length: u64 },
    SetLengthAt { name: usize, length: u64 },
    HardLink { from: usize, to: usize, replaces: bool },
    Rename { from: usize, to: usize, replace: Replace },
    Remove { name: usize },
    Put { name: usize, length: usize },
    MakeDirectory { name: usize },
    RemoveDirectory { name: usize },
    Symlink { name: usize, target: usize },
}

fn mode() -> impl Strategy<Value = OpenMode> {
    any::<[bool; 6]>().prop_map(|[read, write, append, create, truncate, exclusive]| OpenMode {
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
    let replace = prop_oneof![Just(Replace::Never), Just(Replace::Always), Just(Replace::AlwaysAndMerge)];
    prop_oneof![
        6 => (slot.clone(), name.clone(), mode()).prop_map(|(slot, name, mode)| Step::Open { slot, name, mode }),
        1 => slot.clone().prop_map(|slot| Step::Drop { slot }),
        1 => slot.clone().prop_map(|slot| Step::Close { slot }),
        6 => (slot.clone(), offset, length.clone())
            .prop_map(|(slot, offset, length)| Step::Write { slot, offset, length: length as usize }),
        1 => (slot, length.clone()).prop_map(|(slot, length)| Step::SetLength { slot, length }),
        1 => (name.clone(), length.clone()).prop_map(|(name, length)| Step::SetLengthAt { name, length }),
        2 => (name.clone(), name.clone(), any::<bool>())
            .prop_map(|(from, to, replaces)| Step::HardLink { from, to, replaces }),
        3 => (name.clone(), name.clone(), replace)
            .prop_map(|(from, to, replace)| Step::Rename { from, to, replace }),
        2 => name.clone().prop_map(|name| Step::Remove { name }),
        2 => (name.clone(), length).prop_map(|(name, length)| Step::Put { name, length: length as usize }),
        1 => name.clone().prop_map(|name| Step::MakeDirectory { name }),
        1 => name.clone().prop_map(|name| Step::RemoveDirectory { name }),
        1 => (name.clone(), name).prop_map(|(name, target)| Step::Symlink { name, target }),
    ]
}

/// The handles that are open, over two channels of one user.
struct Handles {
    users: [Channel; 2],
    open: [Option<Box<dyn FileHandle>>; MAX_HANDLES],
    /// Which handles are of files that are staged with their old content: their writes need space beside that content.
    over_old: [bool; MAX_HANDLES],
    /// Whether uploads are staged.
    staged: bool,
}

impl Handles {
    /// The bytes that count against the quota.
    fn charged(&self) -> u64 {
        self.users[0].usage().charged().bytes
    }

    fn orphaned(&self) -> u64 {
        let counts = self.users[0].counts_open_files;
        if counts { orphaned(self.open.iter().flatten().map(|file| &**file)) } else { 0 }
    }

    fn take(&mut self, step: Step) -> StoreResult<()> {
        let [user, other] = &self.users;
        let at = |name: usize| path(PATHS[name]);
        match step {
            Step::Open { slot, name, mode } => {
                let user = if slot % 2 == 0 { user } else { other };
                self.open[slot] = None;
                let file = user.home.open_file(&at(name), mode, self.staged && mode.is_upload())?;
                self.over_old[slot] = file.publishes_at_close() && !mode.truncate;
                self.open[slot] = Some(file);
            }
            Step::Drop { slot } => self.open[slot] = None,
            Step::Close { slot } => {
                if let Some(file) = self.open[slot].take() {
                    user.close(file)?;
                }
            }
            Step::Write { slot, offset, length } => self.write(slot, offset, length)?,
            Step::SetLength { slot, length } => {
                if let Some(file) = &self.open[slot] {
                    file.set_length(length)?;
                }
            }
            Step::SetLengthAt { name, length } => user.set_size(PATHS[name], length)?,
            Step::HardLink { from, to, replaces } => {
                drop(user.home.hard_link(&at(from), &at(to), replaces)?)
            }
            Step::Rename { from, to, replace } => drop(user.home.rename(&at(from), &at(to), replace)?),
            Step::Remove { name } => drop(user.home.remove_file(&at(name))?),
            Step::Put { name, length } => other.put(PATHS[name], &vec![2; length])?,
            Step::MakeDirectory { name } => {
                drop(user.home.make_directory(&at(name), MakeDirectory::default())?);
            }
            Step::RemoveDirectory { name } => drop(user.home.remove_directory(&at(name))?),
            Step::Symlink { name, target } => {
                drop(user.home.make_symlink(&at(name), PATHS[target].as_bytes())?);
            }
        }
        Ok(())
    }

    fn write(&self, slot: usize, offset: u64, length: usize) -> StoreResult<()> {
        let Some(file) = &self.open[slot] else { return Ok(()) };
        let (before, charged) = (file.info()?.size, self.charged());
        let result = file.write_at(Some(offset), &[&vec![1; length]]);
        if let Err(StoreError::Quota { .. }) = &result {
            let most = before.max(offset + length as u64).max(before + length as u64);
            let fits = charged + (most - before) <= QUOTA_BYTES;
            assert!(!fits || self.over_old[slot], "refused, and would have fitted");
            assert_eq!((file.info()?.size, self.charged()), (before, charged));
        }
        result
    }
}

fn check(host: NewHost<'_>, staged: bool, steps: Vec<Step>) {
    let limits = QuotaLimits { bytes: Some(QUOTA_BYTES), entries: Some(MAX_ENTRIES) };
    let world = World::with_limits(host, limits);
    let users = [world.user(), world.user()];
    let mut handles = Handles { users, open: Default::default(), over_old: Default::default(), staged };
    for step in steps {
        let shown = format!("{step:?}");
        if let Err(error) = handles.take(step) {
            // No action of a user may look like a fault of the store.
            assert!(!matches!(error, StoreError::Mismatch { .. }), "{shown}: {error}");
        }
        let usage = handles.users[1].usage();
        let (bytes, entries) = handles.users[0].scan();
        assert_eq!(usage.used.bytes, bytes + handles.orphaned(), "bytes, after {shown}");
        assert_eq!(usage.used.entries, entries, "entries, after {shown}");
        let charged = usage.charged();
        assert!(charged.bytes <= QUOTA_BYTES && charged.entries <= MAX_ENTRIES, "{usage:?} after {shown}");
    }
    drop(handles);
    world.assert_accounting(0);
}
