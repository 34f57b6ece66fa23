//! The requests that spare a transfer of what the other side has, and their answer.

use super::is;
use sshome_wire::{Digest, Features, Frame, Put, Request, StoredFile, Time};

#[test]
fn stored_digests() {
    is(
        &Frame::Request(Request::StoredDigests { directory: b"d".to_vec(), paths: b"a\0b/c\0".to_vec() }),
        &[
            0, 0, 0, 11, // length
            2,  // kind: request
            32, // stored digests
            1, b'd', // directory
            6, b'a', 0, b'b', b'/', b'c', 0, // paths
        ],
    );
}

#[test]
fn set_attributes() {
    is(
        &Frame::Request(Request::SetAttributes { path: b"f".to_vec(), mode: Some(0o644), mtime: None }),
        &[
            0, 0, 0, 8,  // length
            2,  // kind: request
            33, // set attributes
            1, b'f', // path
            1, 0xa4, 0x03, // mode: there
            0,    // mtime: not there
        ],
    );
}

#[test]
fn put_copy() {
    let put = Put { path: b"f".to_vec(), size: Some(300), mtime: None, source: None, mode: None, resume: 0 };
    let head = [
        0, 0, 0, 45, // length
        2,  // kind: request
        34, // put copy
        1, b'f', // path
        1, 0xac, 0x02, // size
        0, 0, 0, // neither mtime, source nor mode
        0, // resume
        1, b'g', // from
    ];
    let copy = Request::PutCopy { put: Box::new(put), from: b"g".to_vec(), digest: Digest([7; 32]) };
    is(&Frame::Request(copy), &[&head[..], &[7; 32]].concat());
}

#[test]
fn stored_files() {
    let mtime = Time { seconds: -1, nanoseconds: 300 };
    let file = StoredFile { number: 5, size: 300, mtime, mode: 0o644, digest: None };
    let other = StoredFile { digest: Some(Digest([7; 32])), ..file };
    let plain = [
        5, // number
        0xac, 0x02, // size
        1,    // seconds: -1
        0xac, 0x02, // nanoseconds: 300
        0xa4, 0x03, // mode
    ];
    let wire = [&[0, 0, 0, 52, 18, 2][..], &plain, &[0], &plain, &[1], &[7; 32]].concat();
    is(&Frame::StoredFiles(vec![file, other]), &wire);
}

#[test]
fn each_feature_has_a_bit_of_its_own() {
    let features = [
        Features::REAL_PATH,
        Features::CREDIT,
        Features::KEY_ACCESS,
        Features::COMPRESSION,
        Features::COMPRESS_ALWAYS,
        Features::DELTA,
        Features::RANGES,
        Features::BLOCK_UPLOADS,
        Features::BACKUP,
        Features::SESSION,
        Features::SAME_CONTENT,
    ];
    assert!(features.iter().all(|feature| feature.0.count_ones() == 1));
    assert_eq!(features.iter().map(|feature| feature.0).sum::<u64>(), Features::ALL.0);
}
