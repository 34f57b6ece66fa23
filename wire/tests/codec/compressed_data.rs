//! Compressed data: what is checked before anything is decompressed.

use super::{decoded, encoded, framed};
use sshome_wire::{
    COMPRESSED_HEAD_BYTES, COMPRESSIBLE_BYTES, CompressedData, Frame, FrameError, FrameKind, MAX_FRAME,
    compressed_data_head,
};

const KIND: u8 = FrameKind::CompressedData as u8;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The length that a body decodes to; 0 if it is something else.
fn length(body: &[u8]) -> Result<usize, FrameError> {
    Ok(match &decoded(&framed(KIND, body))?[..] {
        [Frame::CompressedData(data)] => data.length(),
        _ => 0,
    })
}

/// A body: the length, and a zstd frame with these bytes behind its magic number.
fn body(length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], &MAGIC, rest].concat()
}

#[test]
fn it_travels_as_its_length_and_a_zstd_frame() {
    let wire = [
        0, 0, 0, 17, // length
        14, // kind: compressed data
        0, 0, 0, 3, // length of the data
        0x28, 0xb5, 0x2f, 0xfd, // zstd's magic number
        0x20, 3, // a single segment of 3 bytes
        0x19, 0, 0, // the last block, raw
        b'a', b'b', b'c',
    ];
    let zstd = &wire[COMPRESSED_HEAD_BYTES..];
    let data = CompressedData::new(3, zstd.to_vec().into()).unwrap();
    assert_eq!((data.length(), &data.zstd()[..]), (3, zstd));
    assert_eq!(&encoded(&Frame::CompressedData(data.clone()))[..], wire);
    assert_eq!(decoded(&wire), Ok(vec![Frame::CompressedData(data)]));
    assert_eq!(compressed_data_head(3, zstd.len() as u32), wire[..COMPRESSED_HEAD_BYTES]);
    for end in 0..wire.len() {
        assert_eq!(decoded(&wire[..end]), Ok(vec![]), "cut after {end} bytes");
    }
}

#[test]
fn a_length_is_at_least_one_and_at_most_a_frame() {
    // A window of 1 KiB, and no length.
    let of = |announced| length(&body(announced, &[0, 0]));
    for announced in [1, 3, COMPRESSIBLE_BYTES as u32, MAX_FRAME] {
        assert_eq!(of(announced), Ok(announced as usize));
    }
    for announced in [0, MAX_FRAME + 1, 1 << 31, u32::MAX] {
        assert_eq!(of(announced), Err(FrameError::BadBody(FrameKind::CompressedData)), "{announced}");
    }
}

#[test]
fn a_window_is_at_most_a_mebibyte() {
    for (window, is_allowed) in [(0, true), (7, true), (10 << 3, true), (10 << 3 | 1, false), (0xff, false)] {
        assert_eq!(length(&body(5, &[0, window])).is_ok(), is_allowed, "{window:#x}");
    }
}

#[test]
fn checksums_dictionaries_and_reserved_bits_are_refused() {
    for descriptor in 0..=u8::MAX {
        // A window of 1 KiB, except for a single segment, and a length of 5.
        let window: &[u8] = if descriptor & 0x20 == 0 { &[0] } else { &[] };
        let content: &[u8] = match (descriptor >> 6, descriptor & 0x20) {
            (0, 0) => &[],
            (0, _) => &[5],
            // It is counted from 256.
            (1, _) => &[5, 0],
            (2, _) => &[5, 0, 0, 0],
            _ => &[5, 0, 0, 0, 0, 0, 0, 0],
        };
        let announced = if descriptor >> 6 == 1 { 261 } else { 5 };
        let rest = [&[descriptor], window, content].concat();
        let is_allowed = descriptor & 0x0f == 0;
        assert_eq!(length(&body(announced, &rest)).is_ok(), is_allowed, "{descriptor:#x}");
    }
}

#[test]
fn a_length_in_the_zstd_frame_has_to_be_the_announced_one() {
    for rest in [
        &[0x20, 5][..],
        &[0x60, 5, 0],
        &[0xa0, 5, 0, 0, 0],
        &[0xe0, 5, 0, 0, 0, 0, 0, 0, 0x80],
        &[0xc0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(length(&body(6, rest)), Err(FrameError::BadBody(FrameKind::CompressedData)), "{rest:x?}");
    }
}

#[test]
fn anything_but_the_header_of_a_zstd_frame_is_refused() {
    let whole = body(5, &[0xe0, 5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(length(&whole), Ok(5));
    for end in 0..whole.len() {
        assert_eq!(length(&whole[..end]), Err(FrameError::BadBody(FrameKind::CompressedData)), "{end}");
    }
    for at in 4..8 {
        let mut other = whole.clone();
        other[at] ^= 1;
        assert!(length(&other).is_err(), "byte {at}");
    }
    // A frame that zstd skips.
    assert!(length(&[0, 0, 0, 5, 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]).is_err());
}
