//! Names: paths, links, renaming.

use super::NewHost;
use super::world::*;
use crate::{Cause, MadeLink, MakeDirectory, OpenMode, Replace, StoreError, StoreResult};

pub fn a_rename_targets_exactly_the_given_name(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let rename = |from, to, replace| user.home.rename(&path(from), &path(to), replace);
    user.put("f", b"f").unwrap();
    user.put("g", b"g").unwrap();
    ["dir", "empty", "full"].into_iter().for_each(|name| user.make_directory(name));
    user.put("full/h", b"h").unwrap();
    assert_eq!(cause(rename("f", "g", Replace::Never)), Cause::Exists);
    assert_eq!(cause(rename("f", "dir", Replace::Always)), Cause::IsDirectory);
    assert_eq!(cause(rename("dir", "full", Replace::Always)), Cause::NotEmpty);
    assert_eq!(cause(rename("dir", "f", Replace::Always)), Cause::NotDirectory);
    assert!(matches!(rename("dir", "dir/in", Replace::Always), Err(StoreError::IntoItself { .. })));
    assert_eq!(cause(rename("none", "g", Replace::Always)), Cause::NotFound);
    assert_eq!(cause(rename("/", "g", Replace::Always)), Cause::Top);
    assert_eq!(cause(rename("dir/.", "d", Replace::Always)), Cause::Dot);
    let renamed = rename("f", "g", Replace::Always).unwrap();
    assert_eq!((renamed.from, renamed.to, renamed.replaced), (path("f"), path("g"), true));
    let renamed = rename("full", "empty", Replace::Always).unwrap();
    assert_eq!((renamed.to, renamed.replaced), (path("empty"), true));
    assert_eq!((user.content("g"), user.content("empty/h")), (b"f".to_vec(), b"h".to_vec()));
    assert!(!rename("g", "dir/new", Replace::Never).unwrap().replaced);
    // Renaming a name to itself, however spelled, keeps it.
    user.make_symlink("here", ".");
    rename("here/dir/new", "dir/new", Replace::Always).unwrap();
    rename("here/dir/new", "dir/new", Replace::AlwaysAndMerge).unwrap();
    assert_eq!(user.content("dir/new"), b"f");
    world.assert_accounting(0);
}

pub fn files_and_symbolic_links_can_have_hard_links(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let link = |from: &str, to: &str| {
        user.home.hard_link(&path(from), &path(to), false).map(|MadeLink { from, to, .. }| (from, to))
    };
    user.make_directory("dir");
    user.make_symlink("link", "dir");
    user.put("f", b"f").unwrap();
    for (from, to) in
        [("dir", "g"), ("none", "g"), ("f", "link"), ("f", "no/g"), ("link", "f"), ("f", "none/")]
    {
        assert!(link(from, to).is_err(), "{from} {to}");
    }
    assert_eq!(link("f", "dir/g").unwrap(), (path("f"), path("dir/g")));
    assert_eq!((user.info("f").unwrap().links, user.content("dir/g")), (2, b"f".to_vec()));
    assert_eq!(user.info("f").unwrap().id, user.info("dir/g").unwrap().id);
    // A hard link to a symbolic link is a second name of the link itself.
    link("link", "other").unwrap();
    assert_eq!(user.home.read_link(&path("other")).unwrap(), b"dir");
    assert_eq!(cause(user.home.read_link(&path("f"))), Cause::Invalid);
    world.assert_accounting(0);
    // Two names of one file: rename(2) keeps both, `mv` leaves one.
    let rename = |replace| user.home.rename(&path("f"), &path("dir/g"), replace).unwrap();
    rename(Replace::Always);
    assert!(user.exists("f"));
    assert!(rename(Replace::AlwaysAndMerge).replaced);
    assert!(!user.exists("f"));
    user.home.rename(&path("other"), &path("dir/g"), Replace::Always).unwrap();
    user.remove("link").unwrap();
    world.assert_accounting(0);
}

