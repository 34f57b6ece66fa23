//! Frames: a big-endian `u32` length, a `u8` kind, a body. The length counts kind and body.
//!
//! A control body is a serde type in postcard and must decode to its last byte. A data body is raw file data. It is
//! passed on in the pieces in which it arrives, never copied and never collected. Compressed data arrives whole.

use crate::chunks::Chunks;
use crate::{
    Blocks, CompressedData, CopyRange, Description, End, Entries, Header, Hello, Part, Progress, RangeHeader,
    Reply, Request, Session, Stored, StoredFile,
};
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame that either side reads, in bytes, without its length: 256 KiB with it.
pub const MAX_FRAME: u32 = (256 << 10) - 4;

/// Length of a frame's header: length and kind.
pub const HEADER_BYTES: usize = 5;

/// Best data length of a data frame, in bytes. With its header it fits one SSH packet, and it is a multiple of pages
/// and BLAKE3 chunks, which are faster to read, write and hash.
pub const DATA_BYTES: usize = 60 << 10;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Either side's first frame.
    Hello = 1,
    /// A request of the client.
    Request = 2,
    /// The client aborts all unanswered requests. No body.
    Cancel = 3,
    /// The client ends a put that was refused, or that it aborts. No body.
    Abort = 4,
    /// Bytes of a file.
    Data = 5,
    /// The end of a file's bytes.
    End = 6,
    /// The server's answer that ends a request.
    Reply = 7,
    /// The header of a get, before its data.
    Header = 8,
    /// Part of a listing.
    Entries = 9,
    /// The progress of a long request.
    Progress = 10,
    /// Digests of a file's blocks, from the side that has a partial file.
    Blocks = 11,
    /// Partial uploads.
    Parts = 12,
    /// How much of a stream is stored and need not be sent again.
    Stored = 13,
    /// Bytes of a file, compressed.
    CompressedData = 14,
    /// A range of an old version of the file, in place of data.
    Copy = 15,
    /// Chunks of a file, from the side that has an old version.
    Description = 16,
    /// The header of a range, before its data.
    RangeHeader = 17,
    /// Files that exist, with their stored digests.
    StoredFiles = 18,
    /// What the server says about the login, after the client's hello.
    Session = 19,
}

impl TryFrom<u8> for FrameKind {
    type Error = FrameError;

    fn try_from(byte: u8) -> Result<FrameKind, FrameError> {
        use FrameKind::*;
        let all = [
            Hello,
            Request,
            Cancel,
            Abort,
            Data,
            End,
            Reply,
            Header,
            Entries,
            Progress,
            Blocks,
            Parts,
            Stored,
            CompressedData,
            Copy,
            Description,
            RangeHeader,
            StoredFiles,
            Session,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte).ok_or(FrameError::UnknownKind(byte))
    }
}

/// One frame, or a piece of a data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the kind of its name
pub enum Frame {
    Hello(Hello),
    Request(Request),
    Cancel,
    Abort,
    /// Part of a file's bytes, never empty.
    Data(Bytes),
    End(End),
    Reply(Reply),
    Header(Header),
    Entries(Entries),
    Progress(Progress),
    Blocks(Blocks),
    Parts(Vec<Part>),
    Stored(Stored),
    CompressedData(CompressedData),
    Copy(CopyRange),
    Description(Description),
    RangeHeader(RangeHeader),
    StoredFiles(Vec<StoredFile>),
    Session(Session),
}

/// Why the stream cannot be decoded. It ends the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is too small for a kind.
    #[error("a frame of length 0")]
    Empty,
    /// The length is over the limit.
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(u32),
    /// The kind is unknown.
    #[error("unknown kind of frame {0}")]
    UnknownKind(u8),
    /// The body does not decode as its kind, or has trailing bytes.
    #[error("the body of a {0:?} frame does not decode")]
    BadBody(FrameKind),
    /// The value is too long for a frame.
    #[error("a {0:?} frame would be over the limit of {MAX_FRAME} bytes")]
    Unsendable(FrameKind),
}

