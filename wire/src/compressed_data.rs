//! File data that its sender has compressed.
//!
//! This crate knows the form only; `sshome-ssh` compresses and decompresses. What is checked here is checked before
//! anything is decompressed: the length that the receiver will allocate, and the header of the zstd frame (RFC 8878,
//! section 3.1.1.1).

use crate::MAX_FRAME;
use crate::frame::{FrameKind, HEADER_BYTES};
use bytes::{Buf, Bytes};

/// The largest window of a zstd frame, in bytes: what a decompressor may have to keep.
pub const MAX_WINDOW_BYTES: u64 = 1 << 20;

/// Best length of the data in one compressed frame, in bytes: the longer, the better it compresses. As a frame of plain
/// data, the same data also fit.
pub const COMPRESSIBLE_BYTES: usize = 252 << 10;

/// Length of the head of a compressed frame: length, kind, and length of the data.
pub const COMPRESSED_HEAD_BYTES: usize = HEADER_BYTES + size_of::<u32>();

/// The first bytes of a zstd frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Part of a file's bytes: the length that they have, and one zstd frame. Its header was checked, its content was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedData {
    length: u32,
    zstd: Bytes,
}

impl CompressedData {
    /// `zstd` is to decompress to `length` bytes. `None` if that cannot be, or is not allowed: a length of 0 or more than
    /// [`MAX_FRAME`], anything but a zstd frame, a window of more than [`MAX_WINDOW_BYTES`], a checksum, a dictionary, or
    /// a different length in the header.
    #[must_use]
    pub fn new(length: u32, zstd: Bytes) -> Option<CompressedData> {
        let is_allowed = (1..=MAX_FRAME).contains(&length) && is_allowed(&zstd, length);
        is_allowed.then_some(CompressedData { length, zstd })
    }

    pub(crate) fn decode(mut body: Bytes) -> Option<CompressedData> {
        let length = body.try_get_u32().ok()?;
        CompressedData::new(length, body)
    }

    /// The length of the data in bytes: 1 to [`MAX_FRAME`].
    #[must_use]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// The zstd frame.
    #[must_use]
    pub fn zstd(&self) -> &Bytes {
        &self.zstd
    }

    pub(crate) fn body(&self) -> alloc::vec::Vec<u8> {
        [&self.length.to_be_bytes()[..], &self.zstd].concat()
    }
}

/// The bytes before a zstd frame of `zstd` bytes that decompresses to `length`. Both are less than [`MAX_FRAME`].
#[must_use]
pub fn compressed_data_head(length: u32, zstd: u32) -> [u8; COMPRESSED_HEAD_BYTES] {
    let [a, b, c, d] = (zstd + 5).to_be_bytes();
    let [e, f, g, h] = length.to_be_bytes();
    [a, b, c, d, FrameKind::CompressedData as u8, e, f, g, h]
}

/// Whether the bytes begin with the header of a zstd frame that is allowed for data of `length` bytes.
fn is_allowed(zstd: &[u8], length: u32) -> bool {
    let header = || {
        let (descriptor, mut rest) = zstd.strip_prefix(&MAGIC)?.split_first()?;
        let is_single_segment = descriptor & 0x20 != 0;
        let has_reserved_checksum_or_dictionary = descriptor & 0x0f != 0;
        let window = match is_single_segment {
            true => None,
            false => Some(window_bytes(rest.try_get_u8().ok()?)),
        };
        let content = match descriptor >> 6 {
            0 if is_single_segment => Some(u64::from(rest.try_get_u8().ok()?)),
            0 => None,
            1 => Some(u64::from(rest.try_get_u16_le().ok()?) + 256),
            2 => Some(u64::from(rest.try_get_u32_le().ok()?)),
            _ => Some(rest.try_get_u64_le().ok()?),
        };
        // The window of a single segment is its content.
        let is_allowed = !has_reserved_checksum_or_dictionary
            && window.is_none_or(|bytes| bytes <= MAX_WINDOW_BYTES)
            && content.is_none_or(|bytes| bytes == u64::from(length));
        Some(is_allowed)
    };
    header() == Some(true)
}

/// The size of a window by its descriptor: an exponent and eighths.
fn window_bytes(descriptor: u8) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}
