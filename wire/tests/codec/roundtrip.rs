//! What is encoded decodes to itself, however it is cut; and no bytes make the decoder fall over.

use super::strategies::frame;
use super::{decoded, drain, encoded};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sshome_wire::{Decoder, Frame};

/// Pushes `stream` in pieces whose lengths are `sizes`, over and over.
fn decoded_in_pieces(stream: &[u8], sizes: &[usize]) -> (Vec<Frame>, Decoder) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        decoder.push(Bytes::copy_from_slice(piece));
        match drain(&mut decoder) {
            Ok(some) => frames.extend(some),
            Err(_) => break,
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (frames, decoder)
}

/// The frames' bytes, data frames without their heads: the same however data were cut.
fn content(frames: &[Frame]) -> Vec<u8> {
    let bytes = frames.iter().map(|frame| match frame {
        Frame::Data(piece) => piece.clone(),
        control => encoded(control),
    });
    bytes.collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn every_frame_decodes_to_itself(frame in frame()) {
        prop_assert_eq!(decoded(&encoded(&frame)), Ok(vec![frame]));
    }

    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        frames in vec(frame(), 0..12),
        sizes in vec(1_usize..200, 1..8),
    ) {
        let stream = frames.iter().map(encoded).collect::<Vec<_>>().concat();
        let (decoded, decoder) = decoded_in_pieces(&stream, &sizes);
        prop_assert_eq!(content(&decoded), content(&frames));
        prop_assert!(decoder.at_boundary());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        stream in vec(any::<u8>(), 0..600),
        sizes in vec(1_usize..50, 1..4),
    ) {
        let (_, decoder) = decoded_in_pieces(&stream, &sizes);
        prop_assert!(decoder.buffered() <= stream.len());
    }

    #[test]
    fn a_frame_with_a_changed_byte_is_decoded_or_refused(
        frame in frame(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut stream = encoded(&frame).to_vec();
        let at = at.index(stream.len());
        stream[at] = byte;
        for frame in decoded(&stream).unwrap_or_default() {
            prop_assert_eq!(decoded(&encoded(&frame)), Ok(vec![frame]));
        }
    }
}
