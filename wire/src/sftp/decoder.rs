use super::fields::{Fields, Malformed};
use super::{Flaw, MAX_PACKET};
use crate::chunks::Chunks;
use bytes::{Buf, Bytes};

/// Why a stream cannot be decoded. It ends the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The length is too small for a kind.
    #[error("a packet of length 0")]
    Empty,
    /// The length is over the limit.
    #[error("a packet of {0} bytes is over the limit of {MAX_PACKET}")]
    TooLong(u32),
}

/// Splits a stream into packets. It holds no more than the pushed bytes.
#[derive(Debug, Default)]
pub struct SftpDecoder {
    chunks: Chunks,
    /// The length of the packet that is being waited for, once it has arrived.
    length: Option<usize>,
    /// After an error the rest of the stream is invalid.
    broken: Option<PacketError>,
}

/// One packet, not copied.
#[derive(Debug)]
pub struct Packet {
    kind: u8,
    body: Chunks,
}

impl SftpDecoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> SftpDecoder {
        SftpDecoder::default()
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

    /// The number of pieces of those bytes.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.chunks.count()
    }

    /// Whether [`next`](SftpDecoder::next) has a result before more bytes are pushed.
    pub fn is_ready(&mut self) -> bool {
        self.length().map_or(true, |length| length.is_some_and(|length| self.buffered() >= length))
    }

    /// Whether the stream is between two packets and may end.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.buffered() == 0 && self.length.is_none() && self.broken.is_none()
    }

    /// The next packet; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// If the stream is malformed. Every later call returns the same error.
    #[allow(clippy::should_implement_trait)] // an iterator has no way to say that more may come later
    pub fn next(&mut self) -> Result<Option<Packet>, PacketError> {
        let Some(length) = self.length()? else { return Ok(None) };
        let Some(mut body) = self.chunks.split_to(length) else { return Ok(None) };
        self.length = None;
        let mut kind = body.take(1).ok_or(PacketError::Empty)?;
        Ok(Some(Packet { kind: kind.get_u8(), body }))
    }

    /// The length of the next packet; `None` until it has arrived.
    fn length(&mut self) -> Result<Option<usize>, PacketError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.length.is_none()
            && let Some(mut head) = self.chunks.take(4)
        {
            self.length = match head.get_u32() {
                0 => return Err(self.end(PacketError::Empty)),
                length if length > MAX_PACKET => return Err(self.end(PacketError::TooLong(length))),
                length => Some(length as usize),
            };
        }
        Ok(self.length)
    }

    fn end(&mut self, error: PacketError) -> PacketError {
        self.broken = Some(error);
        self.chunks.clear();
        error
    }
}

impl Packet {
    /// Its kind, see [`super::kind`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Reads a body without an id.
    pub(super) fn read<T>(self, read: impl FnOnce(&mut Fields) -> Result<T, Flaw>) -> Result<T, Malformed> {
        let Packet { kind, body } = self;
        let mut fields = Fields::new(body);
        read(&mut fields).map_err(|flaw| Malformed { kind, id: None, flaw })
    }

    /// Reads a body that begins with a request's id. Use [`end`](Fields::end) to refuse trailing bytes.
    pub(super) fn read_with_id<T>(
        self,
        read: impl FnOnce(&mut Fields) -> Result<T, Flaw>,
    ) -> Result<(u32, T), Malformed> {
        let Packet { kind, body } = self;
        let mut fields = Fields::new(body);
        let id = fields.u32().map_err(|flaw| Malformed { kind, id: None, flaw })?;
        let value = read(&mut fields).map_err(|flaw| Malformed { kind, id: Some(id), flaw })?;
        Ok((id, value))
    }
}
