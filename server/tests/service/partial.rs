//! Partial uploads, the credit of files that they replace, and uploads that take over their space.

use super::staged::{MIB, QUOTA_BYTES, SLICE, put_of};
use super::world::*;
use sshome_store::quota::Comparison;
use sshome_store::{CheckedPartial, MakeDirectory, StoreError};
use sshome_store_posix::STAGING_DIRECTORY;
use sshome_wire::{Put, StreamId, Time};
use sshomed::service::{self, Error, PartCheck, PutUpload, StepLimit, User, VerifiedUpload};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// Begins a put of this many MiB, sends part of it, and loses the connection.
fn cut(user: &User, name: &str, mib: u64, sent: u64) {
    let mut upload = PutUpload::begin(user, &put_of(mib, false, 0), &path(name), None, None).unwrap();
    (0..sent).for_each(|_| upload.write(&vec![0; SLICE]).unwrap());
}

fn zeros(mib: u64) -> Vec<u8> {
    vec![0; (mib * MIB) as usize]
}

#[test]
fn a_loop_of_cut_puts_over_removed_files_fills_no_more_than_the_quota() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    let mut staged = 0;
    for i in 0..10 {
        let name = format!("f{i}");
        if put(&user, &name, &zeros(20)).is_err() {
            break;
        }
        cut(&user, &name, 20, 12);
        service::remove(&user, &path(&name)).unwrap();
        staged += 12 * MIB;
        let usage = service::usage(&user).unwrap();
        assert_eq!((usage.usage.used, usage.usage.reserved), (0, staged));
        assert!(usage.charged() <= QUOTA_BYTES);
        put(&user, &format!("empty{i}"), b"").unwrap();
    }
    assert_eq!(staged, 12 * MIB, "the second does not fit");
    assert!(matches!(world.count(), Comparison::Compared { staged, .. } if staged.found == 12 * MIB));
}

#[test]
fn a_newer_put_takes_the_space_of_an_older_partial_upload() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    cut(&user, "f", 20, 16);
    cut(&user, "other", 8, 4);
    assert_eq!(service::parts(&user).len(), 2);
    put(&user, "f", &zeros(12)).unwrap();
    assert_eq!(service::parts(&user).len(), 1);
    // An upload to a different target takes no space from it, and the message says what to do.
    let refused = put(&user, "g", &zeros(9)).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.ends_with("; partial uploads hold 4.0 MiB: df -v lists them, rm --partial NAME removes one"),
        "{text}"
    );
}

#[test]
fn all_spellings_of_a_target_find_its_partial_upload() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    service::make_directory(&user, &path("d/e"), MakeDirectory { parents: true, ..MakeDirectory::default() })
        .unwrap();
    service::make_symlink(&user, &path("s"), b"d").unwrap();
    service::make_symlink(&user, &path("l"), b"d/e/../f").unwrap();
    let source = Time { seconds: 1, nanoseconds: 0 };
    for name in ["d/f", "s/f", "l"] {
        cut(&user, name, 8, 5);
        let parts = service::parts(&user);
        assert_eq!(parts.iter().map(|part| &part.path[..]).collect::<Vec<_>>(), [b"/d/f"], "{name}");
        for other in ["d/f", "s/f", "l", "d/e/../f", "s/e/../f", "./d//f"] {
            let found = PartCheck::begin(&user, &path(other), 8 * MIB, source).unwrap();
            assert!(found.is_some(), "{name} by {other}");
            // While it is leased, nobody else gets it, whatever the spelling.
            assert!(PartCheck::begin(&user, &path(name), 8 * MIB, source).unwrap().is_none());
        }
        assert_eq!(service::discard(&user, Some(&path("s/f"))).unwrap(), 1);
    }
}

#[test]
fn a_partial_upload_is_found_again_after_its_directory_was_renamed() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    service::make_directory(&user, &path("d"), MakeDirectory::default()).unwrap();
    cut(&user, "d/f", 8, 5);
    service::rename_exact(&user, &path("d"), &path("e"), false).unwrap();
    let source = Time { seconds: 1, nanoseconds: 0 };
    assert!(PartCheck::begin(&user, &path("e/f"), 8 * MIB, source).unwrap().is_some());
    // It is listed by the path at which it began, and can be removed by that path.
    assert_eq!(service::parts(&user)[0].path, b"/d/f");
    assert_eq!(service::discard(&user, Some(&path("d/f"))).unwrap(), 1);
}

