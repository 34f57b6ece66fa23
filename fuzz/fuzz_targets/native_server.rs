//! Whole streams of frames into the server's side of the native protocol, each with a fresh home. It must not panic.
//! Its output is frames, with no more answers than requests. Afterwards the accounting matches a scan of the disk and
//! is within the quota, and nothing outside the home has changed.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sshome_fuzz::{Answers, Pieces, World};
use sshome_wire::{Decoder, Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Status};
use sshomed::protocol::{ChannelEnd, native};
use std::sync::LazyLock;
use tokio_util::sync::CancellationToken;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|input: &[u8]| {
    let mut greeting = BytesMut::new();
    hello().encode(&mut greeting).expect("a hello fits");
    let incoming = Pieces::packets(greeting.freeze(), input);
    let answers = Answers::default();
    let stopping = CancellationToken::new();
    let ended = WORLD
        .visit(async |user| native::serve(incoming, answers.clone(), user, stopping, WORLD.threads()).await);
    assert!(matches!(ended, ChannelEnd::Well | ChannelEnd::Violation), "{ended:?}");
    assert!(answers.errors().is_empty(), "the subsystem has no standard error");
    let mut frames = decoded(&answers).into_iter();
    assert!(matches!(frames.next(), Some(Frame::Hello(_))), "the server greets first");
    let answered = frames.filter(|frame| matches!(frame, Frame::Reply(_) | Frame::End(_))).count();
    // A request takes at least 6 bytes, a cancel 5, and a violation of the protocol gets an answer.
    assert!(answered <= input.len() / 4 + 1, "{answered} answers to {} bytes", input.len());
});

fn hello() -> Frame {
    Frame::Hello(Hello {
        version: PROTOCOL_VERSION,
        // All that is got is compressed.
        features: Features::ALL,
        max_frame: MAX_FRAME,
        max_outstanding: 4096,
        status: Status::Authenticated,
        message: String::new(),
    })
}

/// The answers: each is a complete frame that only a server sends.
fn decoded(answers: &Answers) -> Vec<Frame> {
    let mut decoder = Decoder::new();
    answers.output().into_iter().for_each(|piece| decoder.push(piece));
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next().expect("frames") {
        assert!(!matches!(frame, Frame::Request(_) | Frame::Cancel | Frame::Abort), "{frame:?}");
        frames.push(frame);
    }
    assert_eq!(decoder.buffered(), 0, "the last frame is whole");
    frames
}
