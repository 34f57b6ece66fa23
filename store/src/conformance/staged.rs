//! Files that are written at offsets and published when they are closed.

use super::NewHost;
use super::world::*;
use crate::{Cause, OpenMode, SetAttributes, StepLimit, StoreError};

pub fn a_staged_file_appears_when_it_is_closed(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    user.put("f", &[1; 80]).unwrap();
    user.set_mode("f", 0o640).unwrap();
    let file = user.open_staged("f", OpenMode { mode: Some(0o600), ..TRUNCATE_OR_CREATE });
    assert!(file.publishes_at_close());
    file.write_at(Some(0), &[&[2; 50]]).unwrap();
    file.write_at(Some(50), &[&[2; 50]]).unwrap();
    assert_eq!(file.info().unwrap().size, 100);
    assert_eq!(user.content("f"), [1; 80]);
    user.close(file).unwrap();
    assert_eq!((user.content("f"), user.mode_of("f")), (vec![2; 100], 0o640));
    world.assert_accounting(0);
    // A file that is not written in order is published without a digest.
    let file = user.open_staged("f", TRUNCATE_OR_CREATE);
    file.write_at(Some(30), &[b""]).unwrap();
    file.write_at(Some(10), &[&[3; 10]]).unwrap();
    file.write_at(Some(0), &[&[3; 10]]).unwrap();
    file.set_attributes(&SetAttributes { mode: Some(0o4711), ..SetAttributes::default() }).unwrap();
    user.close(file).unwrap();
    assert_eq!((user.content("f"), user.mode_of("f")), (vec![3; 20], 0o711));
    let file = user.open("f", READ_ONLY);
    assert_eq!(file.stored_digest(&file.info().unwrap()), None);
    world.assert_accounting(0);
}

pub fn a_staged_file_that_is_dropped_leaves_nothing(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    user.put("f", &[1; 80]).unwrap();
    for name in ["f", "new"] {
        let file = user.open_staged(name, TRUNCATE_OR_CREATE);
        file.write_at(Some(0), &[&[2; 20]]).unwrap();
        drop(file);
    }
    let file = user.open_staged("f", TRUNCATE_OR_CREATE);
    assert!(is_over_quota(file.write_at(Some(0), &[&[2; 101]])));
    drop(file);
    assert_eq!((user.content("f"), user.scan()), (vec![1; 80], (80, 1)));
    world.assert_accounting(0);
}

pub fn an_exclusive_file_must_still_be_new_when_it_is_published(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let new = OpenMode { exclusive: true, ..TRUNCATE_OR_CREATE };
    user.put("f", b"f").unwrap();
    assert_eq!(cause(user.home.open_file(&path("f"), new, true)), Cause::Exists);
    let (one, two) = (user.open_staged("g", new), user.open_staged("g", TRUNCATE_OR_CREATE));
    user.close(two).unwrap();
    assert_eq!(cause(user.close(one)), Cause::Exists);
    world.assert_accounting(0);
}

pub fn old_content_is_kept_where_it_is_not_overwritten(host: NewHost<'_>) {
    let world = World::with_quota(host, 200);
    let user = world.user();
    let update = OpenMode { truncate: false, ..TRUNCATE_OR_CREATE };
    user.put("f", &[1; 60]).unwrap();
    let file = user.open_staged("f", update);
    assert_eq!(file.info().unwrap().size, 60);
    file.write_at(Some(10), &[&[2; 10]]).unwrap();
    file.write_at(Some(80), &[&[3; 10]]).unwrap();
    assert_eq!((file.info().unwrap().size, user.content("f")), (90, vec![1; 60]));
    user.close(file).unwrap();
    let wanted = [&[1; 10][..], &[2; 10], &[1; 40], &[0; 20], &[3; 10]].concat();
    assert_eq!(user.content("f"), wanted);
    world.assert_accounting(0);
    // Setting the length truncates the old content, and added bytes are zero.
    let file = user.open_staged("f", update);
    file.set_length(15).unwrap();
    file.set_length(30).unwrap();
    user.close(file).unwrap();
    assert_eq!(user.content("f"), [&[1; 10][..], &[2; 5], &[0; 15]].concat());
    // All of the old content is needed, and space for it.
    user.put("other", &[4; 150]).unwrap();
    user.put("f", &[1; 30]).unwrap();
    let (file, reader) = (user.open_staged("f", update), user.open("f", READ_ONLY));
    file.write_at(Some(0), &[b"x"]).unwrap();
    let closed = user.close(file);
    assert_eq!(closed.is_err(), user.counts_open_files, "both are stored until the reader ends");
    drop(reader);
    world.assert_accounting(0);
}

pub fn old_content_that_changes_meanwhile_is_never_mixed_in(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let update = OpenMode { truncate: false, ..TRUNCATE_OR_CREATE };
    user.put("f", &[1; 60]).unwrap();
    let file = user.open_staged("f", update);
    file.write_at(Some(10), &[&[2; 10]]).unwrap();
    user.put("f", &[3; 61]).unwrap();
    let closed = user.close(file).unwrap_err();
    assert!(matches!(closed, StoreError::Changed(_)) || closed.is_not_found(), "{closed}");
    assert_eq!(user.content("f"), [3; 61]);
    // A file that is overwritten as a whole does not need the old content.
    let file = user.open_staged("f", update);
    file.write_at(Some(0), &[&[4; 61]]).unwrap();
    user.remove("f").unwrap();
    user.close(file).unwrap();
    assert_eq!(user.content("f"), [4; 61]);
    // Nor does a file that is truncated to nothing.
    let file = user.open_staged("f", update);
    file.set_length(0).unwrap();
    file.set_length(5).unwrap();
    user.put("f", b"different").unwrap();
    user.close(file).unwrap();
    assert_eq!(user.content("f"), [0; 5]);
    let file = user.open_staged("f", update);
    user.remove("f").unwrap();
    assert!(file.prepare_close(StepLimit::bytes(u64::MAX)).is_err());
    drop(file);
    world.assert_accounting(0);
}