/// A complete upload of 9 MiB with this mode, which is not published yet.
fn complete(user: &User, name: &str, mode: u32, part: Option<CheckedPartial>) -> VerifiedUpload {
    let resumed = part.as_ref().map_or(0, |part| part.digests.len() as u64);
    let put = Put { mode: Some(mode), ..put_of(9, false, resumed as u32) };
    let mut upload = PutUpload::begin(user, &put, &path(name), part, None).unwrap();
    upload.write(&zeros(9 - resumed * 4)).unwrap();
    upload.finish_at_eof(None).unwrap()
}

#[test]
fn a_complete_upload_that_was_not_published_is_resumed_whatever_its_mode() {
    let mut world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let source = Time { seconds: 1, nanoseconds: 0 };
    for (mode, restarts) in [(0o644, false), (0o400, false), (0, false), (0o400, true)] {
        let user = world.user();
        // The connection is lost.
        drop(complete(&user, "f", mode, None));
        if restarts {
            // A server that is killed before it publishes it leaves the mode as well.
            drop(user);
            for entry in std::fs::read_dir(world.home().join(STAGING_DIRECTORY)).unwrap() {
                std::fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o400)).unwrap();
            }
            world = world.restarted();
        }
        let user = world.user();
        let parts = service::parts(&user);
        assert_eq!(parts.iter().map(|part| part.length / (4 * MIB)).collect::<Vec<_>>(), [2], "{mode:o}");
        let mut check = PartCheck::begin(&user, &path("f"), 9 * MIB, source).unwrap().unwrap();
        let part =
            std::iter::repeat_with(|| check.step(StepLimit::bytes(u64::MAX)).unwrap()).find_map(|part| part);
        let resumed = complete(&user, "f", mode, part);
        let (published, _) = service::publish(&user, vec![resumed], Vec::new());
        published.into_iter().for_each(|result| result.unwrap());
        assert_eq!(service::parts(&user).len(), 0);
        let found = std::fs::metadata(world.home().join("f")).unwrap();
        assert_eq!((found.len(), found.permissions().mode() & 0o777), (9 * MIB, mode), "{mode:o}");
        service::remove(&user, &path("f")).unwrap();
        drop(user);
        world.assert_accounting(0);
    }
}

#[test]
fn renaming_a_file_ends_its_credit() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    put(&user, "f", &zeros(20)).unwrap();
    // A running upload does not fit beside it, so the rename is refused.
    let mut upload = PutUpload::begin(&user, &put_of(20, false, 0), &path("f"), None, None).unwrap();
    upload.write(&zeros(8)).unwrap();
    let refused = service::rename_exact(&user, &path("f"), &path("g"), false).unwrap_err();
    assert!(matches!(refused, Error::Store(StoreError::BeingReplaced { .. })), "{refused}");
    assert!(is_over_quota(service::hard_link(&user, &path("f"), &path("g"))));
    // A partial upload is discarded.
    drop(upload);
    assert_eq!(service::parts(&user).len(), 1);
    service::rename_exact(&user, &path("f"), &path("g"), false).unwrap();
    assert_eq!(service::parts(&user).len(), 0);
    world.assert_accounting(0);
    // If both fit, nothing is lost.
    cut(&user, "g", 20, 4);
    service::rename_exact(&user, &path("g"), &path("h"), false).unwrap();
    let usage = service::usage(&user).unwrap();
    assert_eq!((service::parts(&user).len(), usage.charged(), usage.credited), (1, 24 * MIB, 0));
}

#[test]
fn a_record_that_cannot_be_read_is_kept_and_listed() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    cut(&user, "f", 8, 5);
    drop(user);
    let staging = world.home().join(sshome_store_posix::STAGING_DIRECTORY);
    let record = std::fs::read_dir(&staging).unwrap().map(|file| file.unwrap().path());
    let record = record.into_iter().find(|file| file.extension().is_some()).unwrap();
    std::fs::write(&record, b"sshome\0\x09something of a later version").unwrap();
    let world = world.restarted();
    let user = world.user();
    let parts = service::parts(&user);
    let listed = format!(
        "/{}/{}",
        sshome_store_posix::STAGING_DIRECTORY,
        record.file_stem().unwrap().to_str().unwrap()
    );
    assert_eq!((parts.len(), &parts[0].path[..], parts[0].length), (1, listed.as_bytes(), 4 * MIB));
    assert_eq!(service::usage(&user).unwrap().charged(), 4 * MIB);
    assert_eq!(service::discard(&user, Some(&path(&listed))).unwrap(), 1);
    world.assert_accounting(0);
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
}

