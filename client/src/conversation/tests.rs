use super::peer::{connect, hello};
use super::*;
use sshome_wire::{End, Entries, Entry, Features, FileKind, Session, Time};
use std::time::Duration;

fn pwd_is(path: &[u8]) -> Frame {
    Frame::Reply(Reply::with(Payload::Path(path.to_vec())))
}

fn entry(name: &[u8], kind: FileKind) -> Entry {
    Entry {
        name: name.to_vec(),
        kind,
        size: 0,
        mtime: Time::default(),
        mode: 0o755,
        links: 1,
        target: vec![],
    }
}

#[tokio::test]
async fn only_a_successful_cd_changes_the_directory() {
    let talk = connect(hello(4096), |mut peer| async move {
        assert_eq!(peer.hear_request().await, Request::Cd { path: b"www".to_vec() });
        peer.say(pwd_is(b"/home/www")).await;
        peer.hear_request().await;
        peer.reply(Status::NoSuchDirectory).await;
        peer.hear().await;
    });
    let mut conversation = talk.await.unwrap().conversation;
    assert_eq!(conversation.greeting(), "welcome");
    assert_eq!(conversation.cwd(), &RemotePath::root());
    let cancel = CancellationToken::new();
    conversation.request(Request::Cd { path: b"www".to_vec() }, &cancel).await.unwrap();
    assert_eq!(conversation.absolute(b"../x").unwrap().as_bytes(), b"/home/www/../x");
    let error = conversation.request(Request::Cd { path: b"no".to_vec() }, &cancel).await.unwrap_err();
    assert_eq!(error.to_string(), "no such directory: because (403)");
    assert_eq!(conversation.cwd().as_bytes(), b"/home/www");
}

