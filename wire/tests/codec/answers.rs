//! Every frame but the requests, a field a line.

use super::{decoded, encoded, framed, is};
use bytes::Bytes;
use sshome_wire::frame::data_head;
use sshome_wire::{
    Blocks, CreditedUsage, Digest, End, Entries, Entry, Features, FileKind, Frame, FrameError, FrameKind,
    Hashed, Header, Hello, Key, Part, Payload, Progress, Reply, Session, Status, Time, Usage,
};

/// The 32 bytes of [`DIGEST`] in a row, for the literals.
const DIGEST: Digest = Digest([0xd1; 32]);

/// `before`, the bytes of [`DIGEST`], `after`.
fn around_digest(before: &[u8], after: &[u8]) -> Vec<u8> {
    [before, &DIGEST.0, after].concat()
}

#[test]
fn hello() {
    is(
        &Frame::Hello(Hello {
            version: 1,
            features: Features(0x81),
            max_frame: 262_140,
            max_outstanding: 64,
            status: Status::Authenticated,
            message: "hi".into(),
        }),
        &[
            0, 0, 0, 13, // length
            1,  // kind: hello
            1,  // version
            0x81, 0x01, // features
            0xfc, 0xff, 0x0f, // max_frame
            64,   // max_outstanding
            0xc8, 0x01, // status 200
            2, b'h', b'i', // message
        ],
    );
}

#[test]
fn cancel_and_abort_have_no_body() {
    is(&Frame::Cancel, &[0, 0, 0, 1, 3]);
    is(&Frame::Abort, &[0, 0, 0, 1, 4]);
}

#[test]
fn data() {
    let frame = Frame::Data(Bytes::from_static(b"abc"));
    let wire = [
        0, 0, 0, 4, // length
        5, // kind: data
        b'a', b'b', b'c', // the file's bytes
    ];
    assert_eq!(&encoded(&frame)[..], wire);
    assert_eq!(decoded(&wire), Ok(vec![frame]));
    assert_eq!(data_head(3), wire[..5]);
}

#[test]
fn end() {
    let wire = around_digest(
        &[
            0, 0, 0, 43, // length
            6,  // kind: end
            0x9a, 0x03, // status 410
            5, b's', b'o', b'r', b'r', b'y', // message
        ],
        &[
            0xac, 0x02, // size
        ],
    );
    let message = "sorry".into();
    is(&Frame::End(End { status: Status::Changed, message, digest: DIGEST, size: 300 }), &wire);
}

#[test]
fn reply_with_a_status_and_a_message() {
    is(
        &Frame::Reply(Reply::new(Status::QuotaExceeded, "ü")),
        &[
            0, 0, 0, 7, // length
            7, // kind: reply
            0x95, 0x03, // status 405
            2, 0xc3, 0xbc, // message
            0,    // payload: none
        ],
    );
}

#[test]
fn reply_with_a_path() {
    is(
        &Frame::Reply(Reply::with(Payload::Path(b"/\xff".to_vec()))),
        &[
            0, 0, 0, 8, // length
            7, // kind: reply
            0xcc, 0x01, // status 204
            0,    // message
            1,    // payload: path
            2, b'/', 0xff,
        ],
    );
}

#[test]
fn reply_with_an_entry() {
    is(
        &Frame::Reply(Reply::with(Payload::Stat(Entry {
            name: b"n".to_vec(),
            kind: FileKind::Symlink,
            size: 1,
            mtime: Time { seconds: 1, nanoseconds: 128 },
            mode: 0o777,
            links: 1,
            target: b"/t".to_vec(),
        }))),
        &[
            0, 0, 0, 18, // length
            7,  // kind: reply
            0xcc, 0x01, // status 204
            0,    // message
            2,    // payload: stat
            1, b'n', // name
            2,    // kind: symlink
            1,    // size
            2,    // seconds, zigzag
            0x80, 0x01, // nanoseconds
            0xff, 0x03, // mode
            1,    // links
            2, b'/', b't', // target
        ],
    );
}

#[test]
fn reply_with_a_digest() {
    let head = [
        0, 0, 0, 71, // length
        7,  // kind: reply
        0xcc, 0x01, // status 204
        0,    // message
        3,    // payload: hash
    ];
    let wire = around_digest(
        &around_digest(
            &head,
            &[
                9, // size
                1, // stored: there
            ],
        ),
        &[],
    );
    let hashed = Hashed { digest: DIGEST, size: 9, stored: Some(DIGEST) };
    is(&Frame::Reply(Reply::with(Payload::Hash(hashed))), &wire);
}

#[test]
fn reply_with_usage() {
    is(
        &Frame::Reply(Reply::with(Payload::Usage(Usage {
            used: 1,
            reserved: 2,
            quota: Some(128),
            entries: 3,
            max_entries: None,
            disk_free: 4,
        }))),
        &[
            0, 0, 0, 13, // length
            7,  // kind: reply
            0xcc, 0x01, // status 204
            0,    // message
            4,    // payload: usage
            1,    // used
            2,    // reserved
            1, 0x80, 0x01, // quota: there
            3,    // entries
            0,    // max_entries: not there
            4,    // disk_free
        ],
    );
}

#[test]
fn reply_with_credited_usage() {
    let usage = Usage { used: 1, reserved: 2, quota: None, entries: 3, max_entries: None, disk_free: 4 };
    is(
        &Frame::Reply(Reply::with(Payload::CreditedUsage(CreditedUsage { usage, credited: 5 }))),
        &[
            0, 0, 0, 12, // length
            7,  // kind: reply
            0xcc, 0x01, // status 204
            0,    // message
            6,    // payload: credited usage
            1,    // used
            2,    // reserved
            0,    // quota: not there
            3,    // entries
            0,    // max_entries: not there
            4,    // disk_free
            5,    // credited
        ],
    );
}

