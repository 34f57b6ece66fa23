//! What has arrived on a channel, and how much of it may.

use super::{Arrival, ChannelInput};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::pin::pin;

/// As much is taken in ahead of its turn, in bytes. Past it we do not read, the connection stops
/// reading too, and the client has to wait.
const MAX_BUFFERED_BYTES: usize = 1 << 20;

/// A piece that is shorter than this is put together with its neighbours, in bytes. A client can send each request,
/// or each byte, by itself; what waits then costs no more than its bytes.
const SMALL_CHUNK_BYTES: usize = 1 << 10;

/// Short pieces are put together up to this length, in bytes.
const JOINED_CHUNK_BYTES: usize = 32 << 10;

/// What a piece costs besides its bytes.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// What has arrived and was not yet looked at.
pub(crate) struct ReceiveBuffer<I> {
    incoming: I,
    chunks: Vec<Bytes>,
    /// Short pieces that have come after `chunks`.
    joined: BytesMut,
    /// What those cost, in bytes.
    bytes: usize,
    /// What was taken and is not yet dealt with, in bytes.
    pending_bytes: usize,
    end: Option<InputEnd>,
    gone: bool,
    /// Whether anybody wants the bytes.
    wanted: bool,
}

/// How the bytes that a client sends have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// The client has said that this was all.
    Eof,
    /// It was cut off: not all of it came.
    Cut,
}

impl<I: ChannelInput> ReceiveBuffer<I> {
    pub(crate) fn new(incoming: I) -> ReceiveBuffer<I> {
        let (chunks, joined) = (Vec::new(), BytesMut::new());
        ReceiveBuffer {
            incoming,
            chunks,
            joined,
            bytes: 0,
            pending_bytes: 0,
            end: None,
            gone: false,
            wanted: true,
        }
    }

