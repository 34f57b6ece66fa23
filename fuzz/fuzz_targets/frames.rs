//! Any bytes, in any pieces, into the decoder. It must not panic, and must not hold more than its input. The sizes of
//! the pieces must not matter. A decoded frame must be the same after it was encoded and decoded again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use sshome_wire::{Decoder, Frame, FrameError};

// The first byte is the number of sizes of pieces that follow it; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (sizes, stream) = rest.split_at(usize::from(count % 8).min(rest.len()));
    let (frames, error) = decode(stream, sizes);
    let (whole, whole_error) = decode(stream, &[]);
    assert_eq!(error, whole_error);
    let meaning = encode(&frames);
    assert_eq!(meaning, encode(&whole));

    let (again, error) = decode(&meaning, sizes);
    assert_eq!(error, None);
    assert_eq!(encode(&again), meaning);
});

/// The frames of `stream` up to the first error. It is pushed in pieces of these sizes, repeatedly, or in one piece if
/// there are none. Adjacent pieces of data are joined.
fn decode(stream: &[u8], sizes: &[u8]) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            assert!(decoder.buffered() <= stream.len() - rest.len());
            match decoder.next() {
                Ok(Some(frame)) => append(&mut frames, frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn append(frames: &mut Vec<Frame>, frame: Frame) {
    match (frames.last_mut(), frame) {
        (Some(Frame::Data(before)), Frame::Data(piece)) => *before = [&before[..], &piece].concat().into(),
        (_, frame) => frames.push(frame),
    }
}

/// The encoded frames. Data that was joined may be too long for one frame, so it is split.
fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for frame in frames {
        match frame {
            Frame::Data(data) => {
                data.chunks(1 << 17)
                    .for_each(|part| add(&Frame::Data(Bytes::copy_from_slice(part)), &mut out));
            }
            control => add(control, &mut out),
        }
    }
    out.to_vec()
}

fn add(frame: &Frame, out: &mut BytesMut) {
    frame.encode(out).expect("what fitted into a frame fits again: numbers only get shorter");
}
