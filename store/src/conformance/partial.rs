//! Partial uploads, the credit that they get from files, and uploads that take over their space.

use super::NewHost;
use super::world::*;
use crate::quota::Comparison;
use crate::{CheckedPartial, MakeDirectory, PublishItem, Replace, StoreError, UploadSource, UploadSpec};
use sshome_wire::{BLOCK_BYTES, Time};
use std::time::Duration;

const QUOTA_BYTES: u64 = 24 * MIB;

pub fn a_loop_of_cut_uploads_fills_no_more_than_the_quota(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let mut staged = 0;
    for number in 0..10 {
        let name = format!("f{number}");
        if user.put(&name, &zeros(20)).is_err() {
            break;
        }
        user.cut(&name, 20, 12);
        user.remove(&name).unwrap();
        staged += 12 * MIB;
        let usage = user.usage();
        assert_eq!((usage.used.bytes, usage.staged.bytes), (0, staged));
        assert!(usage.charged().bytes <= QUOTA_BYTES);
        user.put(&format!("empty{number}"), b"").unwrap();
    }
    assert_eq!(staged, 12 * MIB, "the second does not fit");
    assert!(matches!(world.count(), Comparison::Compared { staged, .. } if staged.partial == 12 * MIB));
    world.assert_counted();
}

pub fn a_newer_upload_takes_the_space_of_an_older_partial_upload(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.cut("f", 20, 16);
    user.cut("other", 8, 4);
    assert_eq!(user.partial_paths(), ["/f", "/other"]);
    user.put("f", &zeros(12)).unwrap();
    assert_eq!(user.partial_paths(), ["/other"]);
    // An upload to a different target takes no space from it, and the error names the remedy.
    let refused = user.put("g", &zeros(9)).unwrap_err().to_string();
    assert!(
        refused.ends_with("; partial uploads hold 4.0 MiB: df -v lists them, rm --partial NAME removes one"),
        "{refused}"
    );
    // A published file deletes partial uploads to its target, even if there is space for them.
    user.put("other", b"").unwrap();
    assert!(user.partial_paths().is_empty());
    world.assert_accounting(0);
}

pub fn all_spellings_of_a_target_find_its_partial_upload(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.make_directory("d/e");
    user.make_symlink("s", "d");
    user.make_symlink("l", "d/e/../f");
    for name in ["d/f", "s/f", "l"] {
        user.cut(name, 8, 5);
        assert_eq!(user.partial_paths(), ["/d/f"], "{name}");
        for other in ["d/f", "s/f", "l", "d/e/../f", "s/e/../f", "./d//f"] {
            let leased = user.lease(other, 8);
            assert!(leased.is_some(), "{name} by {other}");
            // While it is leased, no spelling leads to it.
            assert!(world.user().lease(name, 8).is_none() && user.partial_paths().is_empty());
        }
        assert!(user.lease("d/f", 9).is_none() && user.lease("f", 8).is_none());
        let info = user.home.partial_uploads().pop().unwrap();
        let source = UploadSource::File { size: 8 * MIB, mtime: SOURCE_MTIME };
        assert_eq!((info.length, info.source), (BLOCK_BYTES, Some(source)));
        assert_eq!(user.home.discard_partial_uploads(Some(&path("d/g"))), 0);
        assert_eq!(user.home.discard_partial_uploads(Some(&path("s/f"))), 1);
    }
    world.assert_accounting(0);
}

pub fn a_partial_upload_follows_its_renamed_directory(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.make_directory("d");
    user.cut("d/f", 8, 5);
    user.home.rename(&path("d"), &path("e"), Replace::Never).unwrap();
    let target = user.home.entry_id(&path("e/f"), true).unwrap();
    assert_eq!(checked(user.lease("e/f", 8).unwrap()).target, Some(target));
    // It is listed under the path where it began, and can be removed by that path.
    assert_eq!(user.partial_paths(), ["/d/f"]);
    user.home.remove_directory(&path("e")).unwrap();
    assert_eq!(user.home.discard_partial_uploads(Some(&path("d/f"))), 1);
    world.assert_accounting(0);
}

/// A complete upload of 9 MiB that is not published yet.
fn complete(user: &Channel, partial: Option<CheckedPartial>) -> PublishItem {
    let blocks = partial.as_ref().map_or(0, |partial| partial.digests.len() as u64);
    let spec = file_of(9, u32::try_from(blocks).unwrap());
    let mut upload = user.home.begin_upload(&path("f"), &spec, partial, &user.takeover()).unwrap();
    assert_eq!(upload.written(), blocks * BLOCK_BYTES);
    upload.write(&zeros(9 - blocks * 4)).unwrap();
    upload.finish(9 * MIB, Some(digest_of(&zeros(9)))).unwrap()
}

