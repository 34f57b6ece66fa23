//! Uploads, and publishing them in batches.

use super::NewHost;
use super::world::*;
use crate::{
    Cause, MakeDirectory, OpenMode, PublishItem, PublishResult, Replace, StoreError, UploadPermissions,
    UploadSpec,
};
use sshome_wire::{Digest, Time};

pub fn a_file_appears_with_its_whole_content(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let mtime = Time { seconds: 1_000_000_000, nanoseconds: 7 };
    let spec = UploadSpec { mtime: Some(mtime), ..spec_of(Some(7)) };
    user.make_directory("d");
    user.make_symlink("l", "d");
    let mut upload = user.begin("l/f", &spec).unwrap();
    assert_eq!((upload.logged_path(), upload.written()), (&path("d/f"), 0));
    upload.write(b"cont").unwrap();
    upload.write(b"").unwrap();
    upload.write(b"ent").unwrap();
    assert_eq!((upload.written(), user.exists("d/f")), (7, false));
    let item = upload.finish(7, Some(digest_of(b"content"))).unwrap();
    assert_eq!((&item.path, item.size, item.digest), (&path("l/f"), 7, Some(digest_of(b"content"))));
    assert!(!user.exists("d/f"));
    let published = user.home.publish(vec![item], Vec::new());
    assert!(matches!(published.items[..], [PublishResult::Done { replaced: false, id: None }]));
    published.names.unwrap();
    let info = user.info("d/f").unwrap();
    assert_eq!((user.content("d/f"), info.modified, info.links), (b"content".to_vec(), mtime, 1));
    let again = user.home.publish(vec![user.complete("d/f", b"2").unwrap()], Vec::new());
    assert!(matches!(again.items[..], [PublishResult::Done { replaced: true, .. }]));
    world.assert_accounting(0);
}

pub fn an_upload_that_differs_from_its_announcement_is_not_published(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let is_mismatch =
        |result: crate::StoreResult<PublishItem>| matches!(result, Err(StoreError::Mismatch { .. }));
    for (size, digest) in [(6, None), (8, None), (7, Some(Digest([0; 32])))] {
        let mut upload = user.begin("f", &file_of(9, 0)).unwrap();
        upload.write(&zeros(5)).unwrap();
        assert!(is_mismatch(upload.finish(9 * MIB, None)), "less than was announced");
        let mut upload = user.begin("f", &spec_of(None)).unwrap();
        upload.write(b"content").unwrap();
        assert!(is_mismatch(upload.finish(size, digest)));
    }
    let mut upload = user.begin("f", &spec_of(Some(6))).unwrap();
    assert!(matches!(upload.write(b"content"), Err(StoreError::Mismatch { .. })));
    drop(upload);
    assert!(!user.exists("f") && user.partial_paths().is_empty());
    world.assert_accounting(0);
}

pub fn an_exclusive_upload_replaces_nothing(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let spec = UploadSpec { exclusive: true, ..spec_of(Some(3)) };
    let complete = |name: &str| {
        let mut upload = user.begin(name, &spec).unwrap();
        upload.write(b"new").unwrap();
        upload.finish(3, None).unwrap()
    };
    user.make_symlink("dangling", "nothing");
    user.put("old", b"old").unwrap();
    for name in ["old", "dangling"] {
        assert_eq!(cause(user.begin(name, &spec)), Cause::Exists, "{name}");
    }
    // Both begin while the name is free.
    let (first, second) = (complete("f"), complete("f"));
    let mut published = user.home.publish(vec![first, second], Vec::new()).items.into_iter();
    let Some(PublishResult::Done { replaced: false, id: Some(id) }) = published.next() else {
        panic!("not done")
    };
    assert_eq!(user.info("f").unwrap().id, id);
    let Some(PublishResult::Refused(error)) = published.next() else { panic!("not refused") };
    assert_eq!(error.cause(), Some(&Cause::Exists));
    let file =
        user.open_staged("g", OpenMode { write: true, create: true, exclusive: true, ..OpenMode::default() });
    let item = file.close().unwrap().unwrap();
    let published = user.home.publish(vec![item], Vec::new());
    let id = user.info("g").unwrap().id;
    assert!(matches!(published.items[..], [PublishResult::Done { id: Some(found), .. }] if found == id));
    assert!(!user.exists("nothing"));
    world.assert_accounting(0);
}

pub fn a_failing_item_undoes_no_other(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d");
    let items = ["a", "b", "d/c", "e"].map(|name| user.complete(name, name.as_bytes()).unwrap());
    // A directory takes one of the names, and the directory of another is removed.
    user.make_directory("b");
    user.home.remove_directory(&path("d")).unwrap();
    let made = user.home.make_directory(&path("new"), MakeDirectory::default()).unwrap();
    let published = user.home.publish(items.into(), made.names);
    published.names.unwrap();
    let results: Vec<bool> =
        published.items.iter().map(|item| matches!(item, PublishResult::Done { .. })).collect();
    assert_eq!(results, [true, false, false, true]);
    for item in &published.items[1..3] {
        assert!(matches!(item, PublishResult::Refused(_)), "{item:?}");
    }
    assert_eq!((user.content("a"), user.content("e")), (b"a".to_vec(), b"e".to_vec()));
    assert!(user.info("b").unwrap().is_directory() && user.partial_paths().is_empty());
    world.assert_accounting(0);
}