#[test]
fn a_partial_upload_whose_record_is_torn_is_deleted_at_the_start() {
    let mut world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let staging = world.home().join(STAGING_DIRECTORY);
    for kept in [0, 7, 8, 30] {
        let user = world.user();
        cut(&user, "f", 8, 5);
        drop(user);
        let record = std::fs::read_dir(&staging).unwrap().map(|file| file.unwrap().path());
        let record = record.into_iter().find(|file| file.extension().is_some()).unwrap();
        let file = std::fs::File::options().write(true).open(&record).unwrap();
        file.set_len(kept).unwrap();
        world = world.restarted();
        let user = world.user();
        assert_eq!((service::parts(&user).len(), service::usage(&user).unwrap().charged()), (0, 0), "{kept}");
        assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    }
}

#[test]
fn a_partial_upload_borrows_again_after_a_restart() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    put(&user, "f", &zeros(20)).unwrap();
    cut(&user, "f", 20, 16);
    let before = service::usage(&user).unwrap();
    assert_eq!((before.charged(), before.credited), (20 * MIB, 16 * MIB));
    drop(user);
    let world = world.restarted();
    let user = world.user();
    let after = service::usage(&user).unwrap();
    assert_eq!((after.charged(), after.credited), (before.charged(), before.credited));
    service::remove(&user, &path("f")).unwrap();
    assert_eq!(service::usage(&user).unwrap().charged(), 16 * MIB);
}

/// Publishes the data that arrived.
fn publish(user: &User, upload: PutUpload) {
    let placement = upload.finish_at_eof(None).unwrap();
    let (placed, synced) = service::publish(user, vec![placement], Vec::new());
    placed.into_iter().chain([synced]).for_each(|result| result.unwrap());
}

#[test]
fn an_upload_of_unknown_size_takes_the_space_of_an_older_partial_upload() {
    for lends in [false, true] {
        let world = World::new(&format!("quota = {QUOTA_BYTES}\nsftp-uploads = \"atomic\""));
        let user = world.user();
        let prepare = || {
            service::discard(&user, None).unwrap();
            // The file of the previous round, if any.
            let _ = service::remove(&user, &path("f"));
            cut(&user, "other", 8, 4);
            if lends {
                put(&user, "f", &zeros(20)).unwrap();
            }
            cut(&user, "f", 20, 16);
            assert_eq!(service::parts(&user).len(), 2, "lends: {lends}");
        };
        prepare();
        let mut upload = PutUpload::begin(&user, &put_of(0, true, 0), &path("f"), None, None).unwrap();
        for _ in 0..20 {
            upload.write(&zeros(1)).unwrap();
            assert!(service::usage(&user).unwrap().charged() <= QUOTA_BYTES);
        }
        // An upload to a different target takes no space from it, and the message says what to do.
        let refused = upload.write(&zeros(1)).unwrap_err().to_string();
        assert!(refused.ends_with("df -v lists them, rm --partial NAME removes one"), "{refused}");
        drop(upload);
        let parts: Vec<_> = service::parts(&user).into_iter().map(|part| part.path).collect();
        assert_eq!(parts, [b"/other"], "lends: {lends}");

        prepare();
        let mut upload = PutUpload::begin(&user, &put_of(0, true, 0), &path("f"), None, None).unwrap();
        (0..20).for_each(|_| upload.write(&zeros(1)).unwrap());
        publish(&user, upload);
        assert_eq!(service::usage(&user).unwrap().charged(), 24 * MIB, "lends: {lends}");
        service::discard(&user, None).unwrap();
        world.assert_accounting(0);

        prepare();
        let file = open(&user, "f", TRUNCATE_OR_CREATE);
        (0..20).for_each(|at| file.write_at(at * MIB, &zeros(1)).unwrap());
        file.finish(&user).unwrap();
        service::discard(&user, None).unwrap();
        world.assert_accounting(0);
    }
}

#[test]
fn an_interrupted_stream_keeps_its_space() {
    let world = World::new(&format!("quota = {QUOTA_BYTES}"));
    let user = world.user();
    let stream = || PutUpload::begin(&user, &put_of(0, true, 0), &path("f"), None, Some(StreamId([1; 16])));
    let mut upload = stream().unwrap();
    (0..16).for_each(|_| upload.write(&zeros(1)).unwrap());
    drop(upload);
    let mut upload = PutUpload::begin(&user, &put_of(0, true, 0), &path("f"), None, None).unwrap();
    (0..8).for_each(|_| upload.write(&zeros(1)).unwrap());
    let refused = upload.write(&zeros(1)).unwrap_err().to_string();
    assert!(refused.contains("partial uploads hold 16.0 MiB"), "{refused}");
    assert_eq!(service::parts(&user).len(), 1);
}