pub fn a_complete_upload_that_was_not_published_is_resumed(host: NewHost<'_>) {
    let mut world = World::with_quota(host, QUOTA_BYTES);
    for restarts in [false, true] {
        let user = world.user();
        // The connection is lost.
        drop(complete(&user, None));
        drop(user);
        if restarts {
            world.restart();
        }
        let user = world.user();
        let partial = user.home.partial_uploads();
        assert_eq!(partial.iter().map(|partial| partial.length).collect::<Vec<_>>(), [2 * BLOCK_BYTES]);
        let partial = checked(user.lease("f", 9).unwrap());
        let item = complete(&user, Some(partial));
        user.publish(item).unwrap();
        assert!(user.partial_paths().is_empty());
        assert_eq!(user.content("f"), zeros(9));
        user.remove("f").unwrap();
        drop(user);
        world.assert_accounting(0);
    }
}

pub fn a_partial_upload_survives_a_restart(host: NewHost<'_>) {
    let mut world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.put("f", &zeros(20)).unwrap();
    user.cut("f", 20, 16);
    let before = user.usage();
    assert_eq!((before.charged().bytes, before.credited), (20 * MIB, 16 * MIB));
    // An upload that cannot be resumed leaves nothing.
    let mut small = user.begin("small", &spec_of(Some(100))).unwrap();
    small.write(&[1; 50]).unwrap();
    drop(small);
    drop(user);
    world.restart();
    let user = world.user();
    let after = user.usage();
    assert_eq!((after.charged(), after.credited), (before.charged(), before.credited), "it borrows again");
    assert_eq!(user.partial_paths(), ["/f"]);
    user.remove("f").unwrap();
    assert_eq!(world.charged(), 16 * MIB);
}

pub fn renaming_a_file_ends_its_credit(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let rename = |from: &str, to: &str| user.home.rename(&path(from), &path(to), Replace::Never);
    user.put("f", &zeros(20)).unwrap();
    // An active upload does not fit beside it, so the rename is refused.
    let mut upload = user.begin("f", &file_of(20, 0)).unwrap();
    upload.write(&zeros(8)).unwrap();
    assert!(matches!(rename("f", "g"), Err(StoreError::BeingReplaced { .. })));
    if world.store().capabilities().hard_links {
        assert!(is_over_quota(user.home.hard_link(&path("f"), &path("g"), false)));
    }
    // A partial upload is discarded.
    drop(upload);
    assert_eq!(user.partial_paths(), ["/f"]);
    rename("f", "g").unwrap();
    assert!(user.partial_paths().is_empty());
    world.assert_accounting(0);
    // If there is space for both, nothing is lost. Renaming the directory changes nothing.
    user.make_directory("d");
    rename("g", "d/g").unwrap();
    user.cut("d/g", 20, 4);
    rename("d", "e").unwrap();
    assert_eq!(user.usage().credited, 4 * MIB);
    rename("e/g", "h").unwrap();
    let usage = user.usage();
    assert_eq!((user.partial_paths().len(), usage.charged().bytes, usage.credited), (1, 24 * MIB, 0));
}

pub fn an_upload_of_unknown_size_takes_the_space_of_an_older_partial_upload(host: NewHost<'_>) {
    for lends in [false, true] {
        let world = World::with_quota(host, QUOTA_BYTES);
        let user = world.user();
        let prepare = || {
            user.home.discard_partial_uploads(None);
            // From the previous round, if there was one.
            let _ = user.remove("f");
            user.cut("other", 8, 4);
            if lends {
                user.put("f", &zeros(20)).unwrap();
            }
            user.cut("f", 20, 16);
            assert_eq!(user.partial_paths(), ["/f", "/other"], "lends: {lends}");
        };
        prepare();
        let mut upload = user.begin("f", &spec_of(None)).unwrap();
        for _ in 0..20 {
            upload.write(&zeros(1)).unwrap();
            assert!(world.charged() <= QUOTA_BYTES);
        }
        // An upload to a different target takes no space from it, and the error names the remedy.
        let refused = upload.write(&zeros(1)).unwrap_err().to_string();
        assert!(refused.ends_with("df -v lists them, rm --partial NAME removes one"), "{refused}");
        drop(upload);
        assert_eq!(user.partial_paths(), ["/other"], "lends: {lends}");

        prepare();
        let mut upload = user.begin("f", &spec_of(None)).unwrap();
        (0..20).for_each(|_| upload.write(&zeros(1)).unwrap());
        let item = upload.finish(20 * MIB, None).unwrap();
        user.publish(item).unwrap();
        assert_eq!(world.charged(), 24 * MIB, "lends: {lends}");
        user.home.discard_partial_uploads(None);
        world.assert_accounting(0);

        prepare();
        let file = user.open_staged("f", TRUNCATE_OR_CREATE);
        (0..20).for_each(|at| file.write_at(Some(at * MIB), &[&zeros(1)]).unwrap());
        user.close(file).unwrap();
        user.home.discard_partial_uploads(None);
        world.assert_accounting(0);
    }
}

