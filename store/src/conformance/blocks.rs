//! Uploads whose blocks arrive in any order, over several channels.

use super::NewHost;
use super::world::*;
use crate::{BlockUpload, CheckedPartial, StoreResult, UploadSource, UploadSpec};
use sshome_wire::{BLOCK_BYTES, BlockHasher};
use std::sync::Arc;

const QUOTA_BYTES: u64 = 24 * MIB;

/// The length of a file of four blocks, of which the last one is short.
const FILE_MIB: u64 = 13;

/// A content without two equal blocks.
fn content() -> Vec<u8> {
    let block = |number: u64| vec![number as u8 + 1; usize::try_from(BLOCK_BYTES).unwrap()];
    let mut content = (0..4).map(block).collect::<Vec<_>>().concat();
    content.truncate(usize::try_from(FILE_MIB * MIB).unwrap());
    content
}

fn begin(user: &Channel, partial: Option<CheckedPartial>) -> StoreResult<Arc<BlockUpload>> {
    let kept = partial.as_ref().map(|partial| partial.digests.clone()).unwrap_or_default();
    let sink = user.home.begin_block_upload(&path("f"), &file_of(FILE_MIB, 0), partial)?;
    Ok(BlockUpload::new(sink, &path("f"), FILE_MIB * MIB, kept))
}

fn write(upload: &Arc<BlockUpload>, blocks: impl IntoIterator<Item = u64>) {
    for block in blocks {
        let mut writer = upload.begin_block(block).unwrap();
        let at = usize::try_from(block * BLOCK_BYTES).unwrap();
        for piece in content()[at..at + usize::try_from(writer.left()).unwrap()].chunks(1 << 20) {
            writer.write(piece).unwrap();
        }
    }
}

/// The numbers of the blocks of the partial upload that are right.
fn kept(user: &Channel) -> Vec<usize> {
    let mut hasher = BlockHasher::new();
    hasher.update(&content());
    let digests = checked(user.lease("f", FILE_MIB).unwrap()).digests;
    let is_right = |(_, (ours, theirs)): &(usize, (_, _))| ours == theirs;
    let right = digests.iter().zip(hasher.blocks()).enumerate().filter(is_right);
    right.map(|(block, _)| block).collect()
}

pub fn blocks_of_several_channels_make_up_a_file(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.put("f", &zeros(2)).unwrap();
    let upload = begin(&user, None).unwrap();
    // The whole size is reserved, of which the old file lends a part.
    let usage = user.usage();
    assert_eq!((usage.staged.bytes, usage.charged().bytes), (FILE_MIB * MIB, FILE_MIB * MIB));
    std::thread::scope(|scope| {
        for blocks in [vec![3, 0], vec![1, 2]] {
            let upload = &upload;
            scope.spawn(move || write(upload, blocks));
        }
    });
    // It does not end with the channel that has begun it.
    user.ctx.cancel();
    drop(user);
    let user = world.user();
    let item = upload.finish(digest_of(&content())).unwrap();
    assert_eq!((item.size, item.digest), (FILE_MIB * MIB, Some(digest_of(&content()))));
    user.publish(item).unwrap();
    drop(upload);
    assert!(user.content("f") == content() && user.partial_paths().is_empty());
    world.assert_accounting(0);
}

