//! The first requests of a recursive get.

use super::*;
use crate::conversation::peer::{ScriptedPeer, connect, hello};
use sshome_wire::{Entry, Features, FileKind, Frame, Hello, Payload, Reply, Status, Time};

/// Gets `/t` recursively from a server that follows a script.
async fn get_from<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(ScriptedPeer) -> F + Send + 'static,
) -> TransferSummary {
    let hello = Hello { features: Features::REAL_PATH, ..hello(4096) };
    let talk = connect(hello, script).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let (cancel, progress) = (CancellationToken::new(), ProgressDisplay::new(false));
    let mut world = World { talk, cancel, progress, retries: 0, place };
    let options = TransferOptions { recursive: true, ..TransferOptions::default() };
    world.get(&["/t"], "", options).await.unwrap()
}

/// Hears what is requested before anything is answered, and says what `/t` is and which path it has without links.
async fn answer(peer: &mut ScriptedPeer, kind: FileKind, real: &str) {
    let path = || b"/t".to_vec();
    assert_eq!(peer.hear_request().await, Request::Stat { path: path(), follow: true });
    assert_eq!(peer.hear_request().await, Request::RealPath { path: path() });
    assert_eq!(peer.hear_request().await, Request::Ls { path: path(), recursive: true });
    peer.say(stat(kind)).await;
    peer.say(Frame::Reply(Reply::with(Payload::Path(real.into())))).await;
}

fn stat(kind: FileKind) -> Frame {
    let (mtime, target) = (Time::default(), Vec::new());
    let entry = Entry { name: b"t".to_vec(), kind, size: 0, mtime, mode: 0o755, links: 1, target };
    Frame::Reply(Reply::with(Payload::Stat(entry)))
}

#[tokio::test]
async fn the_only_source_is_listed_in_the_round_trip_that_resolves_it() {
    let summary = get_from(|mut peer| async move {
        answer(&mut peer, FileKind::Directory, "/t").await;
        peer.say(stat(FileKind::Directory)).await;
        assert_eq!(peer.hear().await, None, "it is listed once");
    });
    assert!(summary.await.failures.is_empty());
}

#[tokio::test]
async fn a_directory_behind_a_link_is_listed_under_its_own_path() {
    let summary = get_from(|mut peer| async move {
        answer(&mut peer, FileKind::Directory, "/real").await;
        assert_eq!(peer.hear().await, Some(Frame::Cancel));
        peer.reply(Status::Cancelled).await;
        peer.reply(Status::Done).await;
        assert_eq!(peer.hear_request().await, Request::Ls { path: b"/real".to_vec(), recursive: true });
        peer.say(stat(FileKind::Directory)).await;
        peer.hear().await;
    });
    assert!(summary.await.failures.is_empty());
}

#[tokio::test]
async fn a_file_is_requested_at_once_and_the_answer_to_its_listing_is_ignored() {
    let summary = get_from(|mut peer| async move {
        answer(&mut peer, FileKind::File, "/t").await;
        peer.say(stat(FileKind::File)).await;
        let request = peer.hear_request().await;
        assert!(matches!(request, Request::Get { .. }), "{request:?}");
        peer.reply(Status::NoSuchFile).await;
        peer.hear().await;
    });
    assert_eq!(summary.await.failures[0].status, Some(Status::NoSuchFile));
}
