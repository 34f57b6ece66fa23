//! Compression of file data in our own frames, for both ends. SSH's own compresses everything on a connection, whether
//! that pays off or not.
//!
//! A sender has a [`DataCompressor`] for each connection, which decides and counts. The work is done by the thread that
//! reads the file; its memory belongs to that thread, so it does not grow with the number of connections.

mod policy;
mod zstd;

pub use zstd::{DecompressError, decompress};

use crate::LinkMeter;
use policy::{CompressionPolicy, CompressionSample};
use sshome_wire::frame::{DATA_BYTES, HEADER_BYTES};
use sshome_wire::{COMPRESSIBLE_BYTES, Features};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Shorter data is not compressed, in bytes: that would save less than a packet.
const MIN_COMPRESSED_BYTES: usize = 1 << 10;

/// Which data is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressionMode {
    /// None.
    Never,
    /// What compresses well, while the link is slower than compressing.
    #[default]
    Auto,
    /// All that gets shorter by it.
    Always,
}

impl CompressionMode {
    /// What a client with this mode does not announce.
    #[must_use]
    pub fn withheld(self) -> Features {
        match self {
            CompressionMode::Never => Features(Features::COMPRESSION.0 | Features::COMPRESS_ALWAYS.0),
            CompressionMode::Auto => Features::COMPRESS_ALWAYS,
            CompressionMode::Always => Features::default(),
        }
    }

    /// The mode that a client with these features wants.
    #[must_use]
    pub fn of_client(features: Features) -> CompressionMode {
        match (features.has(Features::COMPRESSION), features.has(Features::COMPRESS_ALWAYS)) {
            (false, _) => CompressionMode::Never,
            (true, false) => CompressionMode::Auto,
            (true, true) => CompressionMode::Always,
        }
    }
}

impl FromStr for CompressionMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<CompressionMode, &'static str> {
        match text {
            "auto" => Ok(CompressionMode::Auto),
            "never" => Ok(CompressionMode::Never),
            "zstd" => Ok(CompressionMode::Always),
            _ => Err("must be auto, never or zstd"),
        }
    }
}

impl fmt::Display for CompressionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CompressionMode::Auto => "auto",
            CompressionMode::Never => "never",
            CompressionMode::Always => "zstd",
        })
    }
}

/// Compresses the file data that one connection sends. The default compresses nothing.
#[derive(Debug)]
pub struct DataCompressor {
    mode: CompressionMode,
    link: LinkMeter,
    /// The longest data that the peer takes in one frame, in bytes.
    max_bytes: usize,
    policy: CompressionPolicy,
    saved: Arc<AtomicU64>,
}

impl Default for DataCompressor {
    fn default() -> DataCompressor {
        DataCompressor::new(CompressionMode::Never, 0, LinkMeter::default(), Arc::default())
    }
}

impl DataCompressor {
    /// A compressor for a peer that reads frames of up to `max_frame` bytes, counted from the kind on, over this link. It
    /// adds to `saved` by how many bytes frames were shorter.
    #[must_use]
    pub fn new(
        mode: CompressionMode,
        max_frame: usize,
        link: LinkMeter,
        saved: Arc<AtomicU64>,
    ) -> DataCompressor {
        let max_bytes = max_frame.saturating_sub(1);
        DataCompressor { mode, link, max_bytes, policy: CompressionPolicy::default(), saved }
    }

