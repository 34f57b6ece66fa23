//! Encoding and decoding of what clients and servers say about small files.

use bytes::{Bytes, BytesMut};
use gungraun::{library_benchmark, library_benchmark_group, main};
use sshome_wire::sftp::{ClientPacket, SftpAttributes, SftpDecoder, SftpRequest};
use sshome_wire::{Decoder, Digest, End, Frame, Put, Request, Status};
use std::hint::black_box;

/// Files in a benchmark.
const FILES: usize = 64;

/// Bytes of each.
const FILE_BYTES: usize = 4096;

/// What arrives from the network at once, in bytes.
const CHUNK_BYTES: usize = 32 << 10;

/// What a client sends to put small files.
fn frames() -> Vec<Frame> {
    let size = Some(FILE_BYTES as u64);
    let of_file = |number: usize| {
        let path = format!("a folder/file {number}").into_bytes();
        let put = Put { path, size, mtime: None, source: None, mode: Some(0o644), resume: 0 };
        let (digest, size) = (Digest([number as u8; 32]), FILE_BYTES as u64);
        [
            Frame::Request(Request::Put(put)),
            Frame::Data(Bytes::from(vec![0; FILE_BYTES])),
            Frame::End(End { status: Status::Done, message: String::new(), digest, size }),
        ]
    };
    (0..FILES).flat_map(of_file).collect()
}

fn encoded() -> Vec<Bytes> {
    chunks(encode_frames(frames()).freeze())
}

fn chunks(mut bytes: Bytes) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        chunks.push(bytes.split_to(bytes.len().min(CHUNK_BYTES)));
    }
    chunks
}

fn encode_frames(frames: Vec<Frame>) -> BytesMut {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut out).unwrap());
    out
}

#[library_benchmark(setup = frames)]
#[bench::small_files()]
fn encode(frames: Vec<Frame>) -> BytesMut {
    encode_frames(black_box(frames))
}

#[library_benchmark(setup = encoded)]
#[bench::small_files()]
fn decode(chunks: Vec<Bytes>) -> usize {
    let (mut decoder, mut count) = (Decoder::new(), 0);
    for chunk in black_box(chunks) {
        decoder.push(chunk);
        while let Some(frame) = decoder.next().unwrap() {
            black_box(frame);
            count += 1;
        }
    }
    count
}

/// SFTP requests about small files, as they arrive.
fn packets() -> Vec<Bytes> {
    let mut out = Vec::new();
    for id in 0..FILES as u32 {
        let (path, handle) = (Bytes::from(format!("/a folder/file {id}")), Bytes::from_static(b"handle"));
        let attributes = SftpAttributes::default();
        let requests = [
            SftpRequest::Lstat { path: path.clone() },
            SftpRequest::Setstat { path, attributes },
            SftpRequest::Read { handle: handle.clone(), offset: u64::from(id), length: 32 << 10 },
            SftpRequest::Close { handle },
        ];
        requests
            .into_iter()
            .for_each(|request| ClientPacket::Request { id, request }.encode(&mut out).unwrap());
    }
    chunks(Bytes::from(out))
}

#[library_benchmark(setup = packets)]
#[bench::requests()]
fn decode_sftp(chunks: Vec<Bytes>) -> usize {
    let (mut decoder, mut count) = (SftpDecoder::new(), 0);
    for chunk in black_box(chunks) {
        decoder.push(chunk);
        while let Some(packet) = decoder.next().unwrap() {
            black_box(ClientPacket::decode(packet).unwrap());
            count += 1;
        }
    }
    count
}

library_benchmark_group!(name = codecs, benchmarks = [encode, decode, decode_sftp]);

main!(library_benchmark_groups = codecs);