pub fn a_different_source_deletes_the_partial_upload(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.cut("f", 9, 8);
    let partial = checked(user.lease("f", 9).unwrap());
    // There is space for both.
    let upload =
        user.home.begin_upload(&path("f"), &file_of(10, 0), Some(partial), &user.takeover()).unwrap();
    assert_eq!((upload.written(), user.usage().staged.bytes), (0, 10 * MIB));
    drop(upload);
    assert!(user.partial_paths().is_empty());
    // Dropping a lease returns the partial upload.
    user.cut("f", 9, 8);
    drop(checked(user.lease("f", 9).unwrap()));
    drop(user.lease("f", 9).unwrap());
    assert_eq!(user.partial_paths(), ["/f"]);
    // An upload without a source, without a whole block or with `discard_on_drop` leaves nothing.
    let mut upload = user.begin("g", &spec_of(Some(9 * MIB))).unwrap();
    upload.write(&zeros(5)).unwrap();
    drop(upload);
    user.cut("g", 9, 3);
    let mut upload = user.begin("g", &file_of(9, 0)).unwrap();
    upload.write(&zeros(5)).unwrap();
    upload.discard_on_drop();
    drop(upload);
    assert_eq!(user.partial_paths(), ["/f"]);
}

pub fn only_blocks_that_exist_are_resumed(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    let resume = |blocks, partial| {
        let spec = UploadSpec { resume: blocks, ..file_of(13, blocks) };
        user.home.begin_upload(&path("f"), &spec, partial, &user.takeover())
    };
    assert!(matches!(resume(1, None), Err(StoreError::NoPart(_))));
    user.cut("f", 13, 12);
    let partial = checked(user.lease("f", 13).unwrap());
    assert_eq!(partial.digests.len(), 3);
    assert!(matches!(resume(4, Some(partial)), Err(StoreError::NoPart(_))));
    assert_eq!(user.partial_paths(), ["/f"], "it is not lost");
    let partial = checked(user.lease("f", 13).unwrap());
    let mut upload = resume(1, Some(partial)).unwrap();
    assert_eq!((upload.written(), user.usage().staged.bytes), (BLOCK_BYTES, 13 * MIB));
    let mut content = zeros(4);
    content.extend(vec![7; 9 * MIB as usize]);
    upload.write(&content[4 * MIB as usize..]).unwrap();
    let item = upload.finish(13 * MIB, Some(digest_of(&content))).unwrap();
    user.publish(item).unwrap();
    assert!(user.content("f") == content);
    world.assert_accounting(0);
    // The last block is sent in any case.
    user.cut("g", 8, 8);
    assert_eq!(user.home.partial_uploads()[0].length, 2 * BLOCK_BYTES);
    assert_eq!(checked(user.lease("g", 8).unwrap()).digests.len(), 1);
}

pub fn no_more_is_resumed_than_was_announced(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.cut("f", 13, 12);
    let resume = |size| {
        let partial = checked(user.lease("f", 13).unwrap());
        let spec = UploadSpec { size: Some(size), ..file_of(13, 3) };
        user.home.begin_upload(&path("f"), &spec, Some(partial), &user.takeover())
    };
    assert!(matches!(resume(12 * MIB - 1), Err(StoreError::NoPart(_))));
    assert_eq!(user.partial_paths(), ["/f"], "it is not lost");
    let upload = resume(12 * MIB).unwrap();
    user.publish(upload.finish(12 * MIB, None).unwrap()).unwrap();
    assert!(user.content("f") == zeros(12));
    world.assert_accounting(0);
}

pub fn a_leased_partial_upload_does_not_expire(host: NewHost<'_>) {
    let world = World::with_quota(host, QUOTA_BYTES);
    let user = world.user();
    user.cut("f", 9, 8);
    let (hour, now) = (Duration::from_secs(3600), user.home.partial_uploads()[0].since);
    assert!(now > Time { seconds: 0, nanoseconds: 0 });
    assert_eq!(world.store().expire_partial_uploads(hour, Duration::ZERO), 0);
    assert_eq!(user.partial_paths(), ["/f"]);
    // A leased partial upload is not deleted.
    let leased = user.lease("f", 9);
    assert_eq!(world.store().expire_partial_uploads(Duration::ZERO, Duration::ZERO), 0);
    drop(leased);
    let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
    user.home.make_directory(&path("d"), how).unwrap();
    world.assert_counted();
}
