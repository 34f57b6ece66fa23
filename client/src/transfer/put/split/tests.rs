use super::file::SplitUpload;
use super::rights::{Finishing, TakenBlocks, UploadOpening};
use super::{FileDivider, SplitTask, SplitUploads};
use crate::transfer::TransferOptions;
use crate::transfer::block_pool::MAX_STARTS;
use crate::transfer::delta::OldVersion;
use crate::transfer::put::source::LocalSource;
use crate::transfer::put::walk::{FilledQueue, UploadDirectory};
use sshome_wire::{BLOCK_BYTES, Digest, RemotePath, UploadId};
use std::fs::File;
use std::sync::Arc;

const SIZE: u64 = 20 * BLOCK_BYTES + 5;

const FIRST: UploadId = UploadId([1; 16]);
const SECOND: UploadId = UploadId([2; 16]);

/// The uploads of one file, and the open file.
struct World {
    uploads: Arc<SplitUploads>,
    local: Arc<LocalSource>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        File::create_new(&path).unwrap().set_len(SIZE).unwrap();
        let local = Arc::new(LocalSource::open(&path, false).unwrap());
        let uploads = Arc::<SplitUploads>::default();
        let options = TransferOptions { jobs: "2".parse().unwrap(), split_bytes: SIZE, ..Default::default() };
        let divider = FileDivider::new(&uploads, options, None);
        assert_eq!(divider.connections(SIZE - 1, OldVersion::Unknown), None);
        let connections = divider.connections(SIZE, OldVersion::Unknown).unwrap();
        divider.add((path, false), (RemotePath::root(), None), OldVersion::Unknown, connections);
        World { uploads, local, _folder: folder }
    }

    fn file(&self) -> Arc<SplitUpload> {
        Arc::clone(&self.uploads.files()[0])
    }

    /// Opens it. Returns how many bytes were reported and are not there.
    fn open(&self, id: UploadId, theirs: &[u8]) -> u64 {
        let SplitTask::Open(opening) = self.uploads.next() else { panic!("it is not to be opened") };
        let theirs = theirs.iter().map(|byte| digest(*byte)).collect();
        opening.finish(Arc::clone(&self.local), id, theirs).unwrap()
    }

    fn take(&self) -> TakenBlocks {
        match self.uploads.next() {
            SplitTask::Run(taken) => taken,
            _ => panic!("there are no blocks"),
        }
    }

    /// Stores all blocks that nobody has taken.
    fn store(&self) {
        while let Some(taken) = TakenBlocks::take(&self.file()) {
            store(&taken);
        }
    }
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn store(taken: &TakenBlocks) {
    for block in taken.blocks.clone() {
        match taken.is_check {
            true => taken.compare(block, digest(block as u8)),
            false => assert!(taken.stored(block, digest(block as u8))),
        }
    }
}

#[test]
fn blocks_that_are_returned_are_sent_by_others_and_the_last_one_finishes() {
    let world = World::new();
    world.open(FIRST, &[]);
    let (first, second) = (world.take(), world.take());
    assert_eq!((&first.blocks, &second.blocks), (&(0..5), &(5..9)));
    store(&second);
    assert!(first.stored(0, digest(0)));
    drop(first);
    world.store();
    let SplitTask::Finish(finishing) = world.uploads.next() else { panic!("it is not complete") };
    assert!(matches!(world.uploads.next(), SplitTask::Wait) && finishing.id == FIRST);
    finishing.finish();
    assert!(matches!(world.uploads.next(), SplitTask::Done) && world.uploads.is_finished());
}

#[test]
fn a_directory_is_not_filled_before_its_divided_files_are_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (path, seen) = (folder.path().to_owned(), folder.path().metadata().unwrap());
    let filled = FilledQueue::default();
    let directory =
        UploadDirectory::planned(path.clone(), RemotePath::root(), &seen, None, None, Some(&filled));
    directory.set_there();
    let uploads = Arc::<SplitUploads>::default();
    let to = (RemotePath::root(), Some(directory));
    let changed = Arc::clone(&uploads.changed);
    uploads.add(SplitUpload::new((path, false), to, OldVersion::Missing, 2, changed));
    assert!(filled.is_empty());
    uploads.files()[0].finish();
    assert!(!filled.is_empty());
}

#[test]
fn connections_wait_while_another_one_may_find_files() {
    let world = World::new();
    let searching = world.uploads.search();
    world.file().finish();
    assert!(matches!(world.uploads.next(), SplitTask::Wait) && !world.uploads.is_finished());
    let changed = world.uploads.changed.subscribe();
    drop(searching);
    assert!(changed.has_changed().unwrap());
    assert!(matches!(world.uploads.next(), SplitTask::Done) && world.uploads.is_finished());
}