#[tokio::test]
async fn a_listing_arrives_in_pieces() {
    let talk = connect(hello(1), |mut peer| async move {
        assert_eq!(peer.hear_request().await, Request::Ls { path: b"/".to_vec(), recursive: true });
        for directory in [b"".to_vec(), b"d".to_vec()] {
            let entries = vec![entry(b"x", FileKind::File)];
            peer.say(Frame::Entries(Entries { directory, entries })).await;
        }
        peer.say(Frame::Reply(Reply::with(Payload::Stat(entry(b"/", FileKind::Directory))))).await;
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    let mut seen = Vec::new();
    let mut each = |entries: Entries| seen.push(entries.directory);
    let own = talk.conversation.list(b"/", true, &CancellationToken::new(), &mut each).await.unwrap();
    assert_eq!(own.kind, FileKind::Directory);
    assert_eq!(seen, [b"".to_vec(), b"d".to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_over_a_dead_link_takes_five_seconds() {
    let cancel = CancellationToken::new();
    let raising = cancel.clone();
    let talk = connect(hello(4096), |mut peer| async move {
        peer.hear_request().await;
        raising.cancel();
        std::future::pending::<()>().await;
    });
    let mut talk = talk.await.unwrap();
    let two_minutes = IdleTimeout::new(Duration::from_secs(120), crate::throttle::Throttle::default());
    talk.conversation.set_idle_timeout(two_minutes);
    let begun = tokio::time::Instant::now();
    let error = talk.conversation.request(Request::Pwd, &cancel).await.unwrap_err();
    assert_eq!(error.to_string(), "the connection is lost: no traffic for 5 s");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_cancellation_stops_the_request_and_keeps_the_conversation() {
    let cancel = CancellationToken::new();
    let raising = cancel.clone();
    let talk = connect(hello(4096), |mut peer| async move {
        peer.hear_request().await;
        raising.cancel();
        assert_eq!(peer.hear().await, Some(Frame::Cancel));
        // Frames of the request may still be on their way.
        peer.say(Frame::Progress(Progress { done: 1, total: 2 })).await;
        peer.reply(Status::Cancelled).await;
        peer.reply(Status::Done).await;
        assert_eq!(peer.hear_request().await, Request::Pwd);
        peer.say(pwd_is(b"/")).await;
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    let hash = Request::Hash { path: b"big".to_vec(), verify: false };
    let error = talk.conversation.request(hash, &cancel).await.unwrap_err();
    assert!(matches!(error, ConversationError::Cancelled), "{error}");
    talk.conversation.request(Request::Pwd, &CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn a_request_done_before_the_cancel_arrived_is_not_reported_as_cancelled() {
    let cancel = CancellationToken::new();
    let raising = cancel.clone();
    let talk = connect(hello(4096), |mut peer| async move {
        peer.hear_request().await;
        raising.cancel();
        assert_eq!(peer.hear().await, Some(Frame::Cancel));
        peer.say(pwd_is(b"/new")).await;
        peer.reply(Status::Done).await;
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    talk.conversation.request(Request::Cd { path: b"new".to_vec() }, &cancel).await.unwrap();
    assert_eq!(talk.conversation.cwd().as_bytes(), b"/new");
}

#[tokio::test]
async fn many_questions_are_asked_ahead_of_a_server_that_holds_few() {
    let talk = connect(hello(5), |mut peer| async move {
        // It does not answer before it has received as many requests as it accepts.
        for round in 0..8 {
            for _ in 0..if round == 0 { 5 } else { 3 } {
                peer.hear_request().await;
            }
            for _ in 0..3 {
                peer.reply(Status::Done).await;
            }
        }
        peer.reply(Status::Done).await;
        peer.reply(Status::NoSuchFile).await;
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    let requests = vec![Request::Df; 26].into_iter();
    let mut heard = Vec::new();
    let mut each = |index: usize, reply: Reply| heard.push((index, reply.status));
    talk.conversation.ask_all(requests, &CancellationToken::new(), &mut each).await.unwrap();
    assert!(heard.iter().map(|(index, _)| *index).eq(0..26));
    assert_eq!(heard.last().unwrap().1, Status::NoSuchFile);
}

#[tokio::test]
async fn replies_are_read_while_much_is_sent() {
    // The peer sends more than the window before it reads again: a client that only sends would wait for ever.
    const ROUNDS: usize = 40;
    let talk = connect(hello(4096), |mut peer| async move {
        for _ in 0..ROUNDS {
            for _ in 0..4 {
                peer.say(Frame::Progress(Progress { done: 1, total: 2 })).await;
            }
            let Request::Put(_) = peer.hear_request().await else { panic!() };
            peer.hear_body().await;
            peer.say(Frame::Reply(Reply::new(Status::Done, "x".repeat(200 << 10)))).await;
        }
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    let cancel = CancellationToken::new();
    let put = sshome_wire::Put {
        path: b"x".to_vec(),
        size: None,
        mtime: None,
        source: None,
        mode: None,
        resume: 0,
    };
    let end =
        End { status: Status::Done, message: String::new(), digest: sshome_wire::Digest([0; 32]), size: 0 };
    let frames = [Frame::Request(Request::Put(put)), Frame::Data(vec![7; 200 << 10].into()), Frame::End(end)];
    let (bytes, _) = batch(frames.into_iter()).unwrap();
    for _ in 0..ROUNDS {
        talk.conversation.send(bytes.clone(), 1, &cancel).await.unwrap();
    }
    let mut replies = 0;
    while replies < ROUNDS {
        replies += usize::from(matches!(talk.conversation.receive(&cancel).await.unwrap(), Frame::Reply(_)));
    }
    assert_eq!(talk.conversation.outstanding(), 0);
}

#[tokio::test]
async fn other_versions_and_invalid_limits_are_refused() {
    let versions = Hello { version: 2, ..hello(4096) };
    let error = connect(versions, |_| async {}).await.err().unwrap().to_string();
    assert!(error.contains("version 2") && error.contains("version 1"), "{error}");
    for bad in [hello(0), Hello { max_frame: 100, ..hello(1) }] {
        assert!(matches!(connect(bad, |_| async {}).await, Err(ConversationError::Protocol(_))));
    }
    let full = Hello { status: Status::Busy, ..hello(4096) };
    assert!(matches!(connect(full, |_| async {}).await, Err(ConversationError::Refused(_))));
}

#[tokio::test]
async fn an_unrequested_frame_ends_the_conversation() {
    let talk = connect(hello(4096), |mut peer| async move {
        peer.hear_request().await;
        peer.say(Frame::Cancel).await;
        peer.hear().await;
    });
    let mut talk = talk.await.unwrap();
    let error = talk.conversation.request(Request::Pwd, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ConversationError::Protocol(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_the_channel_is_a_lost_connection() {
    let talk = connect(hello(4096), |mut peer| async move {
        peer.hear_request().await;
    });
    let mut talk = talk.await.unwrap();
    // The script's end closes its half.
    let error = talk.conversation.request(Request::Pwd, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_knows_sessions_says_what_the_login_may_do() {
    let session = Session { reads: true, adds: true, changes: false, time: Time::default() };
    let knows = Hello { features: Features::SESSION, ..hello(1) };
    let talk = connect(knows.clone(), move |mut peer| async move {
        peer.say(Frame::Session(session)).await;
        peer.hear().await;
    });
    let conversation = talk.await.unwrap().conversation;
    assert_eq!(conversation.session(), Some(&session));
    assert!(conversation.clock_difference().unwrap() > Duration::from_secs(1 << 30));
    // An older one does not.
    let talk = connect(hello(1), |mut peer| async move { drop(peer.hear().await) });
    let conversation = talk.await.unwrap().conversation;
    assert!(conversation.session().is_none() && conversation.clock_difference().is_none());
    let other = connect(knows, |peer| async move { peer.say(pwd_is(b"/")).await });
    assert!(matches!(other.await, Err(ConversationError::Protocol(_))));
}
