//! The stream: cut anywhere, too long, broken; and what the decoder holds of it.

use super::{decoded, drain, encoded, framed};
use bytes::{Bytes, BytesMut};
use sshome_wire::frame::{HEADER_BYTES, data_head};
use sshome_wire::{
    Decoder, Digest, End, Frame, FrameError, FrameKind, MAX_FRAME, Put, Reply, Request, Status,
};

/// A conversation with control frames, data, and data frames of no bytes.
fn conversation() -> Vec<Frame> {
    let put = Put {
        path: b"/some/file".to_vec(),
        size: Some(600),
        mtime: None,
        source: None,
        mode: None,
        resume: 0,
    };
    let data: Vec<u8> = (0..600_u32).map(|n| n as u8).collect();
    let end = End { status: Status::Done, message: String::new(), digest: Digest([7; 32]), size: 600 };
    vec![
        Frame::Request(Request::Pwd),
        Frame::Request(Request::Put(put)),
        Frame::Data(Bytes::new()),
        Frame::Data(Bytes::from(data)),
        Frame::Data(Bytes::new()),
        Frame::Data(Bytes::from_static(b"x")),
        Frame::End(end),
        Frame::Cancel,
        Frame::Reply(Reply::new(Status::Cancelled, "as asked")),
    ]
}

fn stream_of(frames: &[Frame]) -> Bytes {
    frames.iter().map(encoded).collect::<Vec<_>>().concat().into()
}

/// The frames with neighbouring pieces of data put together: what they mean, however they were cut.
fn meaning(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        match (out.last_mut(), frame) {
            (_, Frame::Data(piece)) if piece.is_empty() => {}
            (Some(Frame::Data(before)), Frame::Data(piece)) => {
                *before = [&before[..], &piece].concat().into();
            }
            (_, frame) => out.push(frame),
        }
    }
    out
}

#[test]
fn pieces_of_every_size_give_the_same_frames() {
    let stream = stream_of(&conversation());
    for size in 1..=stream.len() {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for piece in stream.chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
            frames.extend(drain(&mut decoder).unwrap());
        }
        assert!(decoder.at_boundary(), "pieces of {size}");
        assert_eq!(meaning(frames), meaning(conversation()), "pieces of {size}");
    }
}

#[test]
fn a_stream_may_end_only_between_frames() {
    let mut ends = vec![0];
    for frame in conversation() {
        ends.push(ends[ends.len() - 1] + encoded(&frame).len());
    }
    let stream = stream_of(&conversation());
    for end in 0..=stream.len() {
        let mut decoder = Decoder::new();
        decoder.push(stream.slice(..end));
        drain(&mut decoder).unwrap();
        assert_eq!(decoder.at_boundary(), ends.contains(&end), "cut after {end} bytes");
    }
}

#[test]
fn a_stream_is_at_a_boundary_once_its_last_byte_is_taken() {
    let mut decoder = Decoder::new();
    decoder.push(encoded(&Frame::Data(Bytes::from_static(b"abc"))));
    assert!(!decoder.at_boundary());
    assert_eq!(decoder.next(), Ok(Some(Frame::Data(Bytes::from_static(b"abc")))));
    assert!(decoder.at_boundary());
}

#[test]
fn a_length_is_checked_as_soon_as_it_arrives() {
    for kind in [FrameKind::Data, FrameKind::Request] {
        let head = |length: u32| [&length.to_be_bytes()[..], &[kind as u8]].concat();
        assert_eq!(decoded(&head(0)), Err(FrameError::Empty));
        assert_eq!(decoded(&head(MAX_FRAME)), Ok(vec![]));
        assert_eq!(decoded(&head(MAX_FRAME + 1)), Err(FrameError::TooLong(MAX_FRAME + 1)));
        assert_eq!(decoded(&head(u32::MAX)), Err(FrameError::TooLong(u32::MAX)));
    }
}

