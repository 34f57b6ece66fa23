//! A buffer pool for reads.
//!
//! A buffer is filled on one thread and sent on another. The allocator would cache megabytes of such large buffers
//! per thread. So this pool keeps some for all threads.

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The pool of the server. Keeps at most about 8 MiB.
pub(super) static READ_BUFFERS: BufferPool = BufferPool::new(32);

/// Idle buffers.
pub(super) struct BufferPool {
    idle: Mutex<Vec<Vec<u8>>>,
    /// The largest number of idle buffers.
    max_idle: usize,
}

/// A buffer that returns to the pool when it is dropped.
struct PooledBuffer {
    buffer: Vec<u8>,
    spare: &'static BufferPool,
}

impl BufferPool {
    const fn new(max_idle: usize) -> BufferPool {
        BufferPool { idle: Mutex::new(Vec::new()), max_idle }
    }

    /// An empty buffer with exactly this capacity.
    pub(super) fn buffer(&self, capacity: usize) -> Vec<u8> {
        let idle = self.idle().pop();
        // Clients usually read with one length. Buffers of a different length are freed.
        idle.filter(|buffer| buffer.capacity() == capacity).unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// Turns a buffer into bytes to be sent. It returns to the pool when the last clone is dropped.
    pub(super) fn share(&'static self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(PooledBuffer { buffer, spare: self })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut idle = self.spare.idle();
        if idle.len() < self.spare.max_idle {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_buffers_are_reused_up_to_a_limit() {
        static SMALL_POOL: BufferPool = BufferPool::new(2);
        let lent: Vec<Bytes> = (0..5u8)
            .map(|number| {
                let mut buffer = SMALL_POOL.buffer(1000);
                buffer.resize(1000, number);
                SMALL_POOL.share(buffer)
            })
            .collect();
        let places: Vec<*const u8> = lent.iter().map(|bytes| bytes.as_ptr()).collect();
        assert!((0..).zip(&lent).all(|(number, bytes)| bytes[..] == [number; 1000]));
        // A slice of a buffer keeps all of it.
        let part = lent[4].slice(10..20);
        drop(lent);
        assert_eq!(part[..], [4; 10]);
        let again = [SMALL_POOL.buffer(1000), SMALL_POOL.buffer(1000)];
        assert!(again.iter().all(|buffer| buffer.is_empty() && places[..4].contains(&buffer.as_ptr())));
        assert!(SMALL_POOL.idle().is_empty());
        drop(part);
        assert_eq!(SMALL_POOL.buffer(999).capacity(), 999);
        assert!(SMALL_POOL.idle().is_empty());
    }
}
