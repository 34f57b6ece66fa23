//! Servers that lie, and trees that change meanwhile.

use bytes::Bytes;
use sshome_e2e::tree::{described, paths};
use sshome_e2e::{Liar, Outcome, end_of};
use sshome_wire::{Entries, Entry, FileKind, Frame, Header, Payload, Reply, Request, Status, Time};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

fn entry(name: &[u8], kind: FileKind) -> Entry {
    let (name, target) = (name.to_vec(), Vec::new());
    Entry { name, kind, size: 4, mtime: Time { seconds: 9, nanoseconds: 0 }, mode: 0o755, links: 1, target }
}

fn directory() -> Frame {
    Frame::Reply(Reply::with(Payload::Stat(entry(b"", FileKind::Directory))))
}

fn entries(entries: Vec<Entry>) -> Frame {
    Frame::Entries(Entries { directory: Vec::new(), entries })
}

/// A server whose directory `/t` is answered like this, and whose every other directory is empty.
async fn lister(
    answer: impl Fn() -> Vec<Frame> + Send + Sync + 'static,
    on_get: impl Fn() + Send + Sync + 'static,
) -> Liar {
    let respond = move |frame| match frame {
        Frame::Request(Request::Ls { path, .. }) if path == b"/t" => answer(),
        Frame::Request(Request::Ls { .. }) => vec![directory()],
        Frame::Request(Request::Stat { .. }) => vec![directory()],
        Frame::Request(Request::RealPath { path }) => vec![Frame::Reply(Reply::with(Payload::Path(path)))],
        Frame::Request(Request::Get { .. }) => {
            on_get();
            let header =
                Header { size: 4, offset: 0, mtime: Time { seconds: 9, nanoseconds: 0 }, mode: 0o644 };
            vec![Frame::Header(header), Frame::Data(Bytes::from_static(b"evil")), Frame::End(end_of(b"evil"))]
        }
        _ => vec![Frame::Reply(Reply::new(Status::Done, ""))],
    };
    Liar::start("", respond).await.unwrap()
}

