//! The fields of packets, section 3 and RFC 4251 section 5: numbers and strings.

use super::{Extension, MAX_HANDLE, MAX_PACKET, MAX_PATH};
use crate::chunks::Chunks;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes};

/// What is wrong with a packet's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It ends before its last field does.
    #[error("it ends too soon")]
    Short,
    /// It has bytes after its last field.
    #[error("it has data after its end")]
    Trailing,
    /// A path of more than [`MAX_PATH`] bytes.
    #[error("a path is longer than {MAX_PATH} bytes")]
    LongPath,
    /// A handle of more than [`MAX_HANDLE`] bytes.
    #[error("a handle is longer than {MAX_HANDLE} bytes")]
    LongHandle,
    /// The draft has no such kind, or only the other side sends it.
    #[error("the request is unknown")]
    UnknownKind,
}

/// A packet whose body does not decode as its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet of kind {kind}: {flaw}")]
pub struct Malformed {
    /// Its kind.
    pub kind: u8,
    /// The request's id, for the answer. `None` if it is missing: the stream cannot be decoded further.
    pub id: Option<u32>,
    /// What is wrong.
    pub flaw: Flaw,
}

/// A packet cannot be sent: it would be longer than [`MAX_PACKET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {0} bytes would be over the limit of {MAX_PACKET}")]
pub struct TooLong(pub usize);

/// The data of a WRITE or a READ, in the pieces in which they arrived, not copied.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pieces: VecDeque<Bytes>,
}

impl Data {
    /// The pieces, in order; none is empty.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Total bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

impl From<Bytes> for Data {
    fn from(data: Bytes) -> Data {
        Data { pieces: Some(data).into_iter().filter(|data| !data.is_empty()).collect() }
    }
}

impl PartialEq for Data {
    /// Equal bytes, independent of the pieces.
    fn eq(&self, other: &Data) -> bool {
        self.pieces.iter().flatten().eq(other.pieces.iter().flatten())
    }
}

impl Eq for Data {}

/// Reads a body field by field.
#[derive(Debug)]
pub(super) struct Fields(Chunks);

impl Fields {
    pub(super) fn new(body: Chunks) -> Fields {
        Fields(body)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn u32(&mut self) -> Result<u32, Flaw> {
        self.take(4)?.try_get_u32().map_err(|_| Flaw::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Flaw> {
        self.take(8)?.try_get_u64().map_err(|_| Flaw::Short)
    }

    /// A string: a length and that number of bytes.
    pub(super) fn string(&mut self) -> Result<Bytes, Flaw> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub(super) fn path(&mut self) -> Result<Bytes, Flaw> {
        self.limited(MAX_PATH, Flaw::LongPath)
    }

    pub(super) fn handle(&mut self) -> Result<Bytes, Flaw> {
        self.limited(MAX_HANDLE, Flaw::LongHandle)
    }

    pub(super) fn data(&mut self) -> Result<Data, Flaw> {
        let length = self.u32()?;
        let data = self.0.split_to(length as usize).ok_or(Flaw::Short)?;
        Ok(Data { pieces: data.into_pieces() })
    }

    /// Pairs of names and data, up to the end.
    pub(super) fn extensions(&mut self) -> Result<Vec<Extension>, Flaw> {
        let mut extensions = Vec::new();
        while !self.is_empty() {
            extensions.push(self.extension()?);
        }
        Ok(extensions)
    }

    pub(super) fn extension(&mut self) -> Result<Extension, Flaw> {
        Ok(Extension { name: self.string()?, data: self.string()? })
    }

    /// All remaining bytes.
    pub(super) fn rest(&mut self) -> Result<Bytes, Flaw> {
        self.take(self.0.len())
    }

    /// Refuses trailing bytes.
    pub(super) fn end(&self) -> Result<(), Flaw> {
        if self.is_empty() { Ok(()) } else { Err(Flaw::Trailing) }
    }

    fn limited(&mut self, most: usize, flaw: Flaw) -> Result<Bytes, Flaw> {
        let length = self.u32()? as usize;
        if length > most { Err(flaw) } else { self.take(length) }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, Flaw> {
        self.0.take(length).ok_or(Flaw::Short)
    }
}

impl From<Bytes> for Fields {
    fn from(body: Bytes) -> Fields {
        let mut chunks = Chunks::default();
        chunks.push(body);
        Fields(chunks)
    }
}

pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

pub(super) fn put_data(out: &mut Vec<u8>, data: &Data) {
    out.put_u32(data.len() as u32);
    data.pieces().for_each(|piece| out.put_slice(piece));
}

pub(super) fn put_extensions(out: &mut Vec<u8>, extensions: &[Extension]) {
    for extension in extensions {
        put_string(out, &extension.name);
        put_string(out, &extension.data);
    }
}

/// Appends a packet of this kind; if it is too long, `out` is unchanged.
pub(super) fn put_packet(
    out: &mut Vec<u8>,
    kind: u8,
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), TooLong> {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    let length = out.len() - start - 4;
    if length > MAX_PACKET as usize {
        out.truncate(start);
        return Err(TooLong(length));
    }
    if let Some(head) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *head = (length as u32).to_be_bytes();
    }
    Ok(())
}
