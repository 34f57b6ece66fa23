//! Each request, a field a line. A position that changes here breaks every peer that is out there.

use super::is;
use sshome_wire::{Digest, End, FileVersion, Frame, Put, Request, Status, StreamId, Time, UploadId};

#[track_caller]
fn request(request: Request, wire: &[u8]) {
    is(&Frame::Request(request), wire);
}

#[test]
fn pwd() {
    request(
        Request::Pwd,
        &[
            0, 0, 0, 2, // length
            2, // kind: request
            0, // pwd
        ],
    );
}

#[test]
fn cd() {
    request(
        Request::Cd { path: b"/a".to_vec() },
        &[
            0, 0, 0, 5, // length
            2, // kind: request
            1, // cd
            2, b'/', b'a', // path
        ],
    );
}

#[test]
fn ls() {
    request(
        Request::Ls { path: b".".to_vec(), recursive: true },
        &[
            0, 0, 0, 5, // length
            2, // kind: request
            2, // ls
            1, b'.', // path
            1,    // recursive
        ],
    );
}

#[test]
fn stat_of_a_name_that_is_not_utf_8() {
    request(
        Request::Stat { path: b"\xff\x80".to_vec(), follow: false },
        &[
            0, 0, 0, 6, // length
            2, // kind: request
            3, // stat
            2, 0xff, 0x80, // path
            0,    // follow
        ],
    );
}

#[test]
fn mkdir() {
    request(
        Request::Mkdir { path: b"d".to_vec(), parents: true, mode: Some(0o750) },
        &[
            0, 0, 0, 8, // length
            2, // kind: request
            4, // mkdir
            1, b'd', // path
            1,    // parents
            1, 0xe8, 0x03, // mode: there, 488
        ],
    );
    request(
        Request::Mkdir { path: b"d".to_vec(), parents: false, mode: None },
        &[
            0, 0, 0, 6, // length
            2, // kind: request
            4, // mkdir
            1, b'd', // path
            0,    // parents
            0,    // mode: not there
        ],
    );
}

#[test]
fn get() {
    request(
        Request::Get { path: b"f".to_vec(), known: 300 },
        &[
            0, 0, 0, 6, // length
            2, // kind: request
            5, // get
            1, b'f', // path
            0xac, 0x02, // known blocks
        ],
    );
}

#[test]
fn put_with_everything() {
    request(
        Request::Put(Put {
            path: b"f".to_vec(),
            size: Some(u64::MAX),
            mtime: Some(Time { seconds: -2, nanoseconds: 999_999_999 }),
            source: Some(Time { seconds: 1, nanoseconds: 0 }),
            mode: Some(0o644),
            resume: 5,
        }),
        &[
            0, 0, 0, 29, // length
            2,  // kind: request
            6,  // put
            1, b'f', // path
            1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // size: there
            1,    // mtime: there
            3,    // seconds, zigzag
            0xff, 0x93, 0xeb, 0xdc, 0x03, // nanoseconds
            1, 2, 0, // source: there, 1 s
            1, 0xa4, 0x03, // mode: there, 420
            5,    // resume
        ],
    );
}

#[test]
fn put_with_nothing() {
    request(
        Request::Put(Put {
            path: b"f".to_vec(),
            size: None,
            mtime: None,
            source: None,
            mode: None,
            resume: 0,
        }),
        &[
            0, 0, 0, 9, // length
            2, // kind: request
            6, // put
            1, b'f', // path
            0,    // size: not there
            0,    // mtime: not there
            0,    // source: not there
            0,    // mode: not there
            0,    // resume
        ],
    );
}

#[test]
fn rm() {
    request(
        Request::Rm { path: b"f".to_vec(), recursive: true },
        &[
            0, 0, 0, 5, // length
            2, // kind: request
            7, // rm
            1, b'f', // path
            1,    // recursive
        ],
    );
}

#[test]
fn rmdir() {
    request(
        Request::Rmdir { path: b"d".to_vec() },
        &[
            0, 0, 0, 4, // length
            2, // kind: request
            8, // rmdir
            1, b'd', // path
        ],
    );
}

