//! The codec from outside: byte by byte, cut in every way, and at random.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a failure is the test failing

mod answers;
mod compressed_data;
mod paths;
mod requests;
mod roundtrip;
mod same_content;
mod strategies;
mod stream;
mod transfers;

use bytes::{Bytes, BytesMut};
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{Decoder, Frame, FrameError};

/// The frame as it travels.
fn encoded(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out).unwrap();
    out.freeze()
}

/// All frames of a stream that is pushed in one go.
fn decoded(stream: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::copy_from_slice(stream));
    drain(&mut decoder)
}

/// What a decoder has to give before it wants more.
fn drain(decoder: &mut Decoder) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// A stream of one frame: `kind`, and `body` as it is.
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 1;
    [&length.to_be_bytes()[..], &[kind], body].concat()
}

/// A control frame is these bytes and no others: it encodes to them and they decode to it, every
/// beginning of them is waited on, and a body with a byte less or a byte more is refused.
#[track_caller]
fn is(frame: &Frame, wire: &[u8]) {
    assert_eq!(&encoded(frame)[..], wire, "as it travels");
    assert_eq!(decoded(wire), Ok(vec![frame.clone()]));
    for end in 0..wire.len() {
        assert_eq!(decoded(&wire[..end]), Ok(vec![]), "cut after {end} bytes");
    }
    let (kind, body) = (frame.kind(), &wire[HEADER_BYTES..]);
    for end in 0..body.len() {
        let short = framed(kind as u8, &body[..end]);
        assert_eq!(decoded(&short), Err(FrameError::BadBody(kind)), "a body of {end} bytes");
    }
    let long = framed(kind as u8, &[body, &[0]].concat());
    assert_eq!(decoded(&long), Err(FrameError::BadBody(kind)), "a byte too many");
}
