use alloc::collections::VecDeque;
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes in the pieces in which they arrived. Only a value that spans several pieces is copied, and only when it is
/// requested in one piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    chunks: VecDeque<Bytes>,
    length: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.length += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// The number of remaining bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The number of remaining pieces.
    pub(crate) fn count(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn clear(&mut self) {
        *self = Chunks::default();
    }

    /// The rest of the first piece, at most `most` bytes; `None` at the end.
    pub(crate) fn piece(&mut self, most: usize) -> Option<Bytes> {
        let chunk = self.chunks.front_mut()?;
        let piece = if chunk.len() > most { chunk.split_to(most) } else { self.chunks.pop_front()? };
        self.length -= piece.len();
        Some(piece)
    }

    /// The next `length` bytes in one piece, `None` if there are fewer. Copied only if they span several pieces.
    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.length < length {
            return None;
        }
        match self.chunks.front() {
            Some(chunk) if chunk.len() >= length => self.piece(length),
            _ => {
                let mut out = BytesMut::with_capacity(length);
                while out.len() < length {
                    out.put(self.piece(length - out.len())?);
                }
                Some(out.freeze())
            }
        }
    }

    /// The next `length` bytes without a copy, `None` if there are fewer.
    pub(crate) fn split_to(&mut self, length: usize) -> Option<Chunks> {
        if self.length < length {
            return None;
        }
        let mut out = Chunks::default();
        while out.length < length {
            out.push(self.piece(length - out.length)?);
        }
        Some(out)
    }

    /// The pieces, in order.
    pub(crate) fn into_pieces(self) -> VecDeque<Bytes> {
        self.chunks
    }
}
