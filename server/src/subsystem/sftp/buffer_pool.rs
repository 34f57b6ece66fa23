//! Memory for what is read, used again.
//!
//! A piece is filled on one thread and sent on another. What the allocator keeps of pieces this large for each of
//! the threads is megabytes, most of which nobody uses. So some pieces are kept here, for whichever thread reads.

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The one of the server. What is kept is 8 MiB at most, about.
pub(super) static SPARE: Spare = Spare::new(32);

/// Buffers that nobody uses now.
pub(super) struct Spare {
    kept: Mutex<Vec<Vec<u8>>>,
    /// So many are kept.
    most: usize,
}

/// A buffer that is kept once it is sent.
struct Piece {
    buffer: Vec<u8>,
    spare: &'static Spare,
}

impl Spare {
    const fn new(most: usize) -> Spare {
        Spare { kept: Mutex::new(Vec::new()), most }
    }

    /// An empty buffer with room for just so many bytes.
    pub(super) fn buffer(&self, capacity: usize) -> Vec<u8> {
        let kept = self.kept().pop();
        // Clients ask for one length as a rule. After another one, what is kept goes.
        kept.filter(|buffer| buffer.capacity() == capacity).unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// What is to be sent. Its memory comes back then.
    pub(super) fn lend(&'static self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Piece { buffer, spare: self })
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut kept = self.spare.kept();
        if kept.len() < self.spare.most {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_used_again_and_no_more_is_kept_than_is_good() {
        static FEW: Spare = Spare::new(2);
        let lent: Vec<Bytes> = (0..5u8)
            .map(|number| {
                let mut buffer = FEW.buffer(1000);
                buffer.resize(1000, number);
                FEW.lend(buffer)
            })
            .collect();
        let places: Vec<*const u8> = lent.iter().map(|bytes| bytes.as_ptr()).collect();
        assert!((0..).zip(&lent).all(|(number, bytes)| bytes[..] == [number; 1000]));
        // Whoever still sends a part of one holds all of it.
        let part = lent[4].slice(10..20);
        drop(lent);
        assert_eq!(part[..], [4; 10]);
        let again = [FEW.buffer(1000), FEW.buffer(1000)];
        assert!(again.iter().all(|buffer| buffer.is_empty() && places[..4].contains(&buffer.as_ptr())));
        assert!(FEW.kept().is_empty());
        drop(part);
        assert_eq!(FEW.buffer(999).capacity(), 999);
        assert!(FEW.kept().is_empty());
    }
}
