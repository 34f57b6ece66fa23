//! Directories: made, read, walked, removed.

use super::NewHost;
use super::world::*;
use crate::{Cause, MakeDirectory, Replace, SetAttributes, StepLimit, TreeStep};
use sshome_wire::{RemotePath, Time};
use std::collections::BTreeSet;

pub fn making_an_existing_directory_again_changes_nothing(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let make = |name: &str| user.home.make_directory(&path(name), MakeDirectory::default());
    assert_eq!(make("d").unwrap().made, [path("d")]);
    user.make_symlink("l", "d");
    for name in ["d", "d/", "l", "d/.", "/", ".."] {
        let again = make(name).unwrap();
        assert!(again.made.is_empty() && again.names.is_empty(), "{name}");
    }
    user.make_symlink("lost", "none");
    assert_eq!(cause(make("lost")), Cause::NotDirectory);
    let how = MakeDirectory { mode: Some(0o750), ..MakeDirectory::default() };
    assert_eq!(user.home.make_directory(&path("d/e"), how).unwrap().made, [path("d/e")]);
    assert_eq!(user.mode_of("d/e") & 0o777 & !0o022, 0o750);
    let made = make("l/f").unwrap();
    assert_eq!(made.made, [path("d/f")]);
    user.home.publish(Vec::new(), made.names).names.unwrap();
    world.assert_accounting(0);
}

pub fn missing_parents_are_made_on_request(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
    assert_eq!(cause(user.home.make_directory(&path("a/b"), MakeDirectory::default())), Cause::NotFound);
    let made = user.home.make_directory(&path("a/b/c/d/e/f"), how).unwrap();
    let wanted = ["a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/e/f"].map(path);
    assert_eq!(made.made, wanted);
    user.home.publish(Vec::new(), made.names).names.unwrap();
    assert_eq!(user.home.make_directory(&path("a/b/x"), how).unwrap().made, [path("a/b/x")]);
    assert!(user.home.make_directory(&path("a/b/x"), how).unwrap().made.is_empty());
    user.put("f", b"").unwrap();
    assert!(user.home.make_directory(&path("f/g/h"), how).is_err());
    world.assert_accounting(0);
}

pub fn a_directory_is_listed(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d/sub");
    user.put("d/f", b"content").unwrap();
    user.make_symlink("d/l", "f");
    user.make_symlink("here", "d");
    let mut reader = user.home.read_directory(&path("here")).unwrap();
    let mut found = BTreeSet::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let name = String::from_utf8(entry.name).unwrap();
        assert_eq!(entry.info.id, user.info(&format!("d/{name}")).unwrap().id);
        assert!(found.insert((name, entry.info.size, entry.target)));
        // What is removed meanwhile is skipped, or was read before.
        let _ = user.remove("d/f");
    }
    found.retain(|(name, ..)| name != "f");
    let sub = user.info("d/sub").unwrap().size;
    assert_eq!(found, [("l".to_owned(), 1, b"f".to_vec()), ("sub".to_owned(), sub, Vec::new())].into());
    assert!(reader.info().unwrap().is_directory());
    let mut top = user.home.read_directory(&RemotePath::root()).unwrap();
    let names: BTreeSet<_> =
        std::iter::from_fn(|| top.next_entry().unwrap()).map(|entry| entry.name).collect();
    assert_eq!(names, [b"d".to_vec(), b"here".to_vec()].into());
}

pub fn a_walk_visits_everything_once(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let mut wanted = BTreeSet::new();
    for a in ["a", "b"] {
        for b in ["c", "d", "e"] {
            user.make_directory(&format!("top/{a}/{b}"));
            user.put(&format!("top/{a}/{b}/f"), b"").unwrap();
            wanted.extend([a.to_owned(), format!("{a}/{b}"), format!("{a}/{b}/f")]);
        }
    }
    // Links are not followed.
    user.make_symlink("top/a/l", "../b");
    wanted.insert("a/l".to_owned());
    let mut walk = user.home.walk(&path("top")).unwrap();
    let mut found = BTreeSet::new();
    while let Some(step) = walk.next_step().unwrap() {
        let relative = String::from_utf8(walk.relative().unwrap()).unwrap();
        match step {
            TreeStep::Enter(info) => assert!(info.is_directory() && found.insert(relative)),
            TreeStep::Leaf(name, info) => {
                assert!(!info.is_directory());
                assert!(found.insert(format!("{relative}/{}", String::from_utf8(name).unwrap())));
            }
            TreeStep::Pause => {}
        }
    }
    assert_eq!(found, wanted);
    // What is removed meanwhile is skipped.
    let mut walk = user.home.walk(&path("top")).unwrap();
    assert!(matches!(walk.next_step().unwrap(), Some(TreeStep::Enter(_))));
    let mut removal = user.home.remove_tree(&path("top"), &mut |_, _| ()).unwrap();
    while !removal.step(StepLimit::entries(10), &mut |_, _| (), &mut |error| panic!("{error}")).unwrap() {}
    while let Some(step) = walk.next_step().unwrap() {
        assert!(matches!(step, TreeStep::Pause), "{step:?}");
    }
}

