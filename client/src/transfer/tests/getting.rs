use super::model::{Model, entry};
use super::*;
use sshome_wire::FileKind;

#[tokio::test]
async fn files_of_every_size_arrive_whole() {
    let sizes = [0, 1, 1023, 200_001, 256 << 10, (256 << 10) + 1, 9 << 20];
    let files: Vec<(String, Vec<u8>)> = sizes.map(|size| (format!("/{size}"), content(size))).into();
    let listed: Vec<(&str, &[u8])> =
        files.iter().map(|(name, body)| (name.as_str(), body.as_slice())).collect();
    let mut world = World::with(&Model::with(&listed)).await;
    let sources: Vec<&str> = listed.iter().map(|(name, _)| *name).collect();
    let summary = world.get(&sources, "", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.bytes), (7, sizes.iter().sum::<usize>() as u64));
    assert!(summary.failures.is_empty(), "{:?}", summary.failures);
    assert!(listed.iter().all(|(name, body)| world.read(&name[1..]) == *body));
    assert_eq!(world.names().len(), 7);
}

#[tokio::test]
async fn one_failure_does_not_stop_the_others() {
    let mut model = Model::with(&[("/a", b"a"), ("/spoilt", b"bbb"), ("/c", b"c")]);
    model.spoils = Some(b"spoilt");
    let mut world = World::with(&model).await;
    let summary = world.get(&["/a", "/missing", "/spoilt", "/c"], "", PLAIN).await.unwrap();
    assert_eq!(summary.files, 2);
    let failed: Vec<_> =
        summary.failures.iter().map(|one| (one.what.as_str(), one.status.unwrap())).collect();
    assert_eq!(failed.len(), 2);
    assert!(failed.contains(&("/missing", Status::NoSuchFile)));
    assert!(failed.contains(&("/spoilt", Status::DigestMismatch)));
    assert_eq!(world.names(), ["a", "c"]);
}

#[tokio::test]
async fn equal_files_are_left_alone_and_different_ones_saved_under_a_new_name() {
    let model = Model::with(&[("/same", b"123"), ("/other", b"123"), ("/longer", b"1234")]);
    let mut world = World::with(&model).await;
    for name in ["same", "other", "longer", "other.new"] {
        world.write(name, if name == "same" { b"123" } else { b"abc" });
    }
    let summary = world.get(&["/same", "/other", "/longer"], "", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.unchanged), (2, 1));
    assert_eq!(*model.sent.lock().unwrap(), 2);
    assert_eq!((world.read("other"), world.read("other.new")), (b"abc".to_vec(), b"abc".to_vec()));
    assert_eq!(world.read("other.new.1"), b"123");
    assert_eq!(world.read("longer.new"), b"1234");
    let saved = SavedFile { wanted: world.path("other"), saved: world.path("other.new.1") };
    assert!(summary.saved_as.contains(&saved), "{:?}", summary.saved_as);
}

#[tokio::test]
async fn force_replaces_and_a_directory_in_the_way_is_a_failure() {
    let mut world = World::with(&Model::with(&[("/a", b"new"), ("/d", b"new")])).await;
    world.write("a", b"old");
    world.write("d/keep", b"kept");
    let summary = world.get(&["/a", "/d"], "", FORCE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 1));
    assert!(summary.failures[0].why.contains("directory"), "{:?}", summary.failures);
    assert_eq!(world.read("a"), b"new");
    assert_eq!(world.names(), ["a", "d"]);
}

