//! Streams, deltas, and transfers over several connections: each request and answer, a field a line.

use super::is;
use super::requests::request;
use sshome_wire::{
    Chunk, CopyRange, Description, Digest, End, FileVersion, Frame, Payload, Put, RangeHeader, Reply,
    Request, Status, Stored, StreamId, Time, UploadId,
};

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

#[test]
fn stored() {
    is(
        &Frame::Stored(Stored { bytes: 4 << 20 }),
        &[
            0, 0, 0, 5,  // length
            13, // kind: stored
            0x80, 0x80, 0x80, 0x02, // bytes
        ],
    );
}

#[test]
fn copy() {
    is(
        &Frame::Copy(CopyRange { offset: 300, length: 5 }),
        &[
            0, 0, 0, 4,  // length
            15, // kind: copy
            0xac, 0x02, // offset
            5,    // length
        ],
    );
}

#[test]
fn description() {
    let chunk = Chunk { digest: [7; 10], length: 300 };
    let wire = [&[0, 0, 0, 14, 16, 1][..], &[7; 10], &[0xac, 0x02]].concat();
    is(&Frame::Description(Description { chunks: vec![chunk] }), &wire);
}

#[test]
fn range_header() {
    let version = FileVersion { size: 300, mtime: Time { seconds: 1, nanoseconds: 5 }, id: [7; 16] };
    let frame = |stored| Frame::RangeHeader(RangeHeader { version, mode: 0o644, stored });
    let fields = [&[0xac, 0x02, 2, 5][..], &[7; 16], &[0xa4, 0x03]].concat();
    is(&frame(None), &[&[0, 0, 0, 24, 17][..], &fields, &[0]].concat());
    is(&frame(Some(Digest([9; 32]))), &[&[0, 0, 0, 56, 17][..], &fields, &[1], &[9; 32]].concat());
}

#[test]
fn reply_with_an_upload() {
    let head = [
        0, 0, 0, 21, // length
        7,  // kind: reply
        0xcc, 0x01, // status 204
        0,    // message
        7,    // payload: upload
    ];
    let reply = Reply::with(Payload::Upload(UploadId([3; 16])));
    is(&Frame::Reply(reply), &[&head[..], &[3; 16]].concat());
}
