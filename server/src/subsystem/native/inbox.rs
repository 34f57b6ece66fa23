use crate::subsystem::Incoming;
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;

/// As much is taken in ahead of its turn, in bytes. Past it we do not read, the connection stops
/// reading too, and the client has to wait.
const AHEAD: usize = 4 << 20;

/// While we send, the client's bytes must be read whatever happens, or both sides could wait for
/// each other. A client that sends this much and does not read what it gets is cut off.
const AHEAD_WHILE_SENDING: usize = 48 << 20;

/// What a chunk costs besides its bytes: a client can send one byte at a time.
const OVERHEAD: usize = 256;

/// The client sends and sends, and does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flooded;

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

    /// Runs `work` to its end and takes in what arrives meanwhile. While `sending` it has to take all
    /// that comes.
    ///
    /// # Errors
    /// If that is too much.
    pub(super) async fn during<T>(
        &mut self,
        sending: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Flooded> {
        let most = if sending { AHEAD_WHILE_SENDING } else { AHEAD };
        let mut work = pin!(work);
        loop {
            if sending && self.bytes >= most {
                return Err(Flooded);
            }
            tokio::select! {
                biased;
                result = &mut work => return Ok(result),
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
        let looked = self.during(false, tokio::task::yield_now()).await;
        looked.is_ok() && !self.chunks.is_empty()
    }

    fn put(&mut self, chunk: Option<Bytes>) {
        match chunk {
            Some(chunk) => {
                self.bytes += chunk.len() + OVERHEAD;
                self.chunks.push(chunk);
            }
            None => self.open = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    /// A client that sends and sends.
    struct Endless(usize);

    impl Incoming for Endless {
        async fn next(&mut self) -> Option<Bytes> {
            self.0 += 1;
            Some(Bytes::from_static(b"x"))
        }
    }

    #[tokio::test]
    async fn who_sends_while_we_cannot_is_cut_off_and_cheaply() {
        let mut inbox = Inbox::new(Endless(0));
        let result: Result<(), Flooded> = inbox.during(true, pending()).await;
        assert_eq!(result, Err(Flooded));
        assert!(inbox.incoming.0 <= AHEAD_WHILE_SENDING / OVERHEAD);
        // What waits for its turn counts as well.
        let mut inbox = Inbox::new(Endless(0));
        inbox.set_backlog(AHEAD_WHILE_SENDING);
        assert_eq!(inbox.during(true, pending::<()>()).await, Err(Flooded));
        assert_eq!(inbox.incoming.0, 0);
    }

    #[tokio::test]
    async fn while_we_work_no_more_is_taken_than_is_good() {
        let mut inbox = Inbox::new(Endless(0));
        let work = async {
            for _ in 0..100_000 {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(inbox.during(false, work).await, Ok(()));
        assert!(inbox.incoming.0 <= AHEAD / OVERHEAD);
    }
}