    /// Whether more may come.
    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none() || !self.is_empty()
    }

    /// How the bytes have ended; none if more may come.
    pub(crate) fn end(&self) -> Option<InputEnd> {
        self.end
    }

    /// Whether the client is gone, be it after the end of its bytes.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// From now on what comes is taken in and dropped.
    pub(crate) fn ignore(&mut self) {
        self.wanted = false;
        self.bytes = 0;
        self.chunks.clear();
        self.joined.clear();
    }

    /// All that has arrived.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.gather();
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Says how many bytes of what was taken are still to be dealt with.
    pub(crate) fn set_pending_bytes(&mut self, bytes: usize) {
        self.pending_bytes = bytes;
        self.hold();
    }

    fn hold(&mut self) {
        self.incoming.hold(self.bytes + self.pending_bytes);
    }

    /// Runs `work` to its end and takes in what arrives meanwhile. While `sending` it takes all that comes: the
    /// client may have to be heard before it reads. How much that can be is for its user's memory to limit.
    pub(crate) async fn during<T>(&mut self, sending: bool, work: impl Future<Output = T>) -> T {
        let most = if sending { usize::MAX } else { MAX_BUFFERED_BYTES };
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                arrival = self.incoming.next(), if self.has_room(most) => self.put(arrival),
            }
        }
    }

    /// Waits until something has arrived, or the client has ended the channel.
    pub(crate) async fn wait(&mut self) {
        if self.is_open() && self.is_empty() {
            let arrival = self.incoming.next().await;
            self.put(arrival);
        }
    }

    /// Whether something has arrived, without waiting for it.
    pub(crate) async fn poll(&mut self) -> bool {
        self.during(false, tokio::task::yield_now()).await;
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.joined.is_empty()
    }

    fn gather(&mut self) {
        if !self.joined.is_empty() {
            self.bytes += CHUNK_OVERHEAD_BYTES;
            self.chunks.push(self.joined.split().freeze());
        }
    }

    /// After the end of the bytes there is nothing that needs room, and the channel's own messages are
    /// to be taken all the same.
    fn has_room(&self, most: usize) -> bool {
        !self.gone && (self.end.is_some() || self.bytes + self.pending_bytes < most)
    }

    fn put(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Data(chunk) if self.wanted && self.end.is_none() => {
                self.bytes += chunk.len();
                // One that is alone is not copied: most requests are answered before the next one comes.
                if chunk.len() < SMALL_CHUNK_BYTES && !self.is_empty() {
                    if self.joined.capacity() - self.joined.len() < chunk.len() {
                        self.gather();
                        self.joined = BytesMut::with_capacity(JOINED_CHUNK_BYTES);
                    }
                    self.joined.extend_from_slice(&chunk);
                } else {
                    self.gather();
                    self.bytes += CHUNK_OVERHEAD_BYTES;
                    self.chunks.push(chunk);
                }
                self.hold();
            }
            Arrival::Data(_) => {}
            Arrival::Eof => {
                self.end.get_or_insert(InputEnd::Eof);
            }
            Arrival::Gone => {
                self.end.get_or_insert(InputEnd::Cut);
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

    impl ChannelInput for Endless {
        async fn next(&mut self) -> Arrival {
            self.0 += 1;
            Arrival::Data(Bytes::from_static(b"x"))
        }
    }

    /// Lets so many other tasks run: so much may come meanwhile.
    async fn a_while(times: usize) {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn while_we_send_all_is_taken_in_order_and_costs_its_bytes() {
        let sizes = [3, 5000, 1, 1, SMALL_CHUNK_BYTES, 7, SMALL_CHUNK_BYTES - 1].repeat(500);
        let piece = |(number, size): (usize, &usize)| vec![number as u8; *size].into();
        let sent: Vec<Bytes> = sizes.iter().enumerate().map(piece).collect();
        let script: Vec<Arrival> = sent.iter().cloned().map(Arrival::Data).collect();
        let mut inbox = ReceiveBuffer::new(Script(script.into_iter()));
        inbox.during(true, a_while(2 * sizes.len())).await;
        let taken = inbox.take();
        assert!(taken.concat() == sent.concat());
        let mut inbox = ReceiveBuffer::new(Endless(0));
        inbox.during(true, a_while(200_000)).await;
        assert!(inbox.incoming.0 >= 100_000);
        assert!(inbox.bytes < 2 * inbox.incoming.0, "{} for {}", inbox.bytes, inbox.incoming.0);
        let pieces = inbox.take();
        assert!(pieces.len() <= 2 + inbox.incoming.0 / JOINED_CHUNK_BYTES, "{}", pieces.len());
    }

    #[tokio::test]
    async fn while_we_work_no_more_is_taken_than_is_good() {
        let mut inbox = ReceiveBuffer::new(Endless(0));
        inbox.set_pending_bytes(MAX_BUFFERED_BYTES - 100);
        inbox.during(false, a_while(10_000)).await;
        assert!((1..200).contains(&inbox.incoming.0), "{}", inbox.incoming.0);
        // But what has room is taken.
        inbox.set_pending_bytes(0);
        inbox.during(false, a_while(10_000)).await;
        assert!(inbox.incoming.0 > 1000);
    }

    /// A client that says some things one after the other, and nothing more.
    struct Script(std::vec::IntoIter<Arrival>);

    impl ChannelInput for Script {
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
            (vec![data(), Arrival::Eof], Some(InputEnd::Eof), false),
            (vec![data(), Arrival::Gone], Some(InputEnd::Cut), true),
            (vec![data(), Arrival::Eof, data(), Arrival::Gone], Some(InputEnd::Eof), true),
        ];
        for (script, end, gone) in cases {
            let length = script.len();
            let mut inbox = ReceiveBuffer::new(Script(script.into_iter()));
            inbox.during(false, a_while(length)).await;
            assert_eq!((inbox.end(), inbox.is_gone(), inbox.take().len()), (end, gone, 1));
        }
    }

    #[tokio::test]
    async fn what_nobody_wants_is_taken_and_costs_nothing() {
        let mut inbox = ReceiveBuffer::new(Endless(0));
        inbox.ignore();
        inbox.during(true, a_while(10_000)).await;
        assert!(inbox.incoming.0 > 1000);
        assert_eq!(inbox.bytes, 0);
        assert!(inbox.take().is_empty());
    }
}