#[test]
fn mv() {
    request(
        Request::Mv { from: b"a".to_vec(), to: b"bc".to_vec() },
        &[
            0, 0, 0, 7, // length
            2, // kind: request
            9, // mv
            1, b'a', // from
            2, b'b', b'c', // to
        ],
    );
}

#[test]
fn cp() {
    request(
        Request::Cp { from: b"a".to_vec(), to: b"b".to_vec(), recursive: false },
        &[
            0, 0, 0, 7,  // length
            2,  // kind: request
            10, // cp
            1, b'a', // from
            1, b'b', // to
            0,    // recursive
        ],
    );
}

#[test]
fn hash() {
    request(
        Request::Hash { path: b"f".to_vec(), verify: true },
        &[
            0, 0, 0, 5,  // length
            2,  // kind: request
            11, // hash
            1, b'f', // path
            1,    // verify
        ],
    );
}

#[test]
fn df() {
    request(
        Request::Df,
        &[
            0, 0, 0, 2,  // length
            2,  // kind: request
            12, // df
        ],
    );
}

#[test]
fn sync() {
    request(
        Request::Sync,
        &[
            0, 0, 0, 2,  // length
            2,  // kind: request
            13, // sync
        ],
    );
}

#[test]
fn part_status() {
    request(
        Request::PartStatus { path: b"f".to_vec(), size: 300, mtime: Time { seconds: 1, nanoseconds: 2 } },
        &[
            0, 0, 0, 8,  // length
            2,  // kind: request
            14, // part status
            1, b'f', // path
            0xac, 0x02, // size
            2,    // seconds, zigzag
            2,    // nanoseconds
        ],
    );
}

#[test]
fn parts_and_discard() {
    request(Request::Parts, &[0, 0, 0, 2, 2, 15]);
    request(Request::Discard { path: None }, &[0, 0, 0, 3, 2, 16, 0]);
    request(
        Request::Discard { path: Some(b"f".to_vec()) },
        &[
            0, 0, 0, 5,  // length
            2,  // kind: request
            16, // discard
            1,  // path: there
            1, b'f', // path
        ],
    );
}

#[test]
fn symlink() {
    request(
        Request::Symlink { path: b"l".to_vec(), target: b"/t".to_vec() },
        &[
            0, 0, 0, 7,  // length
            2,  // kind: request
            17, // symlink
            1, b'l', // path
            2, b'/', b't', // target
        ],
    );
}

#[test]
fn put_stream() {
    let put =
        Put { path: b"f".to_vec(), size: None, mtime: None, source: None, mode: Some(0o644), resume: 3 };
    request(
        Request::PutStream { id: StreamId([7; 16]), put },
        &[
            0, 0, 0, 27, // length
            2,  // kind: request
            18, // put stream
            7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // id
            1, b'f', // path
            0, 0, 0, // size, mtime, source: not there
            1, 0xa4, 0x03, // mode: there
            3,    // resume
        ],
    );
}

#[test]
fn stream_status() {
    request(
        Request::StreamStatus { path: b"f".to_vec(), id: StreamId([7; 16]) },
        &[
            0, 0, 0, 20, // length
            2,  // kind: request
            19, // stream status
            1, b'f', // path
            7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // id
        ],
    );
}

#[test]
fn keys() {
    request(Request::Keys, &[0, 0, 0, 2, 2, 20]);
    request(
        Request::InstallKey { line: "t k c".into() },
        &[
            0, 0, 0, 8,  // length
            2,  // kind: request
            21, // install key
            5, b't', b' ', b'k', b' ', b'c', // line
        ],
    );
    request(
        Request::RemoveKey { fingerprint: "SHA256:x".into() },
        &[
            0, 0, 0, 11, // length
            2,  // kind: request
            22, // remove key
            8, b'S', b'H', b'A', b'2', b'5', b'6', b':', b'x', // fingerprint
        ],
    );
}