impl Frame {
    /// The kind of this frame.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        match self {
            Frame::Hello(_) => FrameKind::Hello,
            Frame::Request(_) => FrameKind::Request,
            Frame::Cancel => FrameKind::Cancel,
            Frame::Abort => FrameKind::Abort,
            Frame::Data(_) => FrameKind::Data,
            Frame::End(_) => FrameKind::End,
            Frame::Reply(_) => FrameKind::Reply,
            Frame::Header(_) => FrameKind::Header,
            Frame::Entries(_) => FrameKind::Entries,
            Frame::Progress(_) => FrameKind::Progress,
            Frame::Blocks(_) => FrameKind::Blocks,
            Frame::Parts(_) => FrameKind::Parts,
            Frame::Stored(_) => FrameKind::Stored,
            Frame::CompressedData(_) => FrameKind::CompressedData,
            Frame::Copy(_) => FrameKind::Copy,
            Frame::Description(_) => FrameKind::Description,
            Frame::RangeHeader(_) => FrameKind::RangeHeader,
            Frame::StoredFiles(_) => FrameKind::StoredFiles,
            Frame::Session(_) => FrameKind::Session,
        }
    }

    /// Appends the frame to `out`. For large data use [`data_head`], which does not copy.
    ///
    /// # Errors
    /// If it would be longer than [`MAX_FRAME`]; `out` is then unchanged.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        let body = match self {
            Frame::Hello(body) => control(body),
            Frame::Request(body) => control(body),
            Frame::Cancel | Frame::Abort => Some(Vec::new()),
            Frame::Data(body) => Some(body.to_vec()),
            Frame::End(body) => control(body),
            Frame::Reply(body) => control(body),
            Frame::Header(body) => control(body),
            Frame::Entries(body) => control(body),
            Frame::Progress(body) => control(body),
            Frame::Blocks(body) => control(body),
            Frame::Parts(body) => control(body),
            Frame::Stored(body) => control(body),
            Frame::CompressedData(data) => Some(data.body()),
            Frame::Copy(body) => control(body),
            Frame::Description(body) => control(body),
            Frame::RangeHeader(body) => control(body),
            Frame::StoredFiles(body) => control(body),
            Frame::Session(body) => control(body),
        };
        let sendable = body.filter(|body| body.len() < MAX_FRAME as usize);
        let body = sendable.ok_or(FrameError::Unsendable(self.kind()))?;
        out.put_u32(body.len() as u32 + 1);
        out.put_u8(self.kind() as u8);
        out.put_slice(&body);
        Ok(())
    }

    fn decode(kind: FrameKind, body: Bytes) -> Result<Frame, FrameError> {
        match kind {
            FrameKind::CompressedData => {
                CompressedData::decode(body).map(Frame::CompressedData).ok_or(FrameError::BadBody(kind))
            }
            _ => Frame::decode_control(kind, &body),
        }
    }

    fn decode_control(kind: FrameKind, body: &[u8]) -> Result<Frame, FrameError> {
        match kind {
            FrameKind::Hello => whole(kind, body).map(Frame::Hello),
            FrameKind::Request => whole(kind, body).map(Frame::Request),
            FrameKind::Cancel if body.is_empty() => Ok(Frame::Cancel),
            FrameKind::Abort if body.is_empty() => Ok(Frame::Abort),
            FrameKind::End => whole(kind, body).map(Frame::End),
            FrameKind::Reply => whole(kind, body).map(Frame::Reply),
            FrameKind::Header => whole(kind, body).map(Frame::Header),
            FrameKind::Entries => whole(kind, body).map(Frame::Entries),
            FrameKind::Progress => whole(kind, body).map(Frame::Progress),
            FrameKind::Blocks => whole(kind, body).map(Frame::Blocks),
            FrameKind::Parts => whole(kind, body).map(Frame::Parts),
            FrameKind::Stored => whole(kind, body).map(Frame::Stored),
            FrameKind::Copy => whole(kind, body).map(Frame::Copy),
            FrameKind::Description => whole(kind, body).map(Frame::Description),
            FrameKind::RangeHeader => whole(kind, body).map(Frame::RangeHeader),
            FrameKind::StoredFiles => whole(kind, body).map(Frame::StoredFiles),
            FrameKind::Session => whole(kind, body).map(Frame::Session),
            FrameKind::Cancel | FrameKind::Abort | FrameKind::Data | FrameKind::CompressedData => {
                Err(FrameError::BadBody(kind))
            }
        }
    }
}

fn control<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    // Serializing into memory only fails for types that postcard does not support; all types here are supported.
    postcard::to_allocvec(value).ok()
}

fn whole<T: DeserializeOwned>(kind: FrameKind, body: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::BadBody(kind)),
    }
}

/// The five bytes before a data body of `length` bytes, which must be less than [`MAX_FRAME`].
#[must_use]
pub fn data_head(length: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = (length + 1).to_be_bytes();
    [a, b, c, d, FrameKind::Data as u8]
}

/// Splits a stream into frames. It holds no more than the pushed bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    chunks: Chunks,
    state: DecoderState,
}

#[derive(Debug, Default, Clone, Copy)]
enum DecoderState {
    #[default]
    Head,
    Control(FrameKind, usize),
    Data(usize),
    /// After an error the rest of the stream is invalid.
    Broken(FrameError),
}

impl DecoderState {
    /// In a data body of which `left` bytes are missing; after it if that is 0.
    fn data(left: usize) -> DecoderState {
        if left == 0 { DecoderState::Head } else { DecoderState::Data(left) }
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Adds the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// The number of pushed bytes that were not returned yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.chunks.len()
    }

    /// Whether the stream is between two frames and may end.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.buffered() == 0 && matches!(self.state, DecoderState::Head)
    }

    /// The next frame, or piece of data; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// If the stream is malformed. Every later call returns the same error.
    #[allow(clippy::should_implement_trait)] // an iterator has no way to say that more may come later
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let result = self.advance();
        if let Err(error) = result {
            self.state = DecoderState::Broken(error);
            self.chunks.clear();
        }
        result
    }

    fn advance(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.state {
                DecoderState::Broken(error) => return Err(error),
                DecoderState::Head => {
                    let Some(mut head) = self.chunks.take(HEADER_BYTES) else { return Ok(None) };
                    let length = head.get_u32();
                    if length > MAX_FRAME {
                        return Err(FrameError::TooLong(length));
                    }
                    let Some(body) = (length as usize).checked_sub(1) else {
                        return Err(FrameError::Empty);
                    };
                    self.state = match FrameKind::try_from(head.get_u8())? {
                        FrameKind::Data => DecoderState::data(body),
                        kind => DecoderState::Control(kind, body),
                    };
                }
                DecoderState::Control(kind, length) => {
                    let Some(body) = self.chunks.take(length) else { return Ok(None) };
                    self.state = DecoderState::Head;
                    return Frame::decode(kind, body).map(Some);
                }
                DecoderState::Data(left) => {
                    let Some(piece) = self.chunks.piece(left) else { return Ok(None) };
                    self.state = DecoderState::data(left - piece.len());
                    return Ok(Some(Frame::Data(piece)));
                }
            }
        }
    }
}