#[test]
fn remaining_space_is_bounded_by_quota_and_disk() {
    let usage =
        Usage { used: 90, reserved: 50, quota: Some(100), entries: 3, max_entries: None, disk_free: 1000 };
    let left = |usage, credited| CreditedUsage { usage, credited }.left();
    assert_eq!(left(usage, 45), 5);
    assert_eq!(left(usage, 0), 0);
    assert_eq!(left(Usage { disk_free: 3, ..usage }, 45), 3);
    assert_eq!(left(Usage { quota: None, ..usage }, 45), 1000);
    assert_eq!(CreditedUsage { usage, credited: 45 }.without_credit().reserved, 5);
}

#[test]
fn reply_with_keys() {
    is(
        &Frame::Reply(Reply::with(Payload::Keys(vec![Key {
            fingerprint: "SHA256:x".into(),
            algorithm: "ssh-rsa".into(),
            comment: b"\xff".to_vec(),
            own: true,
        }]))),
        &[
            0, 0, 0, 26, // length
            7,  // kind: reply
            0xcc, 0x01, // status 204
            0,    // message
            5,    // payload: keys
            1,    // one of them
            8, b'S', b'H', b'A', b'2', b'5', b'6', b':', b'x', // fingerprint
            7, b's', b's', b'h', b'-', b'r', b's', b'a', // algorithm
            1, 0xff, // comment
            1,    // own
        ],
    );
}

#[test]
fn header() {
    is(
        &Frame::Header(Header {
            size: 128,
            offset: 5,
            mtime: Time { seconds: -1, nanoseconds: 0 },
            mode: 0o4755,
        }),
        &[
            0, 0, 0, 8, // length
            8, // kind: header
            0x80, 0x01, // size
            5,    // offset
            1,    // seconds, zigzag
            0,    // nanoseconds
            0xed, 0x13, // mode
        ],
    );
}

#[test]
fn entries() {
    let entry = |kind, name: &[u8]| Entry {
        name: name.to_vec(),
        kind,
        size: 0,
        mtime: Time::default(),
        mode: 0,
        links: 1,
        target: vec![],
    };
    let entries =
        vec![entry(FileKind::File, b"f"), entry(FileKind::Directory, b"d"), entry(FileKind::Special, b"s")];
    is(
        &Frame::Entries(Entries { directory: b"in".to_vec(), entries }),
        &[
            0, 0, 0, 32, // length
            9,  // kind: entries
            2, b'i', b'n', // directory
            3,    // number of entries
            1, b'f', 0, 0, 0, 0, 0, 1, 0, // name, kind: file, size, mtime (2), mode, links, target
            1, b'd', 1, 0, 0, 0, 0, 1, 0, // kind: directory
            1, b's', 3, 0, 0, 0, 0, 1, 0, // kind: special
        ],
    );
}

#[test]
fn progress() {
    is(
        &Frame::Progress(Progress { done: 1, total: 255 }),
        &[
            0, 0, 0, 4,  // length
            10, // kind: progress
            1,  // done
            0xff, 0x01, // total
        ],
    );
}

#[test]
fn invalid_values_in_answers_are_refused() {
    for (kind, body, what) in [
        (FrameKind::Request, &[23_u8][..], "a request after the last one"),
        (FrameKind::Request, &[1, 2, b'a'], "a path that announces more than there is"),
        (FrameKind::Request, &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, b'a'], "a path of 4 GiB"),
        (FrameKind::Request, &[2, 1, b'.', 2], "a flag that is neither"),
        (FrameKind::Request, &[4, 1, b'd', 0, 2, 0], "an option that is neither"),
        (FrameKind::Reply, &[0xcf, 0x01, 0, 0], "status 207"),
        (FrameKind::Reply, &[0xcc, 0x81, 0x04, 0, 0], "a status of more than 16 bits"),
        (FrameKind::Reply, &[0xcc, 0x01, 0, 6], "a payload after the last one"),
        (FrameKind::Reply, &[0xcc, 0x01, 1, 0xff, 0], "a message that is not UTF-8"),
        (FrameKind::Entries, &[0, 0xff, 0xff, 0x0f], "262,143 entries and none there"),
        (FrameKind::Header, &[0, 0, 0, 0x80, 0x94, 0xeb, 0xdc, 0x03, 0], "1,000,000,000 nanoseconds"),
        (FrameKind::Progress, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "65 bits"),
    ] {
        assert_eq!(decoded(&framed(kind as u8, body)), Err(FrameError::BadBody(kind)), "{what}");
    }
}

#[test]
fn blocks() {
    let mut wire = vec![0, 0, 0, 66, 11, 2];
    wire.extend_from_slice(&[1; 32]);
    wire.extend_from_slice(&[2; 32]);
    is(&Frame::Blocks(Blocks { digests: vec![Digest([1; 32]), Digest([2; 32])] }), &wire);
}

#[test]
fn parts() {
    let part =
        Part { path: b"/f".to_vec(), length: 5, size: 300, since: Time { seconds: -1, nanoseconds: 0 } };
    is(
        &Frame::Parts(vec![part]),
        &[
            0, 0, 0, 10, // length
            12, // kind: parts
            1,  // one
            2, b'/', b'f', // path
            5,    // length
            0xac, 0x02, // size
            1, 0, // since
        ],
    );
}

#[test]
fn session() {
    let time = Time { seconds: 300, nanoseconds: 5 };
    is(
        &Frame::Session(Session { reads: true, adds: true, changes: false, time }),
        &[
            0, 0, 0, 7,  // length
            19, // kind: session
            1, 1, 0, // reads, adds, does not change
            0xd8, 0x04, // seconds
            5,    // nanoseconds
        ],
    );
}
