//! A server that answers uploads over several connections wrongly, and one that does not know them.

use super::proxy::Proxy;
use sshome_e2e::{Liar, hello};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Blocks, Digest, Features, Frame, Hello, Payload, Reply, Request, Status,
    Stored, UploadId,
};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// As long as a file has to be to be divided.
const SIZE: u64 = 128 << 20;

fn reply(status: Status, message: &str) -> Frame {
    Frame::Reply(Reply::new(status, message))
}

fn stored(bytes: u64) -> Frame {
    Frame::Stored(Stored { bytes })
}

fn opened() -> Frame {
    Frame::Reply(Reply::with(Payload::Upload(UploadId([5; 16]))))
}

/// The digests of all blocks of a file of zeros except the last.
fn digests() -> Frame {
    let block = vec![0; BLOCK_BYTES as usize];
    let digest = |number| {
        let mut hasher = BlockHasher::at(number);
        hasher.update(&block);
        hasher.subtrees()[0]
    };
    Frame::Blocks(Blocks { digests: (0..SIZE / BLOCK_BYTES - 1).map(digest).collect() })
}

/// The answers to the request of blocks, to their end, and to the end of the upload.
type Lie = (Vec<Frame>, Vec<Frame>, Vec<Frame>);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_gets_no_success() {
    let (no, done) = (|| vec![reply(Status::Failed, "no")], || reply(Status::Done, ""));
    let (opened, known, none) = (vec![digests(), opened()], stored(BLOCK_BYTES), Vec::new);
    let too_many = Frame::Blocks(Blocks { digests: vec![Digest([7; 32]); 99] });
    let refused = |status, message| vec![reply(status, message)];
    let lies: [(&str, Vec<Frame>, Lie, &str, i32); 13] = [
        ("an early acknowledgement", opened.clone(), (vec![known.clone()], none(), none()), "Stored", 3),
        ("acceptance before the end", opened.clone(), (vec![done()], none(), none()), "has not got", 3),
        ("a part of a block", opened.clone(), (none(), vec![stored(5)], none()), "Stored", 3),
        ("more than was sent", opened.clone(), (none(), vec![stored(u64::MAX)], none()), "Stored", 3),
        ("acceptance of nothing", opened.clone(), (none(), vec![done()], none()), "has not got", 3),
        ("the upload always ends", opened.clone(), (no(), none(), none()), "no", 1),
        ("it ends at the end", opened.clone(), (none(), vec![known.clone(), done()], no()), "no", 1),
        (
            "another digest",
            opened.clone(),
            (none(), vec![known, done()], refused(Status::DigestMismatch, "differs")),
            "differs",
            1,
        ),
        ("a cancel", opened.clone(), (refused(Status::Cancelled, "odd"), none(), none()), "odd", 1),
        ("a full disk", opened, (refused(Status::QuotaExceeded, "full"), none(), none()), "full", 1),
        ("no id", vec![done()], (none(), none(), none()), "without an id", 3),
        ("too many blocks", vec![too_many, self::opened()], (no(), none(), none()), "no", 1),
        ("a refusal", refused(Status::PermissionDenied, "never"), (none(), none(), none()), "never", 1),
    ];
    for (what, open, (begin, end, finish), why, code) in lies {
        let hello = Hello { features: Features::ALL.without(Features::SESSION), ..hello() };
        let finishes = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&finishes);
        let liar = Liar::start_with(hello, move |frame| match frame {
            Frame::Request(Request::Stat { .. }) => vec![reply(Status::NoSuchFile, "")],
            Frame::Request(Request::OpenUpload(_)) => open.clone(),
            Frame::Request(Request::PutBlocks { .. }) => begin.clone(),
            Frame::End(_) => end.clone(),
            Frame::Request(Request::FinishUpload { end, .. }) if end.status == Status::Done => {
                count.fetch_add(1, Ordering::SeqCst);
                finish.clone()
            }
            Frame::Request(Request::FinishUpload { .. }) => vec![reply(Status::Failed, "")],
            Frame::Data(_) | Frame::CompressedData(_) | Frame::Abort => vec![],
            _ => vec![reply(Status::Done, "")],
        })
        .await
        .unwrap();
        // One connection, so that no other one is cancelled in the middle: this server would not answer that.
        let proxy = Proxy::cutting(liar.address(), &[u64::MAX, 0]).await;
        let client = liar.client_at(([127, 0, 0, 1], proxy.port()).into()).unwrap();
        fs::File::create(client.work().join("f")).unwrap().set_len(SIZE).unwrap();
        let outcome = client.run(["put", "-j", "2", "f"]).unwrap();
        assert_eq!(outcome.code, Some(code), "{what}: {outcome}");
        assert!(outcome.err().contains(why), "{what}: {why} is not in\n{outcome}");
        assert!(finishes.load(Ordering::SeqCst) <= 5, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_blocks_gets_the_file_over_one_connection() {
    let asked = Arc::<Mutex<Vec<Request>>>::default();
    let hello = Hello {
        features: Features::ALL.without(Features::BLOCK_UPLOADS).without(Features::SESSION),
        ..hello()
    };
    let log = Arc::clone(&asked);
    let liar = Liar::start_with(hello, move |frame| {
        let Frame::Request(request) = frame else { return Vec::new() };
        log.lock().unwrap().push(request.clone());
        match request {
            Request::Stat { .. } => vec![reply(Status::NoSuchFile, "")],
            _ => vec![reply(Status::Failed, "")],
        }
    })
    .await
    .unwrap();
    let client = liar.client().unwrap();
    fs::File::create(client.work().join("f")).unwrap().set_len(SIZE).unwrap();
    let outcome = client.run(["put", "-j", "4", "f"]).unwrap();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|request| matches!(request, Request::Put(_))), "{asked:?}");
    assert!(!asked.iter().any(|request| matches!(request, Request::OpenUpload(_))), "{asked:?}");
}
