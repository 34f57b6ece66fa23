//! Streams that somebody is at work on.
//!
//! A client whose connection is gone comes back over another one, often before the server has noticed
//! the loss. What it wants to go on with then still belongs to the old conversation, which has to end.

use sshome_wire::StreamId;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The streams of one home, each with what ends the conversation that has it.
#[derive(Debug, Default)]
pub struct StreamLeases {
    owners: Mutex<HashMap<StreamId, CancellationToken>>,
    released: Condvar,
}

/// The only right to work on a stream. Dropping it lets the next one have it.
#[derive(Debug)]
#[must_use]
pub struct StreamLease {
    id: StreamId,
    streams: Arc<StreamLeases>,
}

impl StreamLeases {
    /// Claims a stream for the conversation that `end` ends; none if another one has it.
    pub fn acquire(self: &Arc<StreamLeases>, id: StreamId, end: &CancellationToken) -> Option<StreamLease> {
        self.insert(&mut self.owners(), id, end)
    }

    /// The same, but ends the conversation that has it, and waits until it is gone; none if it is not
    /// gone after `timeout`.
    pub fn take_over(
        self: &Arc<StreamLeases>,
        id: StreamId,
        end: &CancellationToken,
        timeout: Duration,
    ) -> Option<StreamLease> {
        let mut owners = self.owners();
        if let Some(other) = owners.get(&id) {
            other.cancel();
            let taken = |owners: &mut HashMap<_, _>| owners.contains_key(&id);
            let waited = self.released.wait_timeout_while(owners, timeout, taken);
            owners = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.insert(&mut owners, id, end)
    }

    fn insert(
        self: &Arc<StreamLeases>,
        owners: &mut HashMap<StreamId, CancellationToken>,
        id: StreamId,
        end: &CancellationToken,
    ) -> Option<StreamLease> {
        if owners.contains_key(&id) {
            return None;
        }
        owners.insert(id, end.clone());
        Some(StreamLease { id, streams: Arc::clone(self) })
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<StreamId, CancellationToken>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamLease {
    /// Which stream it is.
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

    const ID: StreamId = StreamId([1; 16]);

    #[test]
    fn one_at_a_time_and_the_last_who_comes() {
        let streams = Arc::new(StreamLeases::default());
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let lease = streams.acquire(ID, &first).unwrap();
        assert!(streams.acquire(ID, &second).is_none());
        let other = streams.acquire(StreamId([2; 16]), &second).unwrap();
        assert_eq!(other.id(), StreamId([2; 16]));
        // The first does not let go before it has heard that it is to end.
        assert!(streams.take_over(ID, &second, Duration::ZERO).is_none());
        assert!(first.is_cancelled() && !second.is_cancelled());
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
