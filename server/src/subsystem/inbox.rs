//! What has arrived on a channel, and how much of it may.

use super::{Arrival, Incoming};
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;

/// As much is taken in ahead of its turn, in bytes. Past it we do not read, the connection stops
/// reading too, and the client has to wait.
const AHEAD: usize = 1 << 20;

/// While we send, the client's bytes must be read whatever happens, or both sides could wait for
/// each other. A client that sends this much and does not read what it gets is cut off.
const AHEAD_WHILE_SENDING: usize = 48 << 20;

/// What a chunk costs besides its bytes: a client can send one byte at a time.
const OVERHEAD: usize = 256;

/// The client sends and sends, and does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flooded;

/// What has arrived and was not yet looked at.
pub(crate) struct Inbox<I> {
    incoming: I,
    chunks: Vec<Bytes>,
    /// Bytes in `chunks`, and those that were taken and not yet dealt with.
    bytes: usize,
    end: Option<End>,
    gone: bool,
    /// Whether anybody wants the bytes.
    wanted: bool,
}

/// How the bytes that a client sends have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has said that this was all.
    Eof,
    /// It was cut off: not all of it came.
    Cut,
}

impl<I: Incoming> Inbox<I> {
    pub(crate) fn new(incoming: I) -> Inbox<I> {
        Inbox { incoming, chunks: Vec::new(), bytes: 0, end: None, gone: false, wanted: true }
    }

    /// Whether more may come.
    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none() || !self.chunks.is_empty()
    }

    /// How the bytes have ended; none if more may come.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the client is gone, be it after the end of its bytes.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// From now on what comes is taken in and dropped.
    pub(crate) fn ignore(&mut self) {
        self.wanted = false;
        self.chunks.clear();
    }

    /// All that has arrived.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.chunks)
    }

    /// Says how many bytes of what was taken are still to be dealt with.
    pub(crate) fn set_backlog(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    /// Runs `work` to its end and takes in what arrives meanwhile. While `sending` it has to take all
    /// that comes.
    ///
    /// # Errors
    /// If that is too much.
    pub(crate) async fn during<T>(
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
                arrival = self.incoming.next(), if self.has_room(most) => self.put(arrival),
            }
        }
    }

    /// Waits until something has arrived, or the client has ended the channel.
    pub(crate) async fn wait(&mut self) {
        if self.is_open() && self.chunks.is_empty() {
            let arrival = self.incoming.next().await;
            self.put(arrival);
        }
    }

    /// Whether something has arrived, without waiting for it.
    pub(crate) async fn poll(&mut self) -> bool {
        let looked = self.during(false, tokio::task::yield_now()).await;
        looked.is_ok() && !self.chunks.is_empty()
    }

    /// After the end of the bytes there is nothing that needs room, and the channel's own messages are
    /// to be taken all the same.
    fn has_room(&self, most: usize) -> bool {
        !self.gone && (self.end.is_some() || self.bytes < most)
    }

    fn put(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Data(chunk) if self.wanted && self.end.is_none() => {
                self.bytes += chunk.len() + OVERHEAD;
                self.chunks.push(chunk);
            }
            Arrival::Data(_) => {}
            Arrival::Eof => {
                self.end.get_or_insert(End::Eof);
            }
            Arrival::Gone => {
                self.end.get_or_insert(End::Cut);
                self.gone = true;
            }
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
        async fn next(&mut self) -> Arrival {
            self.0 += 1;
            Arrival::Data(Bytes::from_static(b"x"))
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

    /// A client that says some things one after the other, and nothing more.
    struct Script(std::vec::IntoIter<Arrival>);

    impl Incoming for Script {
        async fn next(&mut self) -> Arrival {
            match self.0.next() {
                Some(arrival) => arrival,
                None => pending().await,
            }
        }
    }

    #[tokio::test]
    async fn an_end_is_not_a_cut_and_what_follows_it_is_still_taken() {
        let data = || Arrival::Data(Bytes::from_static(b"x"));
        let cases = [
            (vec![data(), Arrival::Eof], Some(End::Eof), false),
            (vec![data(), Arrival::Gone], Some(End::Cut), true),
            (vec![data(), Arrival::Eof, data(), Arrival::Gone], Some(End::Eof), true),
        ];
        for (script, end, gone) in cases {
            let length = script.len();
            let mut inbox = Inbox::new(Script(script.into_iter()));
            let work = async {
                for _ in 0..length {
                    tokio::task::yield_now().await;
                }
            };
            assert_eq!(inbox.during(false, work).await, Ok(()));
            assert_eq!((inbox.end(), inbox.is_gone(), inbox.take().len()), (end, gone, 1));
        }
    }

    #[tokio::test]
    async fn what_nobody_wants_is_taken_and_costs_nothing() {
        let mut inbox = Inbox::new(Endless(0));
        inbox.ignore();
        let work = async {
            for _ in 0..AHEAD_WHILE_SENDING / OVERHEAD + 1 {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(inbox.during(true, work).await, Ok(()));
        assert!(inbox.incoming.0 > AHEAD_WHILE_SENDING / OVERHEAD);
        assert!(inbox.take().is_empty());
    }
}