pub fn the_later_of_two_items_with_one_target_wins(host: NewHost<'_>) {
    let world = World::with_quota(host, 1000);
    let user = world.user();
    user.make_symlink("l", ".");
    let items = [("f", 100), ("g", 10), ("l/f", 200)];
    let items = items.map(|(name, size)| user.complete(name, &vec![1; size]).unwrap());
    let published = user.home.publish(items.into(), Vec::new());
    let replaced = published.items.iter().map(|item| match item {
        PublishResult::Done { replaced, .. } => *replaced,
        other => panic!("{other:?}"),
    });
    assert_eq!(replaced.collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((user.content("f").len(), user.used()), (200, 211));
    world.assert_accounting(0);
}

pub fn an_upload_follows_its_renamed_directory(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d");
    let item = user.complete("d/f", b"content").unwrap();
    user.home.rename(&path("d"), &path("e"), Replace::Never).unwrap();
    user.make_directory("d");
    user.publish(item).unwrap();
    assert_eq!((user.content("e/f"), user.exists("d/f")), (b"content".to_vec(), false));
    world.assert_accounting(0);
}

pub fn nothing_is_published_in_a_removed_directory(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d");
    let item = user.complete("d/f", b"content").unwrap();
    user.home.remove_directory(&path("d")).unwrap();
    user.make_directory("d");
    assert_eq!(cause(user.publish(item)), Cause::NotFound);
    assert!(!user.exists("d/f"));
    world.assert_accounting(0);
}

pub fn an_upload_needs_a_valid_target_and_space(host: NewHost<'_>) {
    // One byte more, for the link.
    let world = World::with_quota(host, 101);
    let user = world.user();
    user.make_directory("d");
    user.make_symlink("l", "d");
    let begin = |name: &str, size| user.begin(name, &spec_of(Some(size)));
    for name in ["d", "l", "d/", "/", "d/.", "d/.."] {
        assert_eq!(cause(begin(name, 1)), Cause::IsDirectory, "{name}");
    }
    assert_eq!(cause(begin("none/f", 1)), Cause::NotFound);
    // Space is reserved before any data arrive.
    assert!(is_over_quota(begin("f", 101)));
    let upload = begin("f", 60).unwrap();
    assert!(is_over_quota(begin("g", 41)));
    assert_eq!(user.usage().staged.bytes, 60);
    drop(upload);
    // One of unknown size reserves as data arrive.
    let mut upload = user.begin("f", &spec_of(None)).unwrap();
    upload.write(&[1; 100]).unwrap();
    assert!(is_over_quota(upload.write(&[1])));
    drop(upload);
    world.assert_accounting(0);
}

pub fn permissions_are_inherited_or_exact(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let put = |permissions| {
        let mut upload = user.begin("f", &UploadSpec { permissions, ..spec_of(Some(1)) }).unwrap();
        upload.write(b"1").unwrap();
        let item = upload.finish(1, None).unwrap();
        user.publish(item).unwrap();
        user.mode_of("f")
    };
    // A new file gets what the umask leaves.
    assert_eq!(put(UploadPermissions::Inherited(0o640)) & !0o640, 0);
    assert_eq!(put(UploadPermissions::Exact(0o4751)), 0o751);
    assert_eq!(put(UploadPermissions::Inherited(0o600)), 0o751);
    assert_eq!(put(UploadPermissions::Exact(0)), 0);
    assert_eq!(put(UploadPermissions::Inherited(0o666)), 0);
}

pub fn an_ended_channel_leaves_no_partial_change(host: NewHost<'_>) {
    let world = World::new(host);
    let (user, ended) = (world.user(), world.user());
    user.put("f", b"old").unwrap();
    user.make_directory("d/e");
    let item = ended.complete("f", b"new").unwrap();
    let mut upload = ended.begin("g", &file_of(9, 0)).unwrap();
    upload.write(&zeros(5)).unwrap();
    ended.ctx.cancel();
    // A call either gives up or finishes.
    let published = ended.publish(item);
    match &published {
        Ok(()) => assert_eq!(user.content("f"), b"new"),
        Err(error) => {
            assert_eq!((error.cause(), user.content("f")), (Some(&Cause::Cancelled), b"old".to_vec()));
        }
    }
    if let Err(error) = upload.write(&zeros(1)) {
        assert_eq!(error.cause(), Some(&Cause::Cancelled));
    }
    drop(upload);
    if let Err(error) = ended.home.rename(&path("d"), &path("h"), Replace::Never) {
        assert_eq!(error.cause(), Some(&Cause::Cancelled));
    }
    assert_ne!(user.exists("d"), user.exists("h"));
    // The data that arrived are kept as a partial upload.
    assert_eq!(user.partial_paths(), ["/g"]);
    user.home.discard_partial_uploads(None);
    world.assert_accounting(0);
}
