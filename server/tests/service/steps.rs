//! Long operations: a step whose time is up does the smallest amount of work, so a kick, a cancel and a shutdown take
//! effect soon, even on a slow disk.

use super::world::*;
use sshome_store::MakeDirectory;
use sshome_wire::{BLOCK_BYTES, Time};
use sshomed::service::{
    self, Copy, CopyData, DigestAlgorithm, DigestRange, FileDigest, Hashing, Listing, OpenMode, PartCheck,
    PutUpload, RecursiveRemoval, Result, StepLimit, User,
};

const MIB: usize = 1 << 20;

/// The number of calls of a step whose time is always up.
fn steps<T>(mut step: impl FnMut(StepLimit) -> Result<Option<T>>) -> usize {
    (1..).find(|_| step(StepLimit::least()).unwrap().is_some()).unwrap()
}

fn world() -> (World, User) {
    let world = World::new("sftp-uploads = \"atomic\"");
    let user = world.user();
    (world, user)
}

#[test]
fn a_tree_is_removed_listed_and_copied_one_entry_at_a_time() {
    let (_world, user) = world();
    service::make_directory(&user, &path("d/e"), MakeDirectory { parents: true, ..MakeDirectory::default() })
        .unwrap();
    for name in ["d/1", "d/2", "d/e/3"] {
        put(&user, name, b"").unwrap();
    }
    let mut listing = Listing::begin(&user, &path("d"), false).unwrap();
    let mut batches = Vec::new();
    while let Some((_, entries)) = listing.next_batch(&user, StepLimit::least()).unwrap() {
        batches.push(entries.len());
    }
    assert_eq!(batches, [1, 1, 1, 0]);
    let mut copy = Copy::begin(&user, &path("d"), &path("c"), true).unwrap();
    // Each file ends in a separate step.
    assert!(steps(|limit| Ok(copy.step(&user, limit)?.then_some(()))) >= 5);
    let mut removal = RecursiveRemoval::begin(&user, &path("d")).unwrap();
    // Three files, the directory before and after them, and the top.
    assert_eq!(steps(|limit| Ok(removal.step(&user, limit)?.then_some(()))), 6);
}

#[test]
fn a_file_is_read_and_copied_one_chunk_at_a_time() {
    let (_world, user) = world();
    put(&user, "f", &vec![7; 8 * MIB]).unwrap();
    let mut hashing = Hashing::begin(&user, &path("f"), true).unwrap();
    assert!(steps(|limit| hashing.step(limit)) >= 8);
    let file = open(&user, "f", READ_ONLY);
    let mut digest = FileDigest::begin(&file, DigestAlgorithm::Sha256, DigestRange::default()).unwrap();
    assert!(steps(|limit| digest.step(&file, limit)) >= 8);
    let target = open(&user, "g", WRITE_OR_CREATE);
    let mut copy = CopyData::begin(&file, 0, 0, &target, 0).unwrap();
    assert!(steps(|limit| copy.step(&file, &target, limit)) >= 8);
    drop(target);
    service::discard(&user, None).unwrap();
    let mut copy = Copy::begin(&user, &path("f"), &path("h"), false).unwrap();
    assert!(steps(|limit| Ok(copy.step(&user, limit)?.then_some(()))) >= 8);
    // A staged file keeps part of its old content.
    let staged = open(&user, "f", OpenMode { truncate: false, ..TRUNCATE_OR_CREATE });
    staged.write_at(0, b"x").unwrap();
    assert!(steps(|limit| Ok(staged.prepare_close(limit)?.then_some(()))) >= 2);
    staged.finish(&user).unwrap();
}

#[test]
fn a_partial_upload_is_checked_one_chunk_at_a_time() {
    let (_world, user) = world();
    let source = Time { seconds: 1, nanoseconds: 0 };
    let size = 3 * BLOCK_BYTES;
    let put = sshome_wire::Put {
        path: Vec::new(),
        size: Some(size),
        mtime: None,
        source: Some(source),
        mode: None,
        resume: 0,
    };
    let mut upload = PutUpload::begin(&user, &put, &path("f"), None, None).unwrap();
    (0..2 * BLOCK_BYTES).step_by(MIB).for_each(|_| upload.write(&vec![0; MIB]).unwrap());
    drop(upload);
    let mut check = PartCheck::begin(&user, &path("f"), size, source).unwrap().unwrap();
    assert_eq!(steps(|limit| check.step(limit)), 2 * BLOCK_BYTES as usize / MIB);
}
