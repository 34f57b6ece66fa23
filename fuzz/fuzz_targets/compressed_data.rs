//! Any bytes as the body of compressed data. It must not panic; what decompresses has exactly the announced length, and
//! takes no more memory; and what was compressed decompresses to what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshome_ssh::{CompressionMode, DataCompressor, LinkMeter, decompress};
use sshome_wire::{Decoder, Frame, FrameKind, MAX_FRAME};

fuzz_target!(|input: &[u8]| {
    let length = input.len() as u32 + 1;
    let kind = FrameKind::CompressedData as u8;
    if let Some(data) = decoded([&length.to_be_bytes()[..], &[kind], input].concat())
        && let Frame::CompressedData(data) = data
        && let Ok(content) = decompress(&data)
    {
        assert_eq!((content.len(), content.capacity()), (data.length(), data.length()));
        assert!((1..=MAX_FRAME as usize).contains(&data.length()));
    }
    let (always, link) = (CompressionMode::Always, LinkMeter::default());
    let mut compressor = DataCompressor::new(always, MAX_FRAME as usize, link, Default::default());
    if let Some(frame) = compressor.compress(input) {
        assert!(frame.len() < input.len() + 5, "it is shorter than the frame of plain data");
        let Some(Frame::CompressedData(data)) = decoded(frame) else {
            panic!("not a frame of compressed data")
        };
        assert_eq!(decompress(&data).expect("what was compressed"), input);
    }
});

/// The first frame of a stream, if it is valid.
fn decoded(stream: Vec<u8>) -> Option<Frame> {
    let mut decoder = Decoder::new();
    decoder.push(stream.into());
    decoder.next().ok().flatten()
}
