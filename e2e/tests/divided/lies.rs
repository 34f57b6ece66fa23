//! A server that answers gets of ranges wrongly, and one that does not know them.

use bytes::Bytes;
use sshome_e2e::tree::names;
use sshome_e2e::{Liar, hello};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Blocks, Digest, End, Entry, Features, FileKind, FileVersion, Frame, Hello,
    Payload, RangeHeader, Reply, Request, Status, Time,
};
use std::sync::{Arc, Mutex};

/// As long as a file has to be to be divided.
const SIZE: u64 = 128 << 20;

const VERSION: FileVersion =
    FileVersion { size: SIZE, mtime: Time { seconds: 1, nanoseconds: 2 }, id: [3; 16] };

fn header() -> RangeHeader {
    RangeHeader { version: VERSION, mode: 0o644, stored: None }
}

fn end() -> Frame {
    Frame::End(End { status: Status::Done, message: String::new(), digest: Digest([0; 32]), size: SIZE })
}

fn digests(digests: Vec<Digest>) -> Frame {
    Frame::Blocks(Blocks { digests })
}

/// A block of zeros, in frames, and its digest.
fn block(number: u32) -> (Vec<Frame>, Digest) {
    let piece = Bytes::from(vec![0; 128 << 10]);
    let mut hasher = BlockHasher::at(number.into());
    let frames = (0..BLOCK_BYTES / piece.len() as u64).map(|_| {
        hasher.update(&piece);
        Frame::Data(piece.clone())
    });
    (frames.collect(), hasher.subtrees()[0])
}

/// The answer to a get of these blocks, which is a lie.
type Lie = fn(u32, u32) -> Vec<Frame>;

fn entry() -> Entry {
    Entry {
        name: b"f".to_vec(),
        kind: FileKind::File,
        size: SIZE,
        mtime: VERSION.mtime,
        mode: 0o644,
        links: 1,
        target: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_are_not_what_was_asked_for_are_not_stored() {
    let lies: [(&str, Lie, &str, i32); 8] = [
        (
            "a wrong digest",
            |first, count| {
                let frames = |number| {
                    let (data, right) = block(number);
                    let digest = if number + 1 < first + count { right } else { Digest([7; 32]) };
                    [data, vec![digests(vec![digest])]].concat()
                };
                [(first..first + count).flat_map(frames).collect(), vec![end()]].concat()
            },
            "differ",
            1,
        ),
        ("a digest without data", |first, _| vec![digests(vec![block(first).1]), end()], "differ", 1),
        (
            "too little",
            |first, _| [block(first).0, vec![digests(vec![block(first).1]), end()]].concat(),
            "differ",
            1,
        ),
        (
            "too much",
            |first, count| {
                let frames = |number| {
                    let (data, digest) = block(number);
                    [data, vec![digests(vec![digest])]].concat()
                };
                [(first..=first + count).flat_map(frames).collect(), vec![end()]].concat()
            },
            "differ",
            1,
        ),
        (
            "another version",
            |_, _| {
                let version = FileVersion { id: [4; 16], ..VERSION };
                vec![Frame::RangeHeader(RangeHeader { version, ..header() }), end()]
            },
            "RangeHeader",
            3,
        ),
        ("two headers", |_, _| vec![Frame::RangeHeader(header()), end()], "RangeHeader", 3),
        (
            "a refusal",
            |_, _| {
                vec![Frame::End(End {
                    status: Status::Failed,
                    message: "no".into(),
                    digest: Digest([0; 32]),
                    size: 0,
                })]
            },
            "no",
            1,
        ),
        (
            "it has always changed",
            |_, _| {
                vec![Frame::End(End {
                    status: Status::Changed,
                    message: "it changed".into(),
                    digest: Digest([0; 32]),
                    size: 0,
                })]
            },
            "it changed",
            1,
        ),
    ];
    for (what, lie, why, code) in lies {
        let hello = Hello { features: Features::ALL.without(Features::SESSION), ..hello() };
        let liar = Liar::start_with(hello, move |frame| match frame {
            Frame::Request(Request::Stat { .. }) => vec![Frame::Reply(Reply::with(Payload::Stat(entry())))],
            Frame::Request(Request::GetRange { blocks: 0, .. }) => vec![Frame::RangeHeader(header()), end()],
            Frame::Request(Request::GetRange { block, blocks, .. }) => match what {
                "another version" => lie(block, blocks),
                _ => [vec![Frame::RangeHeader(header())], lie(block, blocks)].concat(),
            },
            _ => vec![Frame::Reply(Reply::new(Status::Done, ""))],
        })
        .await
        .unwrap();
        let client = liar.client().unwrap();
        let outcome = client.run(["get", "-j", "2", "f"]).unwrap();
        assert_eq!(outcome.code, Some(code), "{what}: {outcome}");
        assert!(outcome.err().contains(why), "{what}: {why} is not in\n{outcome}");
        assert_eq!(names(&client.work()).unwrap(), Vec::<Vec<u8>>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_ranges_is_asked_for_the_file_over_one_connection() {
    let asked = Arc::<Mutex<Vec<Request>>>::default();
    let hello =
        Hello { features: Features::ALL.without(Features::RANGES).without(Features::SESSION), ..hello() };
    let log = Arc::clone(&asked);
    let liar = Liar::start_with(hello, move |frame| {
        let Frame::Request(request) = frame else { return Vec::new() };
        log.lock().unwrap().push(request.clone());
        match request {
            Request::Stat { .. } => vec![Frame::Reply(Reply::with(Payload::Stat(entry())))],
            Request::Get { .. } => vec![Frame::Reply(Reply::new(Status::NoSuchFile, ""))],
            _ => vec![Frame::Reply(Reply::new(Status::Done, ""))],
        }
    })
    .await
    .unwrap();
    let outcome = liar.client().unwrap().run(["get", "-j", "4", "f"]).unwrap();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|request| matches!(request, Request::Get { .. })), "{asked:?}");
    assert!(!asked.iter().any(|request| matches!(request, Request::GetRange { .. })), "{asked:?}");
}