#[tokio::test]
async fn a_tree_goes_into_a_directory_or_to_a_new_name() {
    let files: [(&str, &[u8]); 4] = [("/www/", b""), ("/www/a", b"1"), ("/www/d/", b""), ("/www/d/b", b"2")];
    let model = Model::with(&[files.as_slice(), &[("/www/empty/", b"")]].concat());
    let mut world = World::with(&model).await;
    assert_eq!(world.get(&["/www"], "", RECURSIVE).await.unwrap().files, 2);
    assert_eq!(world.read("www/d/b"), b"2");
    assert!(world.path("www/empty").is_dir());
    assert_eq!(world.get(&["/www"], "copy", RECURSIVE).await.unwrap().files, 2);
    assert_eq!(world.read("copy/d/b"), b"2");
    // The second time there is nothing to do, and nothing is sent.
    let sent = *model.sent.lock().unwrap();
    let again = world.get(&["/www"], "", RECURSIVE).await.unwrap();
    assert_eq!((again.files, again.unchanged, *model.sent.lock().unwrap()), (0, 2, sent));
    // The top has no name, so its entries are stored in the directory itself.
    assert_eq!(world.get(&["/"], "all", RECURSIVE).await.unwrap().files, 2);
    assert_eq!(world.read("all/www/d/b"), b"2");
    std::fs::create_dir(world.path("there")).unwrap();
    assert_eq!(world.get(&["/"], "there", RECURSIVE).await.unwrap().files, 2);
    assert_eq!(world.read("there/www/a"), b"1");
}

#[tokio::test]
async fn many_directories_are_fetched() {
    let names: Vec<[String; 2]> = (0..700).map(|one| [format!("/t/{one}/"), format!("/t/{one}/x")]).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("/t/", b"")];
    files.extend(names.iter().flatten().map(|name| (name.as_str(), name.as_bytes())));
    let mut world = World::with(&Model::with(&files)).await;
    let summary = world.get(&["/t"], "", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (700, 0), "{:?}", summary.failures);
    assert_eq!(world.read("t/699/x"), b"/t/699/x");
}

#[tokio::test]
async fn a_tree_arrives_in_any_number_of_batches() {
    let names: Vec<String> = (0..60).map(|one| format!("/t/{}/{}/{one}", one % 3, one % 4)).collect();
    let mut files: Vec<(String, Vec<u8>)> =
        names.iter().map(|name| (name.clone(), name.clone().into_bytes())).collect();
    for directory in ["/t/".into(), "/t/0/empty/".into()]
        .into_iter()
        .chain((0..3).map(|one| format!("/t/{one}/")))
        .chain((0..12).map(|one| format!("/t/{}/{}/", one % 3, one / 3)))
    {
        files.push((directory, Vec::new()));
    }
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, body)| (name.as_str(), body.as_slice())).collect();
    for batch_entries in [1, 2, 7, 20, 70, 1000] {
        let mut world = World::with(&Model::with(&files)).await;
        let summary = world.get(&["/t"], "", TransferOptions { batch_entries, ..RECURSIVE }).await.unwrap();
        assert_eq!(
            (summary.files, summary.failures.len()),
            (60, 0),
            "{batch_entries}: {:?}",
            summary.failures
        );
        assert!(names.iter().all(|name| world.read(&name[1..]) == name.as_bytes()), "{batch_entries}");
        assert!(world.path("t/0/empty").is_dir(), "{batch_entries}");
    }
}

#[tokio::test]
async fn trees_with_one_target_directory_are_one_batch() {
    let model = Model::with(&[("/a/", b""), ("/a/t/", b""), ("/a/t/x", b"1"), ("/b/", b""), ("/b/t/", b"")]);
    model.files.lock().unwrap().insert(b"/b/t/x".to_vec(), Some(b"2".to_vec()));
    let mut world = World::with(&model).await;
    let options = TransferOptions { batch_entries: 1, force: true, ..RECURSIVE };
    let summary = world.get(&["/a/t", "/b/t"], "", options).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 1), "{:?}", summary.failures);
    assert_eq!(world.read("t/x"), b"1");
}

#[tokio::test]
async fn several_sources_need_a_directory() {
    let mut world = World::with(&Model::with(&[("/a", b"1"), ("/b", b"2")])).await;
    let error = world.get(&["/a", "/b"], "missing", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Local(_)), "{error}");
    assert!(world.names().is_empty());
}