pub fn a_hard_link_can_replace_a_file(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let link = |from: &str, to: &str| user.home.hard_link(&path(from), &path(to), true);
    user.put("new", b"new").unwrap();
    user.put("old", b"the old one").unwrap();
    user.put("old2", b"2").unwrap();
    user.make_directory("dir");
    assert_eq!(cause(link("new", "dir")), Cause::IsDirectory);
    for (from, to) in [("none", "old"), ("dir", "old"), ("new", "old/")] {
        assert!(link(from, to).is_err(), "{from} {to}");
    }
    assert_eq!(user.content("old"), b"the old one");
    assert!(link("new", "old").unwrap().replaced);
    world.assert_accounting(0);
    // Its own second name, and its own name.
    assert!(!link("new", "old").unwrap().replaced);
    assert!(!link("new", "new").unwrap().replaced);
    assert!(!link("new", "dir/other").unwrap().replaced);
    assert_eq!((user.info("new").unwrap().links, user.content("old")), (3, b"new".to_vec()));
    // A link is replaced, not its target.
    user.make_symlink("link", "old2");
    assert!(link("new", "link").unwrap().replaced);
    assert_eq!((user.content("link"), user.content("old2")), (b"new".to_vec(), b"2".to_vec()));
    world.assert_accounting(0);
}

pub fn a_canonical_path_contains_no_links(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("a/b");
    for (target, name) in
        [("a/b", "rel"), ("/a", "a/b/abs"), ("../../../a", "up"), ("loop", "loop"), ("/none/x", "lost")]
    {
        user.make_symlink(name, target);
    }
    for (name, wanted) in [
        ("/", "/"),
        ("a/b", "/a/b"),
        ("a/b/.", "/a/b"),
        ("a/..", "/"),
        ("../../a", "/a"),
        ("rel", "/a/b"),
        ("rel/", "/a/b"),
        ("rel/..", "/a"),
        ("rel/abs/b/new", "/a/b/new"),
        ("up/b", "/a/b"),
        ("new", "/new"),
    ] {
        assert_eq!(user.home.canonical(&path(name)).unwrap(), path(wanted), "{name}");
    }
    for (name, why) in
        [("none/new", Cause::NotFound), ("lost", Cause::NotFound), ("loop", Cause::TooManyLinks)]
    {
        assert_eq!(cause(user.home.canonical(&path(name))), why, "{name}");
    }
    assert_eq!(user.home.read_link(&path("up")).unwrap(), b"../../../a");
}

pub fn a_missing_directory_is_reported(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.put("f", b"1").unwrap();
    let no_directory = |result: StoreResult<()>| {
        let missing = StoreError::directory(&path("no"), Cause::NotFound);
        assert_eq!(result.unwrap_err(), missing);
    };
    no_directory(user.put("no/such/f", b"1"));
    no_directory(user.home.make_directory(&path("no/such"), MakeDirectory::default()).map(drop));
    no_directory(user.home.make_symlink(&path("no/l"), b"x").map(drop));
    no_directory(user.home.rename(&path("f"), &path("no/f"), Replace::Always).map(drop));
    no_directory(user.try_open("no/f", WRITE_OR_CREATE).map(drop));
    // A dangling link exists; the directory of its target is missing.
    user.make_symlink("l", "gone/x");
    assert_eq!(user.put("l", b"1").unwrap_err(), StoreError::directory(&path("l"), Cause::NotFound));
}

pub fn links_are_resolved_as_in_a_chroot(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("a/real");
    for (target, name) in [("/new", "in"), ("../../../../a", "a/out"), ("a/real", "link"), ("x/../f", "lost")]
    {
        user.make_symlink(name, target);
    }
    user.put("in", b"here").unwrap();
    assert_eq!(user.content("new"), b"here");
    // `..` after a link is the parent of its target.
    user.put("link/../f", b"a/f").unwrap();
    assert_eq!(user.content("a/f"), b"a/f");
    assert_eq!(user.content("a/out/out/f"), b"a/f");
    // A missing name is an error, whatever follows.
    assert_eq!(cause(user.home.info(&path("none/../f"), true)), Cause::NotFound);
    assert_eq!(cause(user.put("lost", b"")), Cause::NotFound);
    assert!(user.info("link").unwrap().is_symlink());
    assert!(user.home.info(&path("link"), true).unwrap().is_directory());
    assert!(user.info("link/").unwrap().is_directory());
    let exclusive = OpenMode { exclusive: true, ..WRITE_OR_CREATE };
    assert_eq!(cause(user.try_open("in", exclusive)), Cause::Exists);
    world.assert_accounting(0);
}

