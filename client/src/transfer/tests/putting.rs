use super::model::Model;
use super::*;

#[tokio::test]
async fn files_of_every_size_arrive_in_one_go() {
    let sizes = [0, 1, 100_000, (256 << 10) - 5, 256 << 10, 3 << 20];
    let model = Model::with(&[]);
    let mut world = World::with(&model).await;
    let names = sizes.map(|size| size.to_string());
    names.iter().zip(sizes).for_each(|(name, size)| world.write(name, &content(size)));
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let summary = world.put(&sources, "/", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.bytes), (6, sizes.iter().sum::<usize>() as u64));
    for (name, size) in names.iter().zip(sizes) {
        assert!(model.file(&format!("/{name}")) == Some(content(size)), "{name}");
    }
}

#[tokio::test]
async fn a_tree_goes_into_a_directory_or_to_a_new_name() {
    let model = Model::with(&[("/www/", b"")]);
    let mut world = World::with(&model).await;
    for number in 0..3000 {
        world.write(&format!("site/d{}/{number}", number % 7), number.to_string().as_bytes());
    }
    assert_eq!(world.put(&["site/."], "/www", RECURSIVE).await.unwrap().files, 3000);
    assert_eq!(model.file("/www/site/d1/1"), Some(b"1".to_vec()));
    assert_eq!(world.put(&["site"], "/new", RECURSIVE).await.unwrap().files, 3000);
    assert_eq!(model.file("/new/d0/2996"), Some(b"2996".to_vec()));
    // Existing directories are no failures.
    assert_eq!(world.put(&["site"], "/www", RECURSIVE).await.unwrap().failures[..], []);
}

#[tokio::test]
async fn a_file_that_is_refused_early_does_not_stop_the_others() {
    for refused in [1, 20 << 20] {
        let mut model = Model::with(&[]);
        model.refuses = Some(b"no");
        let mut world = World::with(&model).await;
        world.write("a", &content(1 << 20));
        world.write("no", &content(refused));
        world.write("z", b"z");
        let summary = world.put(&["a", "no", "no", "z"], "/", PLAIN).await.unwrap();
        assert_eq!((summary.files, summary.failures.len(), summary.skipped.len()), (2, 1, 1));
        let failure = &summary.failures[0];
        assert_eq!((failure.what.as_str(), failure.why.as_str()), ("/no", "full\\x1b"));
        assert_eq!(failure.status, Some(Status::QuotaExceeded));
        assert_eq!(model.file("/z"), Some(b"z".to_vec()));
    }
}

#[tokio::test]
async fn unreadable_files_are_reported_and_the_rest_is_sent() {
    let model = Model::with(&[]);
    let mut world = World::with(&model).await;
    world.write("d/a", b"1");
    world.write("b", b"2");
    let summary = world.put(&["missing", "d", "b"], "/", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 2));
    let error = world.put(&["b", "b"], "/nowhere", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Local(_)), "{error}");
    // A file in the way of a directory.
    model.files.lock().unwrap().insert(b"/d".to_vec(), Some(vec![]));
    let summary = world.put(&["d"], "/", RECURSIVE).await.unwrap();
    assert_eq!(summary.failures[0].status, Some(Status::FileExists));
}

#[tokio::test]
async fn of_several_files_with_one_name_the_first_is_sent() {
    let model = Model::with(&[("/dir/", b"")]);
    let mut world = World::with(&model).await;
    for file in ["1/x", "2/x", "1/t/f", "2/t/f", "2/t/other"] {
        world.write(file, file.as_bytes());
    }
    for _ in 0..2 {
        let sources = ["1/x", "2/x", "1/t", "2/t"];
        let summary = world.put(&sources, "/dir", RECURSIVE).await.unwrap();
        let why: Vec<&str> = summary.failures.iter().map(|failure| failure.why.as_str()).collect();
        assert_eq!(
            why,
            ["will not overwrite just-created /dir/x", "will not overwrite just-created /dir/t/f"]
        );
        assert_eq!(summary.files, 3);
        for (path, content) in [("x", "1/x"), ("t/f", "1/t/f"), ("t/other", "2/t/other")] {
            assert_eq!(model.file(&format!("/dir/{path}")), Some(content.as_bytes().to_vec()));
        }
    }
}

#[tokio::test]
async fn only_done_means_stored() {
    for answer in [Status::Understood, Status::FileExists, Status::EnoughSpace, Status::Resuming] {
        let mut world = World::with(&Model { answers: Some(answer), works: true, ..Model::default() }).await;
        world.write("a", b"1");
        let summary = world.put(&["a"], "/", PLAIN).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (0, 1), "{answer}");
    }
}

#[tokio::test]
async fn an_interrupted_put_leaves_a_conversation_that_works() {
    let model = Model { interrupts: Some(b"big"), ..Model::default() };
    let mut world = World::with(&model).await;
    world.write("big", &content(40 << 20));
    world.write("small", b"1");
    let error = world.put(&["small", "big"], "/", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Cancelled));
    assert_eq!(model.file("/big"), None);
    world.cancel = CancellationToken::new();
    assert_eq!(world.put(&["small"], "/", PLAIN).await.unwrap().files, 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn links_in_a_tree_are_copied_and_pipes_are_skipped_and_reported() {
    let model = Model::with(&[]);
    let mut world = World::with(&model).await;
    world.write("t/a", b"1");
    std::os::unix::fs::symlink("a", world.path("t/link")).unwrap();
    let pipe = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, world.path("t/pipe"), rustix::fs::FileType::Fifo, pipe, 0).unwrap();
    let summary = world.put(&["t"], "/t", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.links, summary.skipped.len(), summary.failures.len()), (1, 1, 1, 0));
}

#[tokio::test]
async fn a_put_waits_for_a_server_that_is_busy() {
    for (busy, size) in [(1, 1), (2, 100), (3, 20 << 20)] {
        let model = Model::with(&[]);
        *model.busy.lock().unwrap() = busy;
        let mut world = World::with(&model).await;
        world.retries = 4;
        for name in ["t/a", "t/d/b", "t/d/c"] {
            world.write(name, &content(size));
        }
        let summary = world.put(&["t"], "/", RECURSIVE).await.unwrap();
        assert_eq!((summary.files, summary.bytes), (3, 3 * size as u64), "{busy} {size}");
        assert_eq!(summary.failures[..], []);
        for name in ["/t/a", "/t/d/b", "/t/d/c"] {
            assert!(model.file(name) == Some(content(size)), "{name}");
        }
    }
}

#[tokio::test]
async fn a_put_to_a_server_that_stays_busy_fails_with_its_reason() {
    for retries in [0, 3] {
        let model = Model::with(&[]);
        *model.busy.lock().unwrap() = usize::MAX;
        let mut world = World::with(&model).await;
        world.retries = retries;
        world.write("a", b"1");
        let summary = world.put(&["a"], "/", PLAIN).await.unwrap();
        let [failure] = &summary.failures[..] else { panic!("{:?}", summary.failures) };
        assert_eq!(failure.status, Some(Status::Busy));
        assert_eq!(failure.why, "your home is being counted, 7 entries so far");
        // The first try and the retries.
        assert_eq!(*model.busy.lock().unwrap(), usize::MAX - 1 - retries as usize);
    }
}