#[tokio::test]
async fn of_several_files_with_one_name_the_first_is_fetched() {
    let names = ["/1/x", "/2/x", "/3/x"];
    let model = Model::with(&names.map(|name| (name, name.as_bytes())));
    for options in [PLAIN, FORCE] {
        let mut world = World::with(&model).await;
        for run in 0..2 {
            let summary = world.get(&names, "", options).await.unwrap();
            assert_eq!((summary.files, summary.unchanged, summary.failures.len()), (1 - run, run, 2));
            assert!(summary.failures[0].why.starts_with("will not overwrite just-created "));
            assert_eq!((world.read("x"), world.names()), (b"/1/x".to_vec(), vec!["x".to_owned()]));
        }
        // Naming a source twice is not an error.
        let summary = world.get(&["/1/x", "/1/x"], "", options).await.unwrap();
        assert_eq!((summary.unchanged, summary.skipped.len(), summary.failures.len()), (1, 1, 0));
    }
}

#[tokio::test]
async fn files_saved_under_a_new_name_are_never_replaced() {
    let mut world = World::with(&Model::with(&[("/a", b"theirs")])).await;
    for (name, content) in [("a", "mine"), ("a.new", "first"), ("a.new.1", "second"), ("a.new.3", "fourth")] {
        world.write(name, content.as_bytes());
    }
    for _ in 0..2 {
        let summary = world.get(&["/a"], "", PLAIN).await.unwrap();
        assert_eq!(
            summary.saved_as[..],
            [SavedFile { wanted: world.path("a"), saved: world.path("a.new.2") }]
        );
        // The second time, the content exists already.
        assert_eq!(world.names(), ["a", "a.new", "a.new.1", "a.new.2", "a.new.3"]);
    }
    let read = |name: &str| String::from_utf8(world.read(name)).unwrap();
    assert_eq!((read("a"), read("a.new"), read("a.new.1")), ("mine".into(), "first".into(), "second".into()));
    assert_eq!((read("a.new.2"), read("a.new.3")), ("theirs".into(), "fourth".into()));
}

#[tokio::test]
async fn no_file_of_a_get_replaces_another() {
    // `a` would be saved as `a.new`, a name that the server has as well: in either order, fetched or already local.
    for (order, theirs) in [(["/a", "/a.new"], "x"), (["/a.new", "/a"], "x"), (["/a", "/a.new"], "its own")] {
        let model = Model::with(&[("/a", b"of a"), ("/a.new", b"its own")]);
        let mut world = World::with(&model).await;
        world.write("a", b"mine");
        if theirs != "x" {
            world.write("a.new", theirs.as_bytes());
        }
        let summary = world.get(&order, "", PLAIN).await.unwrap();
        assert_eq!((world.read("a"), world.read("a.new")), (b"mine".to_vec(), b"its own".to_vec()));
        assert_eq!((summary.files + summary.unchanged, summary.failures.len()), (2, 0));
        assert_eq!(world.read("a.new.1"), b"of a");
        assert_eq!(world.names(), ["a", "a.new", "a.new.1"]);
    }
}

#[tokio::test]
async fn a_directory_is_fetched_with_r_only() {
    let mut world = World::with(&Model::with(&[("/d/", b""), ("/f", b"1")])).await;
    std::fs::create_dir(world.path("d")).unwrap();
    std::fs::create_dir(world.path("f")).unwrap();
    let summary = world.get(&["/d", "/f"], "", PLAIN).await.unwrap();
    let why: Vec<&str> = summary.failures.iter().map(|failure| failure.why.as_str()).collect();
    assert_eq!(why[0], "is a directory: use get -r");
    assert!(why[1].starts_with("a local directory has this name"), "{why:?}");
}

#[tokio::test]
async fn a_length_other_than_announced_is_refused() {
    for (header, end) in [(5, 3), (3, 5), (5, 5), (2, 3), (u64::MAX, u64::MAX)] {
        let model = Model { lengths: Some((header, end)), ..Model::with(&[("/a", b"123"), ("/b", b"456")]) };
        let mut world = World::with(&model).await;
        let summary = world.get(&["/a", "/b"], "", PLAIN).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (0, 2), "{header} {end}");
        assert!(world.names().is_empty());
    }
}

