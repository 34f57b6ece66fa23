//! Leases of streams: one conversation at a time receives a stream.
//!
//! A client whose connection was lost reconnects, often before the server has noticed the loss. The old conversation then
//! still holds the lease of the stream that the client resumes; it is ended.

use crate::Takeover;
use sshome_wire::StreamId;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The leased streams of one home, each with what ends the conversation that holds the lease.
#[derive(Debug, Default)]
pub struct StreamLeases {
    owners: Mutex<HashMap<StreamId, Takeover>>,
    released: Condvar,
}

/// The exclusive right to receive a stream. Dropping it releases the stream.
#[derive(Debug)]
#[must_use]
pub struct StreamLease {
    id: StreamId,
    streams: Arc<StreamLeases>,
}

impl StreamLeases {
    /// Leases a stream to the conversation that `end` ends; `None` if another one holds it.
    pub fn acquire(self: &Arc<StreamLeases>, id: StreamId, end: &Takeover) -> Option<StreamLease> {
        self.insert(&mut self.owners(), id, end)
    }

    /// The same, but ends the conversation that holds the lease, and waits until it has released the stream; `None` after
    /// `timeout`.
    pub fn take_over(
        self: &Arc<StreamLeases>,
        id: StreamId,
        end: &Takeover,
        timeout: Duration,
    ) -> Option<StreamLease> {
        let mut owners = self.owners();
        if let Some(other) = owners.get(&id) {
            other.end();
            let taken = |owners: &mut HashMap<_, _>| owners.contains_key(&id);
            let waited = self.released.wait_timeout_while(owners, timeout, taken);
            owners = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.insert(&mut owners, id, end)
    }

    fn insert(
        self: &Arc<StreamLeases>,
        owners: &mut HashMap<StreamId, Takeover>,
        id: StreamId,
        end: &Takeover,
    ) -> Option<StreamLease> {
        if owners.contains_key(&id) {
            return None;
        }
        owners.insert(id, end.clone());
        Some(StreamLease { id, streams: Arc::clone(self) })
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<StreamId, Takeover>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamLease {
    /// The stream.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.streams.owners().remove(&self.id);
        self.streams.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const ID: StreamId = StreamId([1; 16]);

    #[test]
    fn one_lease_at_a_time_and_the_latest_conversation_takes_over() {
        let streams = Arc::new(StreamLeases::default());
        let conversation = || {
            let ended = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&ended);
            (Takeover::new(move || flag.store(true, Relaxed)), ended)
        };
        let ((first, first_ended), (second, second_ended)) = (conversation(), conversation());
        let lease = streams.acquire(ID, &first).unwrap();
        assert!(streams.acquire(ID, &second).is_none());
        let other = streams.acquire(StreamId([2; 16]), &second).unwrap();
        assert_eq!(other.id(), StreamId([2; 16]));
        // The first still holds its lease.
        assert!(streams.take_over(ID, &second, Duration::ZERO).is_none());
        assert!(first_ended.load(Relaxed) && !second_ended.load(Relaxed));
        let waiting = {
            let (streams, second) = (Arc::clone(&streams), second.clone());
            std::thread::spawn(move || streams.take_over(ID, &second, Duration::from_secs(60)))
        };
        drop(lease);
        let lease = waiting.join().unwrap().unwrap();
        assert!(streams.acquire(ID, &first).is_none());
        drop(lease);
        assert!(streams.acquire(ID, &first).is_some());
    }
}