#[test]
fn finish_directory() {
    request(
        Request::FinishDirectory { path: b"d".to_vec(), mtime: Time { seconds: -1, nanoseconds: 300 } },
        &[
            0, 0, 0, 7,  // length
            2,  // kind: request
            23, // finish directory
            1, b'd', // path
            1,    // seconds: -1
            0xac, 0x02, // nanoseconds: 300
        ],
    );
}

#[test]
fn real_path() {
    request(
        Request::RealPath { path: b"d".to_vec() },
        &[
            0, 0, 0, 4,  // length
            2,  // kind: request
            24, // real path
            1, b'd', // path
        ],
    );
}

#[test]
fn describe() {
    let wire = [&[0, 0, 0, 36, 2, 25, 1, b'd'][..], &[7; 32]].concat();
    request(Request::Describe { path: b"d".to_vec(), key: [7; 32] }, &wire);
}

#[test]
fn put_delta() {
    let put = Put { path: b"d".to_vec(), size: Some(300), mtime: None, source: None, mode: None, resume: 2 };
    request(
        Request::PutDelta(put),
        &[
            0, 0, 0, 11, // length
            2,  // kind: request
            26, // put delta
            1, b'd', // path
            1, 0xac, 0x02, // size
            0, 0, 0, // neither mtime, source nor mode
            2, // resume
        ],
    );
}

#[test]
fn get_delta() {
    let head = [
        0, 0, 0, 39, // length
        2,  // kind: request
        27, // get delta
        1, b'd', // path
        5,    // known
        0xac, 0x02, // chunks
    ];
    let get = Request::GetDelta { path: b"d".to_vec(), known: 5, chunks: 300, key: [7; 32] };
    request(get, &[&head[..], &[7; 32]].concat());
}

#[test]
fn get_range() {
    let head = [
        0, 0, 0, 28, // length
        2,  // kind: request
        28, // get range
        1, b'r', // path
        0xac, 0x02, // block
        8,    // blocks
        1,    // a version is expected
        9, 3, 5, // size, seconds, nanoseconds
    ];
    let version = FileVersion { size: 9, mtime: Time { seconds: -2, nanoseconds: 5 }, id: [7; 16] };
    let get =
        Request::GetRange { path: b"r".to_vec(), block: 300, blocks: 8, expect: Some(version), data: true };
    request(get, &[&head[..], &[7; 16], &[1]].concat());
    request(
        Request::GetRange { path: b"r".to_vec(), block: 0, blocks: 0, expect: None, data: false },
        &[
            0, 0, 0, 8,  // length
            2,  // kind: request
            28, // get range
            1, b'r', // path
            0, 0, 0, 0, // block, blocks, no version, no data
        ],
    );
}

#[test]
fn open_upload() {
    let put =
        Put { path: b"u".to_vec(), size: Some(300), mtime: None, source: None, mode: Some(0o600), resume: 0 };
    request(
        Request::OpenUpload(put),
        &[
            0, 0, 0, 13, // length
            2,  // kind: request
            29, // open upload
            1, b'u', // path
            1, 0xac, 0x02, // size
            0,    // no mtime
            0,    // no source
            1, 0x80, 0x03, // mode
            0,    // resume
        ],
    );
}

#[test]
fn put_blocks() {
    let head = [0, 0, 0, 21, 2, 30];
    let blocks = Request::PutBlocks { id: UploadId([7; 16]), block: 300, blocks: 8 };
    request(blocks, &[&head[..], &[7; 16], &[0xac, 0x02, 8]].concat());
}

#[test]
fn finish_upload() {
    let head = [0, 0, 0, 55, 2, 31];
    let end = End { status: Status::Done, message: String::new(), digest: Digest([9; 32]), size: 300 };
    let finish = Request::FinishUpload { id: UploadId([7; 16]), end };
    request(finish, &[&head[..], &[7; 16], &[0xcc, 0x01, 0], &[9; 32], &[0xac, 0x02]].concat());
}