#[test]
fn a_block_that_the_server_has_counts_only_after_it_was_compared() {
    let world = World::new();
    world.open(FIRST, &[0, 99]);
    let check = world.take();
    assert!(check.is_check && check.blocks == (0..2));
    // The connection is lost, and with it the upload, before the second block is compared.
    check.compare(0, digest(0));
    assert!(world.file().restart(FIRST));
    drop(check);
    assert_eq!(world.open(SECOND, &[0, 99]), 0);
    world.store();
    let finishing = Finishing::begin(&world.file()).unwrap();
    let expected: Vec<Digest> = (0..21).map(digest).collect();
    assert_eq!(finishing.digest, sshome_wire::BlockHasher::after(expected).finish());
}

#[test]
fn what_arrives_for_an_upload_that_has_ended_does_not_count() {
    let world = World::new();
    world.open(FIRST, &[]);
    let late = world.take();
    assert!(late.stored(0, digest(0)) && late.is_wanted());
    assert!(world.file().restart(FIRST) && !late.is_wanted() && !late.stored(1, digest(1)));
    // What was stored is there, and more.
    assert_eq!(world.open(SECOND, &[0, 1]), 0);
    assert!(!late.is_wanted() && !late.stored(2, digest(2)) && late.file.restart(FIRST));
    drop(late);
    let check = world.take();
    assert!(check.is_check && check.blocks == (1..2));
    // Or less.
    assert!(world.file().restart(SECOND));
    assert_eq!(world.open(FIRST, &[]), BLOCK_BYTES);
}

#[test]
fn an_upload_that_ends_each_time_is_opened_a_few_times_only_unless_it_gets_further() {
    let world = World::new();
    for blocks in 1..3 {
        for start in 1..=MAX_STARTS {
            world.open(FIRST, &[]);
            assert_eq!(world.file().restart(FIRST), start < MAX_STARTS);
        }
        // As far as before, and further.
        let taken = world.take();
        for block in 0..blocks {
            assert!(!world.file().restart(FIRST));
            assert!(taken.stored(block, digest(0)));
        }
        assert!(world.file().restart(FIRST));
    }
}

#[test]
fn a_finish_whose_answer_is_lost_leaves_the_file_to_be_looked_for() {
    let world = World::new();
    world.open(FIRST, &[]);
    world.store();
    // Not sent yet.
    drop(Finishing::begin(&world.file()).unwrap());
    assert_eq!(world.file().may_be_stored(), None);
    let mut finishing = Finishing::begin(&world.file()).unwrap();
    let digest = finishing.digest;
    finishing.set_sent();
    drop(finishing);
    assert_eq!(world.file().may_be_stored(), Some(digest));
    world.open(SECOND, &(0..20).collect::<Vec<_>>());
    assert_eq!(world.file().may_be_stored(), None);
    // The last block is never in a partial upload.
    store(&world.take());
    // Refused.
    let mut finishing = Finishing::begin(&world.file()).unwrap();
    finishing.set_sent();
    finishing.finish();
    assert!(world.uploads.is_finished() && matches!(world.uploads.next(), SplitTask::Done));
}

#[test]
fn a_finish_of_an_upload_that_has_ended_is_repeated_a_few_times_only() {
    let world = World::new();
    world.open(FIRST, &[]);
    world.store();
    let everything: Vec<u8> = (0..20).collect();
    for start in 0..=MAX_STARTS {
        let mut finishing = Finishing::begin(&world.file()).unwrap();
        assert_eq!(finishing.restart(), start < MAX_STARTS, "{start}");
        drop(finishing);
        if start < MAX_STARTS {
            world.open(SECOND, &everything);
            // The last block, which is never in a partial upload, is sent again. That is no progress.
            store(&world.take());
        }
    }
}

#[test]
fn an_upload_is_opened_by_one() {
    let world = World::new();
    let opening = UploadOpening::begin(&world.file()).unwrap();
    assert!(UploadOpening::begin(&world.file()).is_none());
    drop(opening);
    // The file fails on another connection meanwhile.
    let opening = UploadOpening::begin(&world.file()).unwrap();
    assert_eq!(world.file().finish(), (None, true));
    assert_eq!(opening.finish(Arc::clone(&world.local), FIRST, Vec::new()), None);
    assert!(world.uploads.is_finished());
}

#[test]
fn an_opening_that_fails_is_left_to_others() {
    let world = World::new();
    let opening = UploadOpening::begin(&world.file()).unwrap();
    assert!(matches!(world.uploads.next(), SplitTask::Wait));
    drop(opening);
    UploadOpening::begin(&world.file()).unwrap().give_up();
    assert!(world.uploads.is_finished());
}