pub fn a_partial_upload_with_gaps_is_resumed_in_blocks_and_in_order(host: NewHost<'_>) {
    let mut world = World::with_quota(host, QUOTA_BYTES);
    for (restarts, in_order) in [(false, false), (true, false), (false, true), (true, true)] {
        let user = world.user();
        let upload = begin(&user, None).unwrap();
        write(&upload, [2, 0]);
        let mut unfinished = upload.begin_block(1).unwrap();
        unfinished.write(&[9; 1000]).unwrap();
        drop((unfinished, upload));
        // Everything up to the last whole block counts, with the gap.
        assert_eq!(user.home.partial_uploads()[0].length, 3 * BLOCK_BYTES);
        assert_eq!(user.usage().charged().bytes, 3 * BLOCK_BYTES);
        drop(user);
        if restarts {
            world.restart();
        }
        let user = world.user();
        assert_eq!((world.charged(), kept(&user)), (3 * BLOCK_BYTES, vec![0, 2]));
        let partial = checked(user.lease("f", FILE_MIB).unwrap());
        let item = if in_order {
            let spec = UploadSpec { resume: 1, ..file_of(FILE_MIB, 1) };
            let mut upload =
                user.home.begin_upload(&path("f"), &spec, Some(partial), &user.takeover()).unwrap();
            upload.write(&content()[usize::try_from(BLOCK_BYTES).unwrap()..]).unwrap();
            upload.finish(FILE_MIB * MIB, Some(digest_of(&content()))).unwrap()
        } else {
            let upload = begin(&user, Some(partial)).unwrap();
            assert_eq!(user.usage().charged().bytes, FILE_MIB * MIB);
            write(&upload, [1, 3]);
            upload.finish(digest_of(&content())).unwrap()
        };
        user.publish(item).unwrap();
        assert!(user.content("f") == content(), "{restarts} {in_order}");
        user.remove("f").unwrap();
        drop(user);
        world.assert_accounting(0);
    }
}

pub fn an_upload_in_order_is_resumed_in_blocks(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let mut upload = user.begin("f", &file_of(FILE_MIB, 0)).unwrap();
    upload.write(&content()[..usize::try_from(9 * MIB).unwrap()]).unwrap();
    drop(upload);
    let upload = begin(&user, Some(checked(user.lease("f", FILE_MIB).unwrap()))).unwrap();
    // One that is begun and does not change anything keeps what was there.
    drop(upload);
    assert_eq!((kept(&user), world.charged()), (vec![0, 1], 2 * BLOCK_BYTES));
    let upload = begin(&user, Some(checked(user.lease("f", FILE_MIB).unwrap()))).unwrap();
    write(&upload, [3, 2]);
    let item = upload.finish(digest_of(&content())).unwrap();
    user.publish(item).unwrap();
    assert!(user.content("f") == content());
    world.assert_accounting(0);
}

pub fn without_a_whole_block_or_with_a_wrong_digest_nothing_is_kept(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let upload = begin(&user, None).unwrap();
    // The last block is not a whole one.
    write(&upload, [3]);
    let mut writer = upload.begin_block(0).unwrap();
    writer.write(&[1; 1000]).unwrap();
    drop((writer, upload));
    assert!(user.partial_paths().is_empty());
    world.assert_accounting(0);
    let upload = begin(&user, None).unwrap();
    write(&upload, 0..4);
    assert!(upload.finish(digest_of(b"other")).is_err());
    drop(upload);
    assert!(user.partial_paths().is_empty() && !user.exists("f"));
    world.assert_accounting(0);
    let upload = begin(&user, None).unwrap();
    write(&upload, 0..3);
    upload.discard();
    assert!(user.partial_paths().is_empty());
    world.assert_accounting(0);
}

pub fn a_block_upload_that_does_not_fit_is_refused(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.put("other", &zeros(12)).unwrap();
    assert!(is_over_quota(begin(&user, None)));
    user.remove("other").unwrap();
    // Two uploads to one target reserve their space separately.
    user.put("other", &zeros(6)).unwrap();
    let upload = begin(&user, None).unwrap();
    assert!(is_over_quota(begin(&user, None)));
    write(&upload, [0]);
    drop(upload);
    assert_eq!(world.charged(), 6 * MIB + BLOCK_BYTES);
    let source = user.home.partial_uploads()[0].source;
    assert_eq!(source, Some(UploadSource::File { size: FILE_MIB * MIB, mtime: SOURCE_MTIME }));
    assert_eq!(user.home.discard_partial_uploads(None), 1);
    world.assert_accounting(0);
}