pub fn forty_links_are_followed(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("real");
    let mut target = "real".to_owned();
    for number in 1..=41 {
        let link = format!("l{number}");
        user.make_symlink(&link, &target);
        target = link;
    }
    assert_eq!(user.home.canonical(&path("l40")).unwrap(), path("real"));
    user.put("l40/f", b"").unwrap();
    assert_eq!(cause(user.home.canonical(&path("l41"))), Cause::TooManyLinks);
    assert_eq!(cause(user.put("l41/f", b"")), Cause::TooManyLinks);
    // The limit applies to the whole path.
    user.make_symlink("twice", "l20/../l20");
    user.home.enter_directory(&path("twice/../l19")).unwrap_err();
    user.home.enter_directory(&path("l20/../l20")).unwrap();
}

/// The table of docs/paths.md.
pub fn a_trailing_slash_means_a_directory(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let home = &user.home;
    user.make_directory("d");
    user.put("f", b"f").unwrap();
    user.make_symlink("l", "d");
    let kinds = [("f/", Cause::NotDirectory), ("none/", Cause::NotFound)];
    assert!(user.info("d/").unwrap().is_directory());
    // So does a trailing slash in a link's target.
    user.make_symlink("to-f", "f/");
    user.make_symlink("to-none", "none/");
    for (name, why) in [("to-f", Cause::NotDirectory), ("to-none", Cause::NotFound)] {
        assert_eq!(cause(user.put(name, b"")), why, "{name}");
        assert_eq!(cause(user.try_open(name, WRITE_OR_CREATE)), why, "{name}");
    }
    for (name, why) in kinds.clone() {
        let name = path(name);
        assert_eq!(cause(home.info(&name, true)), why);
        assert_eq!(cause(home.read_directory(&name)), why);
        assert_eq!(cause(home.begin_upload(&name, &spec_of(None), None, &user.takeover())), why);
        assert_eq!(cause(home.open_file(&name, WRITE_OR_CREATE, false)), why);
        assert_eq!(cause(home.remove_file(&name)), why);
        assert_eq!(cause(home.remove_directory(&name)), why);
        assert_eq!(cause(home.remove_tree(&name, &mut |_, _| ())), why);
        assert_eq!(cause(home.rename(&path("f"), &name, Replace::Always)), why);
    }
    for name in ["d/", "l/"] {
        assert_eq!(cause(home.open_file(&path(name), WRITE_OR_CREATE, false)), Cause::IsDirectory, "{name}");
        assert_eq!(cause(home.make_symlink(&path(name), b"x")), Cause::Exists, "{name}");
        assert_eq!(
            cause(home.rename(&path("f"), &path(name), Replace::Always)),
            Cause::NotDirectory,
            "{name}"
        );
    }
    assert_eq!(cause(home.remove_file(&path("d/"))), Cause::IsDirectory);
    assert_eq!(cause(home.remove_file(&path("l/"))), Cause::NotDirectory);
    assert_eq!(cause(home.remove_directory(&path("l/"))), Cause::NotDirectory);
    assert_eq!(cause(home.make_symlink(&path("none/"), b"x")), Cause::NotFound);
    home.rename(&path("d/"), &path("e/"), Replace::Always).unwrap();
    home.make_directory(&path("d/"), MakeDirectory::default()).unwrap();
    home.remove_directory(&path("e/")).unwrap();
    for name in ["/", ".", "..", "d/.", "d/.."] {
        assert!(matches!(cause(home.remove_directory(&path(name))), Cause::Top | Cause::Dot), "{name}");
        assert!(
            matches!(cause(home.remove_tree(&path(name), &mut |_, _| ())), Cause::Top | Cause::Dot),
            "{name}"
        );
    }
    world.assert_accounting(0);
}

