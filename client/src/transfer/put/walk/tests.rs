use super::*;
use std::os::unix::fs::symlink;

fn plain() -> TransferOptions {
    TransferOptions::default()
}

fn recursive() -> TransferOptions {
    TransferOptions { recursive: true, ..plain() }
}

#[test]
fn a_tree_is_walked_in_order_and_its_links_are_links() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("t/b/c")).unwrap();
    fs::write(path("t/b/c/2"), "").unwrap();
    fs::write(path("t/a"), "").unwrap();
    symlink("/etc", path("t/link")).unwrap();
    symlink("/etc/passwd", path("t/b/file-link")).unwrap();
    let sources = vec![(path("t"), RemotePath::root().join(b"/www").unwrap())];
    let seen: Vec<String> = UploadWalk::new(sources.clone(), recursive())
        .map(|item| match item {
            UploadItem::Directory(directory) => format!("{}/", directory.to),
            UploadItem::File { to, follow, .. } => format!("{to} {follow}"),
            UploadItem::Link { to, target, .. } => {
                format!("{to} -> {}", String::from_utf8(target).unwrap())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let want = ["/www/", "/www/a false", "/www/b/", "/www/b/c/", "/www/b/c/2 false"];
    let links = ["/www/b/file-link -> /etc/passwd", "/www/link -> /etc"];
    let want = [&want[..], &links].concat();
    assert_eq!(seen, want);
    assert_eq!(measure(sources.clone(), recursive()), Load { files: 2, bytes: 0, parts: 2 });
    assert!(matches!(UploadWalk::new(sources, plain()).next(), Some(UploadItem::Failed(_))));
}

#[test]
fn only_directories_share_a_path() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for file in ["a/d/x", "a/d/one", "b/d/x", "b/d/other", "a/f", "b/f/x"] {
        fs::create_dir_all(path(file).parent().unwrap()).unwrap();
        fs::write(path(file), file).unwrap();
    }
    symlink("one", path("b/d/one")).unwrap();
    let to = |name: &str| RemotePath::root().join(name.as_bytes()).unwrap();
    let sources =
        ["a/d", "b/d", "a/f", "b/f"].map(|from| (path(from), to(from.split('/').next_back().unwrap())));
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    for item in UploadWalk::new(sources.to_vec(), recursive()) {
        match item {
            UploadItem::File { from, .. } => sent.push(fs::read_to_string(from).unwrap()),
            UploadItem::Failed(failure) => refused.push(failure.why),
            UploadItem::Directory(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent, ["a/d/one", "a/d/x", "b/d/other", "a/f"]);
    let why = ["/d/one", "/d/x", "/f"].map(|to| format!("will not overwrite just-created {to}"));
    assert_eq!(refused, why);
    assert_eq!(measure(sources.to_vec(), recursive()).files, 4);
}

#[test]
fn followed_links_do_not_lead_in_circles() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("t/a")).unwrap();
    fs::create_dir_all(path("t/u")).unwrap();
    fs::write(path("t/u/file"), "1").unwrap();
    symlink("..", path("t/a/up")).unwrap();
    symlink("../u", path("t/a/one")).unwrap();
    symlink("u", path("t/two")).unwrap();
    symlink("..", path("t/u/back")).unwrap();
    let sources = vec![(path("t"), RemotePath::root())];
    let walk = || UploadWalk::new(sources.clone(), TransferOptions { follow: true, ..recursive() });
    let files = walk().filter(|item| matches!(item, UploadItem::File { follow: true, .. })).count();
    let circles = walk().filter(|item| matches!(item, UploadItem::Failed(_))).count();
    // u/file by its name, by t/a/one and by t/two; t/a/up and each way back is a circle.
    assert_eq!((files, circles), (3, 4));
}

#[test]
fn followed_links_do_not_lead_out_of_the_tree() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("t/d")).unwrap();
    fs::create_dir_all(path("out/d")).unwrap();
    fs::write(path("out/secret"), "1").unwrap();
    fs::write(path("t/file"), "1").unwrap();
    symlink(path("out/secret"), path("t/d/absolute")).unwrap();
    symlink("../../out/secret", path("t/d/relative")).unwrap();
    symlink("../out", path("t/folder")).unwrap();
    symlink("folder/secret", path("t/by-another")).unwrap();
    symlink("../file", path("t/d/within")).unwrap();
    // What the user names is followed wherever it leads.
    symlink("t", path("named")).unwrap();
    let sources = vec![(path("named"), RemotePath::root())];
    let items: Vec<UploadItem> =
        UploadWalk::new(sources, TransferOptions { follow: true, ..recursive() }).collect();
    let out =
        |item: &&UploadItem| matches!(item, UploadItem::Failed(why) if why.why.contains("outside the tree"));
    assert_eq!(items.iter().filter(out).count(), 4, "{items:?}");
    let files = items.iter().filter_map(|item| match item {
        UploadItem::File { to, .. } => Some(to.to_string()),
        _ => None,
    });
    assert_eq!(files.collect::<Vec<_>>(), ["/d/within", "/file"]);
}

#[test]
fn a_link_that_the_user_named_is_followed() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "x").unwrap();
    symlink("file", place.path().join("link")).unwrap();
    let sources = vec![(place.path().join("link"), RemotePath::root())];
    let items: Vec<UploadItem> = UploadWalk::new(sources, plain()).collect();
    assert!(matches!(items.as_slice(), [UploadItem::File { follow: true, .. }]));
}
