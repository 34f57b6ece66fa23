//! Streams, and servers that lie about them.

use super::*;
use crate::conversation::peer::{ScriptedPeer, connect, hello};
use sshome_wire::{BLOCK_BYTES, Digest, End, Frame, Header, Reply, Stored, Time};
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Puts a stream to a server that follows a script.
async fn put_to<F: Future<Output = ()> + Send + 'static>(
    input: impl Read + Send + 'static,
    script: impl FnOnce(ScriptedPeer) -> F + Send + 'static,
) -> Result<TransferSummary, ConversationError> {
    let mut talk = connect(hello(4096), script).await.unwrap();
    let (cancel, progress) = (CancellationToken::new(), ProgressDisplay::new(false));
    let conversation = &mut talk.conversation;
    let ctx = TransferContext { conversation, cancel: &cancel, progress: &progress, reconnect: None };
    put_stream(ctx, input, &remote("/f"), ExpectedContent::default()).await
}

/// Receives the request and this many bytes of the stream.
async fn hear_stream(peer: &mut ScriptedPeer, length: u64) {
    assert!(matches!(peer.hear_request().await, Request::PutStream { .. }));
    let mut heard = 0;
    while heard < length {
        let Some(Frame::Data(data)) = peer.hear().await else { panic!("no data") };
        heard += data.len() as u64;
    }
}

#[tokio::test]
async fn reading_stops_when_the_replay_buffer_is_full() {
    /// An endless stream that counts the bytes read from it.
    struct Endless(Arc<Mutex<u64>>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    const MIB: u64 = 1 << 20;
    let read = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&read);
    let done = put_to(Endless(Arc::clone(&read)), move |mut peer| async move {
        hear_stream(&mut peer, 32 * MIB).await;
        peer.say(Frame::Stored(Stored { bytes: 8 * MIB })).await;
        // The client can buffer exactly that much more. If it sent less, this would wait for ever.
        let mut more = 0;
        while more < 8 * MIB {
            let Some(Frame::Data(data)) = peer.hear().await else { panic!("no data") };
            more += data.len() as u64;
        }
        assert!(*seen.lock().unwrap() <= 42 * MIB);
        peer.reply(Status::QuotaExceeded).await;
        while !matches!(peer.hear().await, Some(Frame::Abort) | None) {}
        peer.hear().await;
    });
    let summary = done.await.unwrap();
    assert_eq!(summary.failures[0].status, Some(Status::QuotaExceeded));
}

#[tokio::test]
async fn a_server_cannot_acknowledge_unsent_data() {
    for bytes in [2 * BLOCK_BYTES, 5, u64::MAX / BLOCK_BYTES * BLOCK_BYTES] {
        let input = Cursor::new(content(BLOCK_BYTES as usize + 1));
        let done = put_to(input, move |mut peer| async move {
            hear_stream(&mut peer, BLOCK_BYTES).await;
            peer.say(Frame::Stored(Stored { bytes })).await;
            while peer.hear().await.is_some() {}
        });
        let error = done.await.unwrap_err();
        assert!(matches!(error, ConversationError::Protocol(_)), "{bytes}: {error}");
    }
}

#[tokio::test]
async fn a_stream_waits_for_a_server_that_is_busy() {
    let sent = content(300_000);
    let wanted = sent.clone();
    let script = move |mut peer: ScriptedPeer| async move {
        hear_stream(&mut peer, 1).await;
        peer.say(Frame::Reply(Reply::new(Status::Busy, "being counted"))).await;
        while !matches!(peer.hear().await, Some(Frame::Abort | Frame::End(_))) {}
        assert!(matches!(peer.hear_request().await, Request::StreamStatus { .. }));
        peer.reply(Status::EnoughSpace).await;
        let mut request = peer.hear_request().await;
        if matches!(request, Request::Hash { .. }) {
            peer.reply(Status::NoSuchFile).await;
            request = peer.hear_request().await;
        }
        assert!(matches!(request, Request::PutStream { put, .. } if put.resume == 0));
        let mut heard = Vec::new();
        loop {
            match peer.hear().await {
                Some(Frame::Data(data)) => heard.extend_from_slice(&data),
                Some(Frame::End(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(heard == wanted);
        peer.reply(Status::Done).await;
        peer.hear().await;
    };
    let mut talk = connect(hello(4096), script).await.unwrap();
    let (cancel, progress) = (CancellationToken::new(), ProgressDisplay::new(false));
    let (conversation, mut patient) = (&mut talk.conversation, Patient(1));
    let ctx =
        TransferContext { conversation, cancel: &cancel, progress: &progress, reconnect: Some(&mut patient) };
    let summary =
        put_stream(ctx, Cursor::new(sent), &remote("/f"), ExpectedContent::default()).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0));
}

#[tokio::test]
async fn a_success_before_the_end_is_an_error() {
    let done = put_to(io::repeat(7), |mut peer| async move {
        hear_stream(&mut peer, 1).await;
        peer.reply(Status::Done).await;
        while peer.hear().await.is_some() {}
    });
    let error = done.await.unwrap_err();
    assert!(matches!(error, ConversationError::Protocol(_)), "{error}");
}

/// An output that a test can read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_output_must_match_the_file_on_the_server() {
    let digest = |content: &[u8]| Digest(*blake3::hash(content).as_bytes());
    for (offset, size, digest, status) in [
        (0, 3, digest(b"abc"), None),
        (0, 3, digest(b"abd"), Some(Status::DigestMismatch)),
        (0, 4, digest(b"abc"), Some(Status::DigestMismatch)),
        // The client has no blocks that the server could skip.
        (BLOCK_BYTES, BLOCK_BYTES + 3, digest(b"abc"), Some(Status::Changed)),
    ] {
        let mut talk = connect(hello(4096), move |mut peer| async move {
            assert!(matches!(peer.hear_request().await, Request::Get { known: 0, .. }));
            let header = Header { size, offset, mtime: Time::default(), mode: 0 };
            peer.say(Frame::Header(header)).await;
            peer.say(Frame::Data(b"abc".to_vec().into())).await;
            let end = End { status: Status::Done, message: String::new(), digest, size };
            peer.say(Frame::End(end)).await;
            while let Some(frame) = peer.hear().await {
                if frame == Frame::Cancel {
                    peer.say(Frame::Reply(Reply::new(Status::Done, ""))).await;
                }
            }
        })
        .await
        .unwrap();
        let (cancel, progress, out) =
            (CancellationToken::new(), ProgressDisplay::new(false), Written::default());
        let conversation = &mut talk.conversation;
        let ctx = TransferContext { conversation, cancel: &cancel, progress: &progress, reconnect: None };
        let done = get_stream(ctx, &remote("/f"), Box::new(out.clone())).await.unwrap();
        let failed = done.summary.failures.first().map(|failure| failure.status);
        assert_eq!(failed, status.map(Some), "{done:?}");
        if status.is_none() {
            assert_eq!(*out.0.lock().unwrap(), b"abc");
        }
    }
}
