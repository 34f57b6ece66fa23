//! Each request, a field a line. A position that changes here breaks every peer that is out there.

use super::is;
use bytes::Bytes;
use sshome_wire::{Decoder, Frame, FrameError, FrameKind, Put, Request, Time};

#[track_caller]
pub(super) fn request(request: Request, wire: &[u8]) {
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
fn back_up() {
    request(
        Request::BackUp { from: b"d".to_vec(), to: b"o/d".to_vec(), remove: true },
        &[
            0, 0, 0, 9,  // length
            2,  // kind: request
            35, // back up
            1, b'd', // from
            3, b'o', b'/', b'd', // to
            1,    // remove
        ],
    );
}

#[test]
fn numbers_without_a_request_are_refused() {
    for number in 36..128 {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::copy_from_slice(&[0, 0, 0, 3, 2, number, 0]));
        assert_eq!(decoder.next(), Err(FrameError::BadBody(FrameKind::Request)), "{number}");
    }
}
