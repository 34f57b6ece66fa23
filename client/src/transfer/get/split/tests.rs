use super::file::{Opening, SplitFile, SplitPart};
use super::run::{BlockVerdict, TakenRun};
use crate::transfer::block_pool::MAX_STARTS;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, FileVersion, RangeHeader, Time};
use std::fs::{self, File};
use std::sync::Arc;
use tokio::sync::watch;

const SIZE: u64 = 20 * BLOCK_BYTES + 5;

/// A file that is open, with a partial file whose blocks have these digests.
fn open_file(claims: &[u8]) -> (Arc<SplitFile>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let handle = File::create_new(folder.path().join("part")).unwrap();
    let file = Arc::new(SplitFile::new(0, b"/f".to_vec(), Arc::new(watch::Sender::new(()))));
    let part = SplitPart { name: b"part".to_vec(), handle };
    let claims = claims.iter().map(|byte| digest(*byte)).collect();
    Opening::begin(&file).unwrap().finish(header(SIZE), Some((part, claims))).unwrap();
    (file, folder)
}

fn header(size: u64) -> RangeHeader {
    let version = FileVersion { size, mtime: Time::default(), id: [1; 16] };
    RangeHeader { version, mode: 0o644, stored: None }
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// Verifies all blocks of a run.
fn verify(run: &TakenRun) {
    let ours = |block| (!run.is_check).then_some(digest(block as u8));
    for block in run.blocks.clone() {
        assert!(!matches!(run.verify(block, digest(block as u8), ours(block)), BlockVerdict::Wrong));
    }
}

#[test]
fn a_run_that_is_dropped_returns_the_blocks_that_do_not_count() {
    let (file, _folder) = open_file(&[]);
    let run = TakenRun::take(&file, 2).unwrap();
    for block in [0, 1, 3] {
        let verdict = run.verify(block, digest(0), Some(digest(0)));
        assert!(matches!(verdict, BlockVerdict::Right));
    }
    drop(run);
    let (first, second) = (TakenRun::take(&file, 2).unwrap(), TakenRun::take(&file, 2).unwrap());
    assert_eq!((&first.blocks, &second.blocks), (&(2..3), &(4..8)));
}

#[test]
fn a_file_is_complete_when_each_block_counts() {
    let (file, _folder) = open_file(&[0, 99, 2]);
    let check = TakenRun::take(&file, 2).unwrap();
    assert!(check.is_check && check.blocks == (0..3) && check.data_bytes() == 0);
    assert!(matches!(check.verify(0, digest(0), None), BlockVerdict::Right));
    assert!(matches!(check.verify(1, digest(1), None), BlockVerdict::Differs { counted: 0 }));
    assert_eq!(check.take_resumed(), None);
    assert!(matches!(check.verify(2, digest(2), None), BlockVerdict::Right));
    assert_eq!((check.take_resumed(), check.take_resumed()), (Some(2 * BLOCK_BYTES), None));
    drop(check);
    let mut order = Vec::new();
    while let Some(run) = TakenRun::take(&file, 2) {
        assert!(!run.is_check && !file.is_finished());
        order.extend(run.blocks.clone());
        let last = run.blocks.clone().last().unwrap();
        for block in run.blocks.clone() {
            let verdict = run.verify(block, digest(block as u8), Some(digest(block as u8)));
            match verdict {
                BlockVerdict::Complete(complete) => {
                    assert!(block == 20 && block == last);
                    let digests = (0..21).map(digest).collect();
                    assert_eq!(complete.digest, BlockHasher::after(digests).finish());
                    assert_eq!((complete.size, complete.resumed), (SIZE, 2 * BLOCK_BYTES));
                }
                verdict => assert!(matches!(verdict, BlockVerdict::Right) && block != 20),
            }
        }
    }
    assert_eq!(order, [1].into_iter().chain(3..21).collect::<Vec<_>>());
    assert!(file.is_finished());
}

#[test]
fn data_of_an_older_version_is_neither_written_nor_counted() {
    let (file, folder) = open_file(&[]);
    let (early, late) = (TakenRun::take(&file, 2).unwrap(), TakenRun::take(&file, 2).unwrap());
    let part = file.part().unwrap();
    early.write(&part, 0, b"early").unwrap();
    verify(&early);
    assert!(late.restart() && !file.is_finished() && TakenRun::take(&file, 2).is_none());
    Opening::begin(&file).unwrap().finish(header(3 * BLOCK_BYTES), None).unwrap();
    late.write(&part, 0, b"late!").unwrap();
    assert_eq!(fs::read(folder.path().join("part")).unwrap(), b"early");
    let block = late.blocks.start;
    assert!(matches!(late.verify(block, digest(0), Some(digest(0))), BlockVerdict::Stale));
    // Only the first one to notice the change opens the file again.
    assert!(late.restart() && early.restart());
    drop((early, late));
    let check = TakenRun::take(&file, 2).unwrap();
    assert!(check.is_check && check.blocks == (0..3), "{check:?}");
    // It was counted as transferred, and has to be transferred again.
    assert!(matches!(check.verify(0, digest(77), None), BlockVerdict::Differs { counted: BLOCK_BYTES }));
    assert!(matches!(check.verify(1, digest(1), None), BlockVerdict::Right));
    drop(check);
    let next: Vec<_> = std::iter::from_fn(|| TakenRun::take(&file, 1)).collect();
    let next: Vec<_> = next.iter().map(|run| (run.is_check, run.blocks.clone())).collect();
    assert_eq!(next, [(true, 2..3), (false, 0..1)]);
}

#[test]
fn a_file_that_changes_each_time_is_opened_a_few_times_only() {
    let (file, _folder) = open_file(&[]);
    let mut starts = 1;
    while TakenRun::take(&file, 1).unwrap().restart() {
        Opening::begin(&file).unwrap().finish(header(SIZE), None).unwrap();
        starts += 1;
    }
    assert_eq!(starts, MAX_STARTS);
}

#[test]
fn an_opening_that_fails_is_left_to_others() {
    let file = Arc::new(SplitFile::new(0, b"/f".to_vec(), Arc::new(watch::Sender::new(()))));
    let opening = Opening::begin(&file).unwrap();
    assert!(Opening::begin(&file).is_none() && TakenRun::take(&file, 1).is_none());
    drop(opening);
    Opening::begin(&file).unwrap().give_up();
    assert!(Opening::begin(&file).is_none() && file.is_finished());
}

#[test]
fn a_file_that_fails_while_it_is_opened_stays_so() {
    let file = Arc::new(SplitFile::new(0, b"/f".to_vec(), Arc::new(watch::Sender::new(()))));
    let opening = Opening::begin(&file).unwrap();
    assert!(file.finish());
    opening.finish(header(SIZE), None).unwrap();
    assert!(file.is_finished() && TakenRun::take(&file, 1).is_none());
}
