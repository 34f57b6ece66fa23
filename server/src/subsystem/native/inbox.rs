use crate::subsystem::Incoming;
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;

/// As much is taken in ahead of its turn, in bytes. Past it we do not read, the connection stops
/// reading too, and the client has to wait.
const AHEAD: usize = 4 << 20;

/// While we send, the client's bytes must be read whatever happens, or both sides could wait for
/// each other. A client that sends this much and does not read what it gets is cut off.
pub(super) const AHEAD_WHILE_SENDING: usize = 48 << 20;

/// What has arrived and was not yet looked at.
pub(super) struct Inbox<I> {
    incoming: I,
    chunks: Vec<Bytes>,
    /// Bytes in `chunks`, and those that were taken and not yet dealt with.
    bytes: usize,
    open: bool,
}

impl<I: Incoming> Inbox<I> {
    pub(super) fn new(incoming: I) -> Inbox<I> {
        Inbox { incoming, chunks: Vec::new(), bytes: 0, open: true }
    }

    /// Whether more may come.
    pub(super) fn is_open(&self) -> bool {
        self.open || !self.chunks.is_empty()
    }

    /// All that has arrived.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.chunks)
    }

    /// Says how many bytes of what was taken are still to be dealt with.
    pub(super) fn set_backlog(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    /// Runs `work` to its end and takes in what arrives meanwhile.
    pub(super) async fn during<T>(&mut self, sending: bool, work: impl Future<Output = T>) -> T {
        let most = if sending { AHEAD_WHILE_SENDING } else { AHEAD };
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                chunk = self.incoming.next(), if self.open && self.bytes < most => self.put(chunk),
            }
        }
    }

    /// Waits until something has arrived, or the client has ended the channel.
    pub(super) async fn wait(&mut self) {
        if self.open && self.chunks.is_empty() {
            let chunk = self.incoming.next().await;
            self.put(chunk);
        }
    }

    /// Whether something has arrived, without waiting for it.
    pub(super) async fn poll(&mut self) -> bool {
        self.during(false, tokio::task::yield_now()).await;
        !self.chunks.is_empty()
    }

    fn put(&mut self, chunk: Option<Bytes>) {
        match chunk {
            Some(chunk) => {
                self.bytes += chunk.len();
                self.chunks.push(chunk);
            }
            None => self.open = false,
        }
    }
}