    /// How much data the next frame should have, in bytes: more if it will be compressed.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        let is_long = match self.mode {
            CompressionMode::Never => false,
            CompressionMode::Auto => self.policy.expects_gain(self.link.wait_per_byte()),
            CompressionMode::Always => true,
        };
        if is_long { COMPRESSIBLE_BYTES.min(self.max_bytes).max(DATA_BYTES) } else { DATA_BYTES }
    }

    /// Whether [`compress`](DataCompressor::compress) will take its time for data of this length.
    #[must_use]
    pub fn attempts(&self, length: usize) -> bool {
        self.takes(length)
            && match self.mode {
                CompressionMode::Never => false,
                CompressionMode::Auto => self.policy.is_due(self.link.wait_per_byte()),
                CompressionMode::Always => true,
            }
    }

    fn takes(&self, length: usize) -> bool {
        (MIN_COMPRESSED_BYTES..=self.max_bytes).contains(&length)
    }

    /// The frame to send in place of this frame of data: compressed if that pays off.
    #[must_use]
    pub fn frame(&mut self, plain: Vec<u8>) -> Vec<u8> {
        self.compress(plain.get(HEADER_BYTES..).unwrap_or_default()).unwrap_or(plain)
    }

    /// The frame with this data, compressed. `None` if it should be sent as it is.
    pub fn compress(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if !self.takes(data.len()) {
            return None;
        }
        let frame = match self.mode {
            CompressionMode::Never => None,
            CompressionMode::Auto => self.compress_if_due(data),
            CompressionMode::Always => zstd::compress(data, policy::MAX_LEVEL),
        };
        let plain = HEADER_BYTES + data.len();
        let frame = frame.filter(|frame| frame.len() < plain)?;
        self.saved.fetch_add((plain - frame.len()) as u64, Relaxed);
        Some(frame)
    }

    fn compress_if_due(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let wait_per_byte = self.link.wait_per_byte();
        let level = self.policy.next_level(wait_per_byte)?;
        let begun = Instant::now();
        let frame = zstd::compress(data, level)?;
        let sample = CompressionSample { plain: data.len(), compressed: frame.len(), took: begun.elapsed() };
        let shrank = sample.shrank();
        self.policy.note(&sample, wait_per_byte);
        Some(frame).filter(|_| shrank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{Decoder, Frame, MAX_FRAME};
    use std::time::Duration;

    /// A link over which each byte waits this many nanoseconds.
    fn link(wait_per_byte: u64) -> LinkMeter {
        let link = LinkMeter::default();
        link.wrote(1 << 20);
        link.waited(Duration::from_nanos(wait_per_byte << 20));
        link
    }

    fn compressor(mode: CompressionMode, link: LinkMeter) -> DataCompressor {
        DataCompressor::new(mode, MAX_FRAME as usize, link, Arc::default())
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| b"the quick brown fox"[at * at % 19]).collect()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    /// The data of a compressed frame.
    fn data(frame: Vec<u8>) -> Vec<u8> {
        let mut decoder = Decoder::new();
        decoder.push(frame.into());
        let Ok(Some(Frame::CompressedData(data))) = decoder.next() else { panic!("no frame") };
        assert!(decoder.at_boundary());
        decompress(&data).unwrap()
    }

    #[test]
    fn a_slow_link_gets_compressed_frames_of_text_and_plain_ones_of_noise() {
        let mut compressor = compressor(CompressionMode::Auto, link(1_000_000));
        let mut saved = 0;
        for _ in 0..5 {
            let text = text(compressor.data_bytes());
            let frame = compressor.compress(&text).unwrap();
            assert!(frame.len() < text.len() / 2);
            saved += (HEADER_BYTES + text.len() - frame.len()) as u64;
            assert!(data(frame) == text);
        }
        assert_eq!(compressor.data_bytes(), COMPRESSIBLE_BYTES);
        assert_eq!(compressor.saved.load(Relaxed), saved);
        for _ in 0..100 {
            assert!(compressor.compress(&noise(DATA_BYTES)).is_none());
        }
        assert_eq!(compressor.data_bytes(), DATA_BYTES);
        assert_eq!(compressor.saved.load(Relaxed), saved);
    }

    #[test]
    fn a_fast_link_gets_plain_frames_unless_all_are_to_be_compressed() {
        for (mode, is_compressed) in
            [(CompressionMode::Auto, false), (CompressionMode::Never, false), (CompressionMode::Always, true)]
        {
            let mut compressor = compressor(mode, LinkMeter::default());
            assert_eq!(compressor.compress(&text(DATA_BYTES)).is_some(), is_compressed, "{mode}");
            assert!(compressor.compress(&noise(DATA_BYTES)).is_none(), "{mode}");
        }
        // It shrinks, but not by a tenth.
        let little = [vec![0; DATA_BYTES / 20], noise(DATA_BYTES - DATA_BYTES / 20)].concat();
        assert!(compressor(CompressionMode::Auto, link(1_000_000)).compress(&little).is_none());
        assert!(compressor(CompressionMode::Always, link(1_000_000)).compress(&little).is_some());
        assert!(compressor(CompressionMode::Never, link(1_000_000)).compress(&text(DATA_BYTES)).is_none());
    }

    #[test]
    fn short_data_and_data_that_the_peer_does_not_take_in_one_frame_stay_plain() {
        let mut compressor = compressor(CompressionMode::Always, LinkMeter::default());
        assert!(compressor.compress(&text(MIN_COMPRESSED_BYTES - 1)).is_none());
        assert!(compressor.compress(&text(MIN_COMPRESSED_BYTES)).is_some());
        let small_frames = (CompressionMode::Always, 100 << 10);
        let mut compressor =
            DataCompressor::new(small_frames.0, small_frames.1, LinkMeter::default(), Arc::default());
        assert_eq!(compressor.data_bytes(), (100 << 10) - 1);
        assert!(compressor.compress(&text((100 << 10) - 1)).is_some());
        assert!(compressor.compress(&text(100 << 10)).is_none());
    }

    #[test]
    fn modes_are_announced_and_spelled() {
        for mode in [CompressionMode::Auto, CompressionMode::Never, CompressionMode::Always] {
            assert_eq!(CompressionMode::of_client(Features::ALL.without(mode.withheld())), mode);
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(CompressionMode::of_client(Features::COMPRESS_ALWAYS), CompressionMode::Never);
        assert!("zlib".parse::<CompressionMode>().is_err());
    }
}
