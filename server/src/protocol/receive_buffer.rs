//! The receive buffer of a channel, with backpressure.

use super::{Arrival, ChannelInput};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::pin::pin;

/// The buffer stops reading above this many bytes. Then the connection stops reading too, and the client has to wait.
const MAX_BUFFERED_BYTES: usize = 1 << 20;

/// A chunk shorter than this is merged with its neighbours, in bytes. A client may send each byte in its own packet;
/// merging keeps the memory cost near the number of bytes.
const SMALL_CHUNK_BYTES: usize = 1 << 10;

/// The size of a merged chunk, in bytes.
const JOINED_CHUNK_BYTES: usize = 32 << 10;

/// The memory cost of a chunk besides its content, in bytes.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// Input that has arrived and was not taken yet.
pub(crate) struct ReceiveBuffer<I> {
    incoming: I,
    chunks: Vec<Bytes>,
    /// Short chunks that came after `chunks`, merged.
    joined: BytesMut,
    /// The memory cost of both, in bytes.
    bytes: usize,
    /// Bytes that were taken and are not processed yet.
    pending_bytes: usize,
    end: Option<InputEnd>,
    gone: bool,
    /// Whether the input is used. If not, it is read and dropped.
    wanted: bool,
}

/// How the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// The client sent EOF: the input is complete.
    Eof,
    /// The channel closed without EOF: the input is truncated.
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

    /// Whether more input may arrive.
    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none() || !self.is_empty()
    }

    /// How the input ended. `None` if more may arrive.
    pub(crate) fn end(&self) -> Option<InputEnd> {
        self.end
    }

    /// Whether the client has disconnected, also after EOF.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Reads and drops all input from now on.
    pub(crate) fn ignore(&mut self) {
        self.wanted = false;
        self.bytes = 0;
        self.chunks.clear();
        self.joined.clear();
    }

    /// Takes all input that has arrived.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.gather();
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Sets how many of the bytes that were taken are not processed yet.
    pub(crate) fn set_pending_bytes(&mut self, bytes: usize) {
        self.pending_bytes = bytes;
        self.hold();
    }

    fn hold(&mut self) {
        self.incoming.hold(self.bytes + self.pending_bytes);
    }

    /// Runs `work` to its end and receives input meanwhile. While `sending`, there is no limit: a client may not read
    /// before its own data is read. The memory budget of the user limits it then.
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

    /// Waits until input has arrived or the input has ended.
    pub(crate) async fn wait(&mut self) {
        if self.is_open() && self.is_empty() {
            self.shrink();
            let arrival = self.incoming.next().await;
            self.put(arrival);
        }
    }

    /// An idle channel keeps no memory.
    fn shrink(&mut self) {
        self.joined = BytesMut::new();
    }

    /// Waits until more input or the next event of its end has arrived, even after EOF. While the buffer is full, it
    /// waits for ever.
    pub(crate) async fn wait_for_more(&mut self) {
        let (end, gone) = (self.end, self.gone);
        while self.is_empty() && (self.end, self.gone) == (end, gone) {
            if !self.has_room(MAX_BUFFERED_BYTES) {
                std::future::pending::<()>().await;
            }
            self.shrink();
            let arrival = self.incoming.next().await;
            self.put(arrival);
        }
    }

    /// Whether input has arrived. Does not wait for it.
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

    /// After the end of the input nothing needs room, and the close message must still be read.
    fn has_room(&self, most: usize) -> bool {
        !self.gone && (self.end.is_some() || self.bytes + self.pending_bytes < most)
    }

    fn put(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Data(chunk) if self.wanted && self.end.is_none() => {
                self.bytes += chunk.len();
                // A single chunk is not copied: most requests are answered before the next one arrives.
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

    /// A client that never stops sending.
    struct Endless(usize);

    impl ChannelInput for Endless {
        async fn next(&mut self) -> Arrival {
            self.0 += 1;
            Arrival::Data(Bytes::from_static(b"x"))
        }
    }

    /// Yields this many times, so that as many events may arrive.
    async fn a_while(times: usize) {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn input_during_output_is_kept_in_order_and_takes_little_more_than_its_bytes() {
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
    async fn input_during_a_slice_is_bounded() {
        let mut inbox = ReceiveBuffer::new(Endless(0));
        inbox.set_pending_bytes(MAX_BUFFERED_BYTES - 100);
        inbox.during(false, a_while(10_000)).await;
        assert!((1..200).contains(&inbox.incoming.0), "{}", inbox.incoming.0);
        // It reads again once there is room.
        inbox.set_pending_bytes(0);
        inbox.during(false, a_while(10_000)).await;
        assert!(inbox.incoming.0 > 1000);
    }

    /// A client that sends these events and then nothing more.
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
    async fn a_channel_that_waits_keeps_no_memory() {
        let data = || Arrival::Data(Bytes::from_static(b"x"));
        let mut inbox = ReceiveBuffer::new(Script(vec![data(), data(), data()].into_iter()));
        inbox.during(false, a_while(3)).await;
        assert_eq!(inbox.take().concat(), b"xxx");
        assert!(inbox.joined.capacity() > 0, "the first chunk is not merged, the others are");
        for more in [false, true] {
            let waiting = async { if more { inbox.wait_for_more().await } else { inbox.wait().await } };
            tokio::select! {
                biased;
                () = waiting => panic!("nothing more arrives"),
                () = a_while(3) => {}
            }
            assert_eq!(inbox.joined.capacity(), 0);
        }
    }

    #[tokio::test]
    async fn an_end_of_input_is_not_a_close() {
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
    async fn unwanted_input_is_discarded_and_uses_no_budget() {
        let mut inbox = ReceiveBuffer::new(Endless(0));
        inbox.ignore();
        inbox.during(true, a_while(10_000)).await;
        assert!(inbox.incoming.0 > 1000);
        assert_eq!(inbox.bytes, 0);
        assert!(inbox.take().is_empty());
    }
}
