//! Power cuts: random operations on a disk that records every change. A state that a disk may have kept is opened and
//! compared with the promises to users. See docs/reliability.md.
//!
//! `SSHOME_POWER_CUT_ROUNDS` repeats everything with different seeds, `SSHOME_POWER_CUT_SEED` is the first.

mod check;
mod content;
mod disk_model;
mod history;
mod mutant;
mod replay;
mod store;
mod synced;
mod workload;

use anyhow::{Context, Result};
use check::{Tally, check};
use disk_model::DiskModel;
use mutant::Mutant;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use replay::Replay;
use sshome_e2e::recorder::Event;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use store::Settings;
use tempfile::TempDir;
use workload::Recording;

/// Cuts of one recording for each model.
const CUTS: usize = 250;

/// The number of operations of each session of a recording.
const OPERATIONS: usize = 60;

/// The folder in which disks are built: in memory, if possible.
fn replays() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect(variable))
}

fn seed() -> u64 {
    number("SSHOME_POWER_CUT_SEED").unwrap_or(1)
}

/// The first recording, which all tests share.
fn recording(test: &str) -> Option<&'static Recording> {
    static RECORDING: OnceLock<Option<Recording>> = OnceLock::new();
    let recording = RECORDING.get_or_init(|| Recording::new(test, seed(), OPERATIONS));
    if recording.is_none() {
        eprintln!("skipped: {test}: nothing can be mounted here");
    }
    recording.as_ref()
}

/// Cuts of a recording: a third of them anywhere, a third just after an event whose order matters, and a third just
/// after a rename.
fn cuts(events: &[Event], count: usize, random: &mut StdRng) -> Vec<usize> {
    let after = |wanted: fn(&Event) -> bool| {
        (1..=events.len()).filter(|end| wanted(&events[end - 1])).collect::<Vec<_>>()
    };
    let ordered = after(|event| {
        !matches!(event, Event::Write(..) | Event::SetMode(..) | Event::SetModified(..) | Event::SetXattr(..))
    });
    let renamed = after(|event| matches!(event, Event::Rename { .. }));
    let anywhere: Vec<_> = (0..=events.len()).collect();
    let kinds = [anywhere, ordered, renamed];
    (0..count).zip(kinds.iter().cycle()).filter_map(|(_, kind)| kind.choose(random).copied()).collect()
}

/// A folder with a server's settings, whose homes are built again for each cut.
struct Replays {
    dir: TempDir,
    settings: Settings,
}

impl Replays {
    fn new() -> Replays {
        let dir = TempDir::with_prefix_in("sshome-power-cut-", replays()).unwrap();
        let settings = Settings::new(dir.path()).unwrap();
        Replays { dir, settings }
    }

    /// Builds the disk after a cut, and checks it.
    fn check(
        &self,
        model: DiskModel,
        recording: &Recording,
        events: &[Event],
        seed: u64,
        tally: &mut Tally,
    ) -> Result<()> {
        let random = &mut StdRng::seed_from_u64(seed);
        let homes = self.dir.path().join("home");
        Replay::new(model, events, random).write(&homes, random);
        let is_strict = model == DiskModel::Journal;
        let checked = check(self.dir.path(), &self.settings, recording, events, is_strict, tally);
        std::fs::remove_dir_all(&homes).unwrap();
        std::fs::create_dir(&homes).unwrap();
        checked.with_context(|| {
            let what = format!("{:?}", events.last());
            let end = events.len();
            format!("{model:?}, seed {seed}, a cut after {end} events, the last of which is {what:.200}")
        })
    }
}

/// Cuts a recording at random places, until something is wrong.
fn cut(model: DiskModel, recording: &Recording, events: &[Event], seed: u64) -> (usize, Result<Tally>) {
    let (replays, mut random, mut tally) = (Replays::new(), StdRng::seed_from_u64(seed), Tally::default());
    let cuts = cuts(events, CUTS, &mut random);
    for (number, end) in cuts.iter().enumerate() {
        let checked = replays.check(model, recording, &events[..*end], random.random(), &mut tally);
        if let Err(error) = checked {
            return (number + 1, Err(error));
        }
    }
    (cuts.len(), Ok(tally))
}

fn every_cut_keeps_the_promises(test: &str, model: DiskModel) {
    let first = seed();
    for seed in first..first + number("SSHOME_POWER_CUT_ROUNDS").unwrap_or(1) {
        let own;
        let recording = if seed == first {
            recording(test)
        } else {
            own = Recording::new(test, seed, OPERATIONS);
            own.as_ref()
        };
        let Some(recording) = recording else { return };
        let (count, tally) = cut(model, recording, &recording.events, seed);
        let tally = tally.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        println!("seed {seed}: {count} cuts of {} events, {model:?}: {tally:?}", recording.events.len());
        assert!(tally.files > count && tally.resumed > 0, "{tally:?}");
    }
}

#[test]
fn a_power_cut_keeps_the_promises_with_a_journal() {
    every_cut_keeps_the_promises("a_power_cut_keeps_the_promises_with_a_journal", DiskModel::Journal);
}

#[test]
fn a_power_cut_keeps_the_promises_on_the_weakest_disk() {
    every_cut_keeps_the_promises("a_power_cut_keeps_the_promises_on_the_weakest_disk", DiskModel::Posix);
}

#[test]
fn servers_that_sync_too_little_or_too_late_fail_the_test() {
    let Some(recording) = recording("servers_that_sync_too_little_or_too_late_fail_the_test") else { return };
    for mutant in Mutant::ALL {
        let events = mutant.of(&recording.events);
        assert!(events != recording.events, "{mutant:?} changes nothing");
        for model in mutant.models().iter().copied() {
            let (count, found) = cut(model, recording, &events, seed());
            let error = found.expect_err(&format!("{mutant:?} is not found, {model:?}"));
            println!("{mutant:?} is found by the {count}th cut, {model:?}: {}", error.root_cause());
        }
    }
}
