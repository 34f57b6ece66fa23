//! Homes that are not counted yet. A store that does not count homes passes trivially.

use super::NewHost;
use super::world::*;
use crate::{Cause, MakeDirectory, OpenMode, Replace, SetAttributes, StepLimit, StoreResult};

/// Whether a call was refused because the home is being counted.
fn is_refused<T>(result: StoreResult<T>) -> bool {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => {
            assert!(error.to_string().contains("being counted, "), "{error}");
            matches!(error.cause(), Some(Cause::Counting { .. }))
        }
    }
}

pub fn an_uncounted_home_serves_reads_and_removals_and_stores_nothing(host: NewHost<'_>) {
    let mut world = World::with_quota(host, MIB);
    let user = world.user();
    user.make_directory("d/e");
    for name in ["f", "g", "d/f", "d/e/f"] {
        user.put(name, name.as_bytes()).unwrap();
    }
    drop(user);
    if !world.restart_uncounted() {
        return;
    }
    let user = world.user();
    assert!(user.home.counting().is_some_and(|counting| !counting.removals_wait));
    assert!(user.home.usage().is_counting);
    assert!(is_refused(user.put("h", b"h")) && is_refused(user.put("f", b"")));
    assert!(is_refused(user.begin("f", &spec_of(None))));
    assert!(is_refused(user.home.make_directory(&path("h"), MakeDirectory::default())));
    assert!(is_refused(user.home.make_symlink(&path("h"), b"f")));
    assert!(is_refused(user.home.hard_link(&path("f"), &path("h"), false)));
    assert!(is_refused(user.home.rename(&path("f"), &path("h"), Replace::Always)));
    for mode in [
        WRITE_OR_CREATE,
        TRUNCATE_OR_CREATE,
        OpenMode { create: false, ..WRITE_OR_CREATE },
        OpenMode { truncate: true, ..READ_ONLY },
    ] {
        assert!(is_refused(user.try_open("f", mode)));
        assert!(is_refused(user.home.open_file(&path("f"), mode, true)));
    }
    // Attributes take no space.
    let times = Some((SOURCE_MTIME, SOURCE_MTIME));
    user.home.set_attributes(&path("f"), true, &SetAttributes { times, ..SetAttributes::default() }).unwrap();
    assert_eq!((user.content("f"), user.scan().1), (b"f".to_vec(), 6));
    user.home.make_directory(&path("d"), MakeDirectory::default()).unwrap();
    user.remove("g").unwrap();
    let mut tree = user.home.remove_tree(&path("d/e"), &mut |_, _| {}).unwrap();
    while !tree.step(StepLimit::entries(10), &mut |_, _| {}, &mut |error| panic!("{error}")).unwrap() {}
    world.release_counts();
    assert!(user.home.counting().is_none() && !user.home.usage().is_counting);
    let usage = user.usage();
    assert_eq!((usage.used.bytes, usage.used.entries), (4, 3));
    user.put("h", b"h").unwrap();
    world.assert_accounting(0);
}

pub fn partial_uploads_keep_their_space_while_a_home_is_counted(host: NewHost<'_>) {
    let mut world = World::with_quota(host, 30 * MIB);
    let user = world.user();
    user.put("f", &zeros(9)).unwrap();
    user.put("g", &zeros(9)).unwrap();
    user.cut("f", 12, 9);
    user.cut("g", 12, 9);
    // Each file lends what its partial upload needs.
    let before = user.usage();
    assert_eq!((before.staged.bytes, before.credited), (16 * MIB, 16 * MIB));
    drop(user);
    if !world.restart_uncounted() {
        return;
    }
    let user = world.user();
    assert_eq!(user.partial_paths(), ["/f", "/g"]);
    assert_eq!((user.usage().staged.bytes, user.usage().credited), (16 * MIB, 16 * MIB));
    // Once removed, it lends nothing.
    user.remove("g").unwrap();
    // A put that is refused leaves the partial upload.
    let checked = checked(user.lease("f", 12).unwrap());
    let spec = file_of(12, 2);
    assert!(is_refused(user.home.begin_upload(&path("f"), &spec, Some(checked), &user.takeover())));
    assert_eq!(user.partial_paths(), ["/f", "/g"]);
    world.release_counts();
    let usage = user.usage();
    assert_eq!((usage.used.bytes, usage.staged.bytes, usage.credited), (9 * MIB, 16 * MIB, 8 * MIB));
    world.assert_counted();
    assert_eq!(user.home.discard_partial_uploads(None), 2);
    world.assert_accounting(0);
}