#[test]
fn frames_of_the_maximum_length_pass_and_longer_ones_are_not_encoded() {
    let most = MAX_FRAME as usize - 1;
    let data = |length| Frame::Data(Bytes::from(vec![b'x'; length]));
    assert_eq!(decoded(&encoded(&data(most))), Ok(vec![data(most)]));

    // A request's number and a path's length take four bytes of the body.
    let cd = |length| Frame::Request(Request::Cd { path: vec![b'x'; length] });
    assert_eq!(decoded(&encoded(&cd(most - 4))), Ok(vec![cd(most - 4)]));

    let mut out = BytesMut::from(&b"before"[..]);
    for (frame, kind) in [(data(most + 1), FrameKind::Data), (cd(most - 3), FrameKind::Request)] {
        assert_eq!(frame.encode(&mut out), Err(FrameError::Unsendable(kind)));
        assert_eq!(out, b"before"[..]);
    }
}

#[test]
fn unknown_kinds_are_refused_before_their_body_is_waited_for() {
    for kind in (0..=u8::MAX).filter(|kind| !(1..=19).contains(kind)) {
        let head = [&MAX_FRAME.to_be_bytes()[..], &[kind]].concat();
        assert_eq!(decoded(&head), Err(FrameError::UnknownKind(kind)));
    }
}

#[test]
fn after_an_error_nothing_is_read_or_held() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(&[0, 0, 0, 1, 99]));
    decoder.push(encoded(&Frame::Cancel));
    for _ in 0..2 {
        assert_eq!(decoder.next(), Err(FrameError::UnknownKind(99)));
        assert_eq!(decoder.buffered(), 0);
        assert!(!decoder.at_boundary());
        decoder.push(encoded(&Frame::Cancel));
    }
}

#[test]
fn frames_before_an_error_are_handed_out() {
    let mut decoder = Decoder::new();
    decoder.push([&encoded(&Frame::Cancel)[..], &framed(3, b"x")].concat().into());
    assert_eq!(decoder.next(), Ok(Some(Frame::Cancel)));
    assert_eq!(decoder.next(), Err(FrameError::BadBody(FrameKind::Cancel)));
}

#[test]
fn the_decoder_holds_pushed_bytes_less_those_handed_out() {
    let stream = stream_of(&conversation());
    for size in [1, 3, 7, 100, stream.len()] {
        let mut decoder = Decoder::new();
        let (mut pushed, mut out) = (0, 0);
        for piece in stream.chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
            pushed += piece.len();
            while let Some(frame) = decoder.next().unwrap() {
                out += match &frame {
                    Frame::Data(piece) => piece.len(),
                    control => encoded(control).len(),
                };
                // What is not handed out yet is held, or was one of the heads of the data frames.
                assert!(decoder.buffered() <= pushed - out, "pieces of {size}");
            }
            assert!(decoder.buffered() < encoded(&conversation()[6]).len(), "no data is waited for");
        }
        assert_eq!(decoder.buffered(), 0);
        assert_eq!(pushed - out, 4 * HEADER_BYTES, "the heads of four data frames");
    }
}

#[test]
fn data_are_returned_without_a_copy() {
    let body = Bytes::from(vec![b'x'; 1000]);
    let chunk: Bytes = [&data_head(1500)[..], &body].concat().into();
    let rest: Bytes = [&[b'y'; 500][..], &[0, 0, 0, 1, 3]].concat().into();
    let (first, second) = (chunk[HEADER_BYTES..].as_ptr(), rest.as_ptr());

    let mut decoder = Decoder::new();
    decoder.push(chunk);
    decoder.push(rest);
    for (pointer, byte, length) in [(first, b'x', 1000), (second, b'y', 500)] {
        let Ok(Some(Frame::Data(piece))) = decoder.next() else { panic!("no data") };
        assert_eq!(piece, vec![byte; length]);
        assert_eq!(piece.as_ptr(), pointer);
    }
    assert_eq!(decoder.next(), Ok(Some(Frame::Cancel)));
}

#[test]
fn a_flood_of_empty_data_frames_takes_no_memory() {
    let mut decoder = Decoder::new();
    decoder.push(data_head(0).repeat(100_000).into());
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.at_boundary());
}
