//! Leases of streams: one conversation at a time receives a stream.
//!
//! A client whose connection was lost reconnects, often before the server has noticed the loss. The old conversation
//! then still holds the lease of the stream, and is ended.

use crate::{Signal, Takeover, Wait};
use sshome_wire::StreamId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The leased streams of one home.
#[derive(Debug, Default)]
pub struct StreamLeases(Mutex<HashMap<StreamId, LeaseOwner>>);

/// The conversation that holds a lease.
#[derive(Debug)]
struct LeaseOwner {
    end: Takeover,
    released: Signal,
}

/// The exclusive right to receive a stream. Dropping it releases the stream.
#[derive(Debug)]
#[must_use]
pub struct StreamLease {
    id: StreamId,
    streams: Arc<StreamLeases>,
}

impl StreamLeases {
    /// Leases a stream to the conversation that `end` ends; `None` if a different conversation holds it.
    pub fn acquire(self: &Arc<StreamLeases>, id: StreamId, end: &Takeover) -> Option<StreamLease> {
        self.lease(id, end, |_| {}).ok()
    }

    /// As [`StreamLeases::acquire`], but ends the conversation that holds the lease.
    ///
    /// # Errors
    /// If a different conversation holds it: the wait before the next call.
    pub fn take_over(self: &Arc<StreamLeases>, id: StreamId, end: &Takeover) -> Result<StreamLease, Wait> {
        self.lease(id, end, Takeover::end)
    }

    fn lease(
        self: &Arc<StreamLeases>,
        id: StreamId,
        end: &Takeover,
        on_other: fn(&Takeover),
    ) -> Result<StreamLease, Wait> {
        match self.owners().entry(id) {
            Entry::Occupied(other) => {
                on_other(&other.get().end);
                Err(other.get().released.wait())
            }
            Entry::Vacant(entry) => {
                entry.insert(LeaseOwner { end: end.clone(), released: Signal::default() });
                Ok(StreamLease { id, streams: Arc::clone(self) })
            }
        }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<StreamId, LeaseOwner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let owner = self.streams.owners().remove(&self.id);
        // Waiters are woken only after the stream is visibly released.
        drop(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const ID: StreamId = StreamId([1; 16]);

    #[test]
    fn one_conversation_holds_a_lease_and_the_latest_takes_it_over() {
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
        let wait = streams.take_over(ID, &second).unwrap_err();
        assert!(first_ended.load(Relaxed) && !second_ended.load(Relaxed));
        assert!(!wait.is_over() && streams.take_over(ID, &second).unwrap_err() == wait);
        drop(lease);
        assert!(wait.is_over());
        let lease = streams.take_over(ID, &second).unwrap();
        // A new lease of the same stream is a different event.
        assert!(streams.take_over(ID, &first).unwrap_err() != wait);
        drop(lease);
        assert!(streams.acquire(ID, &first).is_some());
    }
}
