//! Frames as bytes.

use super::ConversationError;
use bytes::{Bytes, BytesMut};
use sshome_wire::Frame;

/// The error for an unexpected frame.
pub(crate) fn unexpected(frame: &Frame) -> ConversationError {
    ConversationError::Protocol(format!("it sent an unexpected {:?} frame", frame.kind()))
}

/// A frame's bytes.
pub(crate) fn encoded(frame: &Frame) -> Result<Bytes, ConversationError> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes)?;
    Ok(bytes.freeze())
}

/// The bytes of several frames, and how many they are.
pub(crate) fn batch(frames: impl Iterator<Item = Frame>) -> Result<(Bytes, usize), ConversationError> {
    let mut bytes = BytesMut::new();
    let mut count = 0;
    for frame in frames {
        frame.encode(&mut bytes)?;
        count += 1;
    }
    Ok((bytes.freeze(), count))
}