#[tokio::test]
async fn absurd_sizes_do_no_harm() {
    let mut model = Model::with(&[("/t/", b""), ("/t/good", b"1")]);
    model.lies = vec![entry(b"x", FileKind::File, u64::MAX), entry(b"y", FileKind::File, u64::MAX)];
    let mut world = World::with(&model).await;
    let summary = world.get(&["/t"], "in", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 2));
}

#[tokio::test]
async fn progress_may_precede_a_header() {
    let model = Model { works: true, ..Model::with(&[("/a", b"123"), ("/b", b"456")]) };
    let mut world = World::with(&model).await;
    assert_eq!(world.get(&["/a", "/b"], "", PLAIN).await.unwrap().files, 2);
}

#[tokio::test]
async fn a_server_cannot_write_outside_the_destination() {
    let mut model = Model::with(&[("/t/", b""), ("/t/good", b"1")]);
    for name in [&b"../evil"[..], b"..", b"/etc/evil", b"", b"a/b", b"nul\0", b".good.sshome-part"] {
        model.lies.push(entry(name, FileKind::File, 1));
        model.lies.push(entry(name, FileKind::Directory, 0));
    }
    let mut world = World::with(&model).await;
    let summary = world.get(&["/t"], "in", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 14));
    assert_eq!(world.names(), ["in"]);
    assert_eq!(std::fs::read_dir(world.path("in")).unwrap().count(), 1);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[tokio::test]
    async fn planted_links_are_not_followed() {
        let model = Model::with(&[("/t/", b""), ("/t/d/", b""), ("/t/d/x", b"1"), ("/t/f", b"2")]);
        let mut world = World::with(&model).await;
        world.write("outside/f", b"mine");
        std::fs::create_dir(world.path("t")).unwrap();
        symlink(world.path("outside"), world.path("t/d")).unwrap();
        symlink(world.path("outside/f"), world.path("t/f")).unwrap();
        let force = TransferOptions { force: true, ..RECURSIVE };
        let summary = world.get(&["/t"], "", force).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (1, 1), "{:?}", summary.failures);
        assert_eq!(world.read("outside/f"), b"mine");
        assert_eq!(std::fs::read_dir(world.path("outside")).unwrap().count(), 1);
        assert!(!world.path("t/f").is_symlink());
    }

    #[tokio::test]
    async fn with_force_the_target_of_a_link_is_replaced() {
        let mut world = World::with(&Model::with(&[("/a", b"new")])).await;
        world.write("real", b"old");
        symlink("real", world.path("a")).unwrap();
        world.get(&["/a"], "", FORCE).await.unwrap();
        assert_eq!(world.read("real"), b"new");
        assert!(world.path("a").is_symlink());
    }

    #[tokio::test]
    async fn modes_and_times_are_kept_with_p_only() {
        let mut world = World::with(&Model::with(&[("/a", b"new"), ("/b", b"new")])).await;
        world.write("b", b"old");
        std::fs::set_permissions(world.path("b"), std::os::unix::fs::PermissionsExt::from_mode(0o604))
            .unwrap();
        let seen = |world: &World, name: &str| {
            let seen = std::fs::metadata(world.path(name)).unwrap();
            (seen.mode() & 0o777, seen.mtime())
        };
        world.get(&["/b"], "", FORCE).await.unwrap();
        assert_eq!(seen(&world, "b").0, 0o604);
        world.get(&["/a"], "", TransferOptions { preserve: true, ..PLAIN }).await.unwrap();
        assert_eq!(seen(&world, "a"), (0o640, 1_000_000_000));
    }
}

#[tokio::test]
async fn an_interrupted_get_keeps_whole_files_and_the_conversation() {
    let mut model = Model::with(&[("/whole", b"1"), ("/big", &content(30 << 20)), ("/small", b"1")]);
    model.interrupts = Some(b"big");
    let mut world = World::with(&model).await;
    let error = world.get(&["/whole", "/big"], "", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Cancelled));
    assert!(world.names().iter().all(|name| name == "whole"), "{:?}", world.names());
    world.cancel = CancellationToken::new();
    assert_eq!(world.get(&["/small"], "", PLAIN).await.unwrap().files, 1);
}