pub fn a_tree_is_removed_with_its_contents(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d/e/f");
    user.make_directory("kept");
    user.make_symlink("d/l", "../kept");
    user.put("d/e/1", b"1").unwrap();
    user.put("d/2", b"2").unwrap();
    user.make_symlink("here", ".");
    let mut gone = Vec::new();
    let mut removal = user.home.remove_tree(&path("here/d"), &mut |_, _| ()).unwrap();
    let mut removed = |path: &RemotePath, directory: bool| gone.push((path.to_string(), directory));
    while !removal.step(StepLimit::entries(2), &mut removed, &mut |error| panic!("{error}")).unwrap() {}
    assert_eq!(gone.last().unwrap(), &("/d".to_owned(), true));
    gone.sort();
    let wanted =
        [("/d", true), ("/d/2", false), ("/d/e", true), ("/d/e/1", false), ("/d/e/f", true), ("/d/l", false)];
    assert_eq!(gone, wanted.map(|(path, directory)| (path.to_owned(), directory)));
    // A file is removed at once.
    user.put("f", b"f").unwrap();
    let mut gone = Vec::new();
    let mut removal = user
        .home
        .remove_tree(&path("f"), &mut |path, directory| gone.push((path.clone(), directory)))
        .unwrap();
    assert_eq!(gone, [(path("f"), false)]);
    assert!(removal.step(StepLimit::least(), &mut |_, _| (), &mut |error| panic!("{error}")).unwrap());
    assert!(user.exists("kept"));
    assert_eq!(cause(user.home.remove_tree(&path("d"), &mut |_, _| ())), Cause::NotFound);
    world.assert_accounting(0);
}

pub fn a_directory_is_accessible_to_its_owner_until_it_is_finalized(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let mtime = Time { seconds: 1_000_000_000, nanoseconds: 5 };
    let make = |mode| {
        let how = MakeDirectory { mode: Some(mode), deferred: true, ..MakeDirectory::default() };
        !user.home.make_directory(&path("d"), how).unwrap().made.is_empty()
    };
    let finalize = || {
        let held = user.home.hold_directory(&path("d"), mtime).unwrap();
        let finalized = user.home.finalize_directories(vec![held]).pop().unwrap();
        assert_eq!(finalized.unwrap(), path("d"));
        assert_eq!(user.info("d").unwrap().modified.seconds, mtime.seconds);
        user.mode_of("d")
    };
    // The second transfer finds it as the first has left it: cut off, or at its end.
    assert_eq!((make(0o555), make(0o555), user.mode_of("d")), (true, false, 0o755));
    assert_eq!((finalize(), make(0o555), user.mode_of("d")), (0o555, false, 0o755));
    assert_eq!(finalize(), 0o555);
    // One of another mode keeps it, and so does one that somebody gives another meanwhile.
    assert_eq!((make(0o500), finalize()), (false, 0o555));
    make(0o555);
    user.set_mode("d", 0o750).unwrap();
    assert_eq!(finalize(), 0o750);
    // A held directory is followed if it is renamed.
    let held = user.home.hold_directory(&path("d"), mtime).unwrap();
    user.home.rename(&path("d"), &path("e"), Replace::Never).unwrap();
    let finalized = user.home.finalize_directories(vec![held]).pop().unwrap().unwrap();
    assert!([path("d"), path("e")].contains(&finalized) && user.info("e").unwrap().modified == mtime);
    // It is removed whatever its mode.
    user.put("e/f", b"").unwrap();
    user.set_mode("e", 0o500).unwrap();
    let mut removal = user.home.remove_tree(&path("e"), &mut |_, _| ()).unwrap();
    while !removal.step(StepLimit::entries(10), &mut |_, _| (), &mut |error| panic!("{error}")).unwrap() {}
    assert!(!user.exists("e"));
    world.assert_accounting(0);
}

pub fn trees_of_any_depth_are_counted_and_removed(host: NewHost<'_>) {
    const DEPTH: usize = 700;
    let world = World::new(host);
    let user = world.user();
    let deep = |top: &str| format!("{top}{}", "/ddd".repeat(DEPTH - 1));
    for top in ["c", "d"] {
        user.make_directory(&deep(top));
        user.put(&format!("{}/f", deep(top)), b"content").unwrap();
    }
    // Deeper than a path can say.
    user.home.rename(&path("c"), &path(&format!("{}/c", deep("d"))), Replace::Never).unwrap();
    assert_eq!(user.scan(), (14, 2 * DEPTH as u64 + 2));
    world.assert_counted();
    let mut removal = user.home.remove_tree(&path("d"), &mut |_, _| ()).unwrap();
    while !removal.step(StepLimit::entries(100), &mut |_, _| (), &mut |error| panic!("{error}")).unwrap() {}
    assert_eq!(user.usage().used.entries, 0);
    world.assert_accounting(0);
}

pub fn a_path_is_inside_every_directory_above_it(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("a/b/c");
    user.make_symlink("l", "a/b");
    let a = user.info("a").unwrap().id;
    let is_inside = |name: &str| user.home.is_inside(&path(name), a);
    for (name, wanted) in
        [("a/x", true), ("a/b/c/x", true), ("l/x", true), ("a", false), ("l", false), ("x", false)]
    {
        assert_eq!(is_inside(name).unwrap(), wanted, "{name}");
    }
    assert_eq!(cause(is_inside("none/x")), Cause::NotFound);
    let top = user.home.info(&RemotePath::root(), true).unwrap().id;
    assert!(user.home.is_inside(&path("a/b/x"), top).unwrap());
    // The times of the top can be set, and its mode leaves the server its access.
    let times = (SOURCE_MTIME, SOURCE_MTIME);
    let wanted = SetAttributes { times: Some(times), mode: Some(0o005), ..SetAttributes::default() };
    assert_eq!(user.home.set_attributes(&RemotePath::root(), true, &wanted).unwrap(), RemotePath::root());
    assert_eq!(user.home.info(&RemotePath::root(), true).unwrap().mode & 0o777, 0o705);
}