/// A local tree with something to lose, and something beside it.
fn plant(work: &Path) {
    for name in ["t/keep", "t/old/deep/x", "beside/t/y"] {
        let path = work.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    symlink("../beside", work.join("t/link")).unwrap();
}

/// Pulls `/t` with `--delete` from a server with this listing.
async fn pull(
    answer: impl Fn() -> Vec<Frame> + Send + Sync + 'static,
) -> (Outcome, Vec<String>, Vec<String>) {
    let liar = lister(answer, || {}).await;
    let client = liar.client().unwrap();
    plant(&client.work());
    let top = client.work().parent().unwrap().to_owned();
    let before = described(&top);
    let outcome = client.run(["--retries", "0", "pull", "--delete", "/t", "t"]).unwrap();
    (outcome, before, described(&top))
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_out_are_refused_and_nothing_is_deleted() {
    let names: [&[u8]; 10] =
        [b"../beside", b"..", b".", b"", b"/etc", b"a/b", b"old/../../beside", b"old/", b"nul\0", b"/"];
    for name in names {
        for kind in [FileKind::File, FileKind::Directory, FileKind::Symlink] {
            let (outcome, before, after) = pull(move || {
                vec![entries(vec![entry(name, kind), entry(b"keep", FileKind::File)]), directory()]
            })
            .await;
            assert_eq!(outcome.code, Some(1), "{outcome}");
            assert!(outcome.err().contains("nothing is deleted: first fix what failed"), "{outcome}");
            let changed = |line: &&String| {
                !before.contains(line) && !line.starts_with("work/t/ ") && !line.starts_with("work/t/keep ")
            };
            assert_eq!(after.iter().find(changed), None, "{}: {outcome}", name.escape_ascii());
            assert_eq!(after.len(), before.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_listed_twice_prevents_deletion() {
    for second in [FileKind::File, FileKind::Directory] {
        let (outcome, before, after) = pull(move || {
            vec![entries(vec![entry(b"keep", FileKind::File), entry(b"keep", second)]), directory()]
        })
        .await;
        assert!(outcome.code == Some(1) && outcome.err().contains("it was listed twice"), "{outcome}");
        assert_eq!(after.len(), before.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_ends_early_deletes_nothing() {
    let some = || entries(vec![entry(b"keep", FileKind::File)]);
    let failed = Frame::Reply(Reply::new(Status::Failed, "the disk failed"));
    let no_directory = Frame::Reply(Reply::with(Payload::Stat(entry(b"", FileKind::File))));
    let no_entry = Frame::Reply(Reply::new(Status::Done, ""));
    let broken = Frame::Data(Bytes::from_static(b"x"));
    for (last, code) in [(failed, 1), (no_directory, 1), (no_entry, 1), (broken, 3)] {
        let (outcome, before, after) = pull(move || vec![some(), last.clone()]).await;
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert_eq!(after, before, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_vanishes_before_it_is_listed_deletes_nothing() {
    let liar = Liar::start("", |frame| match frame {
        Frame::Request(Request::Ls { path, .. }) if path == b"/t" => {
            vec![entries(vec![entry(b"old", FileKind::Directory)]), directory()]
        }
        Frame::Request(Request::Ls { .. }) => {
            vec![Frame::Reply(Reply::new(Status::NoSuchDirectory, "it is gone"))]
        }
        Frame::Request(Request::RealPath { path }) => vec![Frame::Reply(Reply::with(Payload::Path(path)))],
        _ => vec![directory()],
    })
    .await
    .unwrap();
    let client = liar.client().unwrap();
    plant(&client.work());
    let before = paths(&client.work());
    let outcome = client.run(["pull", "--delete", "/t", "t"]).unwrap();
    assert!(outcome.code == Some(1) && outcome.err().contains("it is gone"), "{outcome}");
    assert_eq!(paths(&client.work()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_the_same_need_no_request() {
    let asked: Arc<Mutex<Vec<Frame>>> = Arc::default();
    let own = Arc::clone(&asked);
    let names: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let listed = names.clone();
    let liar = Liar::start("", move |frame| {
        own.lock().unwrap().push(frame.clone());
        match frame {
            Frame::Request(Request::Ls { .. }) => {
                let files = listed.iter().map(|name| entry(name.as_bytes(), FileKind::File));
                vec![entries(files.collect()), directory()]
            }
            Frame::Request(Request::RealPath { path }) => {
                vec![Frame::Reply(Reply::with(Payload::Path(path)))]
            }
            _ => vec![directory()],
        }
    })
    .await
    .unwrap();
    let client = liar.client().unwrap();
    fs::create_dir(client.work().join("t")).unwrap();
    for name in names {
        let path = client.work().join("t").join(name);
        fs::write(&path, "1234").unwrap();
        fs::File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(9)).unwrap();
    }
    let outcome = client.run(["pull", "/t", "t"]).unwrap();
    assert!(outcome.code == Some(0) && outcome.out().ends_with(", 2000 unchanged\n"), "{outcome}");
    let asked = asked.lock().unwrap();
    assert!(asked.len() < 10, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_during_a_listing_deletes_nothing() {
    let hang_up: Arc<Mutex<Option<Arc<Liar>>>> = Arc::default();
    let own = Arc::clone(&hang_up);
    let answer = move || {
        if let Some(liar) = &*own.lock().unwrap() {
            liar.hang_up();
        }
        vec![entries(vec![entry(b"keep", FileKind::File)])]
    };
    let liar = Arc::new(lister(answer, || {}).await);
    *hang_up.lock().unwrap() = Some(Arc::clone(&liar));
    let client = liar.client().unwrap();
    plant(&client.work());
    let before = described(&client.work());
    let outcome = client.run(["--retries", "0", "pull", "--delete", "/t", "t"]).unwrap();
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(described(&client.work()), before);
    hang_up.lock().unwrap().take();
}

/// Pulls one file and deletes all others of a tree, which is changed when the listings were compared and the file is on its
/// way. Returns the paths that are left.
async fn pull_while(files: &[&str], change: fn(&Path)) -> (Outcome, Vec<String>) {
    let work: Arc<Mutex<PathBuf>> = Arc::default();
    let own = Arc::clone(&work);
    let listing = || vec![entries(vec![entry(b"fetched", FileKind::File)]), directory()];
    let liar = lister(listing, move || change(&own.lock().unwrap().join("t"))).await;
    let client = liar.client().unwrap();
    plant(&client.work());
    for name in files {
        let path = client.work().join("t").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    *work.lock().unwrap() = client.work();
    let outcome = client.run(["pull", "--delete", "/t", "t"]).unwrap();
    (outcome, paths(&client.work()))
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_have_changed_since_they_were_listed_stay() {
    let change = |top: &Path| {
        fs::write(top.join("longer"), "longer than it was").unwrap();
        fs::File::open(top.join("touched")).unwrap().set_modified(UNIX_EPOCH).unwrap();
        for name in ["now-a-link", "now-a-directory", "vanished"] {
            fs::remove_file(top.join(name)).unwrap();
        }
        symlink("../beside", top.join("now-a-link")).unwrap();
        fs::create_dir(top.join("now-a-directory")).unwrap();
        fs::write(top.join("appeared"), "").unwrap();
    };
    let files = ["longer", "touched", "now-a-link", "now-a-directory", "vanished", "deleted"];
    let (outcome, left) = pull_while(&files, change).await;
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("it has changed since it was listed"), "{outcome}");
    let all = ["appeared", "fetched", "longer", "now-a-directory", "now-a-link", "touched"];
    let in_tree: Vec<_> = left.iter().filter_map(|path| path.strip_prefix("t/")).collect();
    assert_eq!(in_tree, all, "{outcome}");
    assert!(left.contains(&"beside/t/y".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_directory_that_was_swapped_for_a_link_leads_nowhere() {
    let change = |top: &Path| {
        fs::rename(top.join("swapped"), top.join("moved")).unwrap();
        symlink("../beside", top.join("swapped")).unwrap();
    };
    let (outcome, left) = pull_while(&["swapped/t/y"], change).await;
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("nothing is deleted: a directory could not be listed"), "{outcome}");
    for path in ["beside/t/y", "t/moved/t/y", "t/swapped", "t/keep"] {
        assert!(left.contains(&path.to_owned()), "{path}: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_appears_under_a_name_that_was_free_is_not_replaced() {
    let appear = |top: &Path| fs::write(top.join("fetched"), "mine").unwrap();
    let (outcome, left) = pull_while(&[], appear).await;
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("fetched has appeared since the comparison"), "{outcome}");
    assert!(left.contains(&"t/keep".to_owned()) && !left.iter().any(|path| path.ends_with("sshome-part")));
}