pub fn all_spellings_of_a_path_are_one_entry(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("a/real");
    user.make_symlink("link", "a/real");
    user.make_symlink("dangling", "link/../new");
    let id = |name: &str| user.home.entry_id(&path(name), true).unwrap();
    for name in ["a/new", "a//./new", "link/../new", "a/real/../new", "dangling", "../a/new"] {
        assert_eq!(id(name), id("a/new"), "{name}");
    }
    assert_ne!(id("new"), id("a/new"));
    assert_ne!(user.home.entry_id(&path("dangling"), false).unwrap(), id("dangling"));
    // Renaming a directory does not change the identity of what is in it.
    let before = id("a/new");
    user.home.rename(&path("a"), &path("b"), Replace::Never).unwrap();
    assert_eq!(id("b/new"), before);
    assert_eq!(user.home.canonical(&path("b/./real/x")).unwrap(), path("b/real/x"));
}

pub fn reserved_names_are_refused(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_symlink("staging", ".sshome-staging");
    user.put("f", b"").unwrap();
    for name in [".sshome-staging", ".sshome-staging/f", "./.sshome-staging/../f", "staging/f"] {
        let name = path(name);
        assert_eq!(cause(user.home.info(&name, true)), Cause::Reserved, "{name}");
        assert_eq!(cause(user.home.canonical(&name)), Cause::Reserved, "{name}");
        assert_eq!(cause(user.home.open_file(&name, WRITE_OR_CREATE, false)), Cause::Reserved, "{name}");
        let begun = user.home.begin_upload(&name, &spec_of(None), None, &user.takeover());
        assert_eq!(cause(begun), Cause::Reserved, "{name}");
    }
    let name = path(".sshome-staging");
    assert_eq!(cause(user.home.make_directory(&name, MakeDirectory::default())), Cause::Reserved);
    assert_eq!(cause(user.home.rename(&path("f"), &name, Replace::Always)), Cause::Reserved);
    assert_eq!(cause(user.home.remove_tree(&name, &mut |_, _| ())), Cause::Reserved);
    assert_eq!(user.scan().1, 2);
}

pub fn a_file_is_not_a_directory(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.put("f", b"content").unwrap();
    user.make_directory("d/e");
    let home = &user.home;
    assert_eq!(cause(home.enter_directory(&path("f"))), Cause::NotDirectory);
    assert_eq!(cause(home.info(&path("f/x"), false)), Cause::NotDirectory);
    assert_eq!(cause(home.walk(&path("f"))), Cause::NotDirectory);
    assert_eq!(cause(home.hold_directory(&path("f"), SOURCE_MTIME)), Cause::NotDirectory);
    assert_eq!(cause(home.remove_directory(&path("f"))), Cause::NotDirectory);
    assert_eq!(cause(home.remove_directory(&path("d"))), Cause::NotEmpty);
    assert_eq!(cause(home.remove_file(&path("d"))), Cause::IsDirectory);
    assert_eq!(cause(home.make_directory(&path("f"), MakeDirectory::default())), Cause::NotDirectory);
    assert_eq!(cause(user.put("d", b"")), Cause::IsDirectory);
    assert_eq!(cause(user.info(&"x".repeat(256))), Cause::NameTooLong);
    assert_eq!(home.remove_directory(&path("d/./e")).unwrap(), path("d/e"));
    assert_eq!(user.remove("f").unwrap(), path("f"));
    world.assert_accounting(0);
}

pub fn calls_that_need_a_missing_capability_are_refused(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let capabilities = world.store().capabilities();
    user.put("f", b"content").unwrap();
    if !capabilities.hard_links {
        assert_eq!(cause(user.home.hard_link(&path("f"), &path("g"), false)), Cause::Unsupported);
    }
    if !capabilities.append {
        assert_eq!(cause(user.try_open("f", APPEND_OR_CREATE)), Cause::Unsupported);
    }
    let file = user.open("f", OpenMode { create: false, ..WRITE_OR_CREATE });
    assert_eq!(file.publishes_at_close(), !capabilities.in_place_write);
    file.write_at(Some(0), &[b"C"]).unwrap();
    let seen = if capabilities.in_place_write { b"Content" } else { b"content" };
    assert_eq!(user.content("f"), seen);
    user.close(file).unwrap();
    assert_eq!(user.content("f"), b"Content");
    world.assert_accounting(0);
}
