//! The task that owns a channel and speaks a protocol of packets on it.
//!
//! [`drive`] moves bytes and waits; what they mean is the business of a [`ChannelProtocol`], which is
//! synchronous and runs where blocking is allowed, a bounded turn at a time. While a turn runs, what
//! the turn before has put out is on its way, and what the client sends meanwhile is taken in: a side
//! that always reads is never part of a deadlock. A light turn is over before that could matter.

use super::receive_buffer::ReceiveBuffer;
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput, Gone, InlineExecutor};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the bytes on a channel mean.
pub(crate) trait ChannelProtocol: Send + 'static {
    /// Takes what has arrived.
    fn push(&mut self, chunks: Vec<Bytes>);

    /// What was pushed and is not dealt with yet: what it costs, in bytes.
    fn pending_bytes(&self) -> usize;

    /// Whether a turn has anything to do with what was pushed: half a packet is nothing.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// What is to be sent.
    fn take_output(&mut self) -> Vec<Bytes>;

    /// A line for the client's standard error: what its protocol has no place for, or what it does not show.
    fn take_note(&mut self) -> Option<Bytes> {
        None
    }

    /// Limits what a turn puts out, in bytes, but for the answer that it is at; none for its own limit.
    fn limit_output(&mut self, _bytes: Option<usize>) {}

    /// Works for a bounded time. `quiet` says that the turn before left something staged, and that
    /// nothing more has arrived since.
    fn run_slice(&mut self, quiet: bool) -> SliceOutcome;

    /// Works on one of the runtime's workers, as long as nothing takes long. None if there is something that
    /// does: that is for a turn.
    fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
        None
    }

    /// Whether the client is in the middle of something that an orderly end of the server waits for.
    fn is_under_way(&self) -> bool;
}

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceOutcome {
    /// There is more to do; go on.
    Busy,
    /// As busy, in the middle of one request: not to be gone on with if the client is gone.
    InRequest,
    /// Nothing to do until more arrives.
    Idle,
    /// As idle, and something is staged that need not wait if nothing more is on its way.
    Staged,
    /// The client broke the protocol; what is put out tells it why, and the channel ends.
    Violation,
}

/// Where turns run.
pub(crate) struct Executors<'a> {
    /// How much of the user's work may run at a time.
    pub(crate) slice_permits: Arc<Semaphore>,
    /// For all but light turns.
    pub(crate) pool: &'a BlockingPool,
    /// For light turns; none if there are none.
    pub(super) inline: Option<&'a InlineExecutor>,
}

/// A turn that took longer than this, and [`INLINE_NANOS_PER_BYTE`] for each byte that it had, is followed by one on another
/// thread: the disk has to be waited for, or there is so much to do that sending it should not wait.
const INLINE_SLICE_TIME: Duration = Duration::from_micros(200);

/// Bytes that arrive are dealt with as fast as this, in nanoseconds for each, unless they have to wait.
const INLINE_NANOS_PER_BYTE: u64 = 2;

/// What a turn that runs elsewhere is taken to put out, in bytes, until it is known.
const EXPECTED_SLICE_BYTES: usize = 512 << 10;

/// A turn that is over, or runs.
enum RunningSlice<C> {
    Over(C, SliceOutcome),
    /// It has panicked; as elsewhere, that ends the channel and nothing else.
    Panicked,
    /// The last of its result is whether it was light.
    Elsewhere(JoinHandle<Option<(C, SliceOutcome, bool)>>),
}

/// Serves one channel until its client ends it; `stopping` ends it as soon as nothing is under way.
pub(crate) async fn drive(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    protocol: impl ChannelProtocol,
    executors: Executors<'_>,
    stopping: CancellationToken,
) -> ChannelEnd {
    let mut input = ReceiveBuffer::new(incoming);
    let mut protocol = Some(protocol);
    let ended = serve(&mut input, &outgoing, &mut protocol, &executors, &stopping).await;
    if let Some(protocol) = protocol {
        // Closing and removing what it holds may wait for the disk.
        let dropped = tokio::task::spawn_blocking(move || drop(protocol)).await;
        if dropped.is_err() {
            return ChannelEnd::Fault;
        }
    }
    ended
}

/// The loop of [`drive`]. The conversation is there at the end, unless it has panicked.
async fn serve<C: ChannelProtocol>(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    protocol: &mut Option<C>,
    executors: &Executors<'_>,
    stopping: &CancellationToken,
) -> ChannelEnd {
    let closed = outgoing.closed();
    let mut ready = protocol.as_mut().map(C::take_output).unwrap_or_default();
    let mut quiet = false;
    let mut fast = true;
    loop {
        let scarce = outgoing.output_limit();
        if scarce.is_some() && send(input, outgoing, std::mem::take(&mut ready), 0).await.is_err() {
            return ChannelEnd::Gone;
        }
        let Some(mut working) = protocol.take() else { return ChannelEnd::Fault };
        working.limit_output(scarce);
        working.push(input.take());
        input.set_pending_bytes(working.pending_bytes());
        let mut running = begin(working, quiet, &mut fast, executors, &closed);
        let mut next = Vec::new();
        let ahead = match &mut running {
            RunningSlice::Over(returned, _) => {
                next = returned.take_output();
                length(&next)
            }
            RunningSlice::Elsewhere(_) => EXPECTED_SLICE_BYTES,
            RunningSlice::Panicked => 0,
        };
        // While the turn runs: what there is to send, and after that only what there is room for is taken
        // in.
        let sent = send(input, outgoing, std::mem::take(&mut ready), ahead).await;
        let (mut returned, outcome) = match running {
            RunningSlice::Over(returned, outcome) => (returned, outcome),
            RunningSlice::Panicked => return ChannelEnd::Fault,
            RunningSlice::Elsewhere(task) => {
                let Ok(Some((returned, outcome, was_fast))) = input.during(false, task).await else {
                    return ChannelEnd::Fault;
                };
                fast = was_fast;
                (returned, outcome)
            }
        };
        next.append(&mut returned.take_output());
        ready = next;
        input.set_pending_bytes(returned.pending_bytes());
        let (under_way, note) = (returned.is_under_way(), returned.take_note());
        *protocol = Some(returned);
        if let Some(note) = note
            && outgoing.send_error(note).await.is_err()
        {
            return ChannelEnd::Gone;
        }
        if sent.is_err() || closed.is_cancelled() {
            return ChannelEnd::Gone;
        }
        quiet = false;
        match outcome {
            SliceOutcome::InRequest if input.is_gone() => return ChannelEnd::Gone,
            SliceOutcome::InRequest | SliceOutcome::Busy => continue,
            _ => {}
        }
        if send(input, outgoing, std::mem::take(&mut ready), 0).await.is_err() {
            return ChannelEnd::Gone;
        }
        match outcome {
            SliceOutcome::Violation => return ChannelEnd::Violation,
            // What is staged is published as soon as the client has nothing more on the way.
            SliceOutcome::Staged => quiet = !input.poll().await,
            SliceOutcome::Idle if !input.is_open() => return ChannelEnd::Well,
            SliceOutcome::Idle => {
                tokio::select! {
                    () = input.wait() => {}
                    () = stopping.cancelled(), if !under_way => return ChannelEnd::Well,
                }
            }
            SliceOutcome::Busy | SliceOutcome::InRequest => {}
        }
    }
}

/// Begins a turn. `fast` says whether the one before was, and hears whether this one is.
fn begin<C: ChannelProtocol>(
    mut protocol: C,
    quiet: bool,
    fast: &mut bool,
    executors: &Executors<'_>,
    closed: &CancellationToken,
) -> RunningSlice<C> {
    if !quiet && !protocol.is_ready() {
        return RunningSlice::Over(protocol, SliceOutcome::Idle);
    }
    let limit = INLINE_SLICE_TIME
        + Duration::from_nanos(INLINE_NANOS_PER_BYTE.saturating_mul(protocol.pending_bytes() as u64));
    if *fast
        && let Ok(_share) = executors.slice_permits.try_acquire()
        && let Some(_worker) = executors.inline.and_then(InlineExecutor::begin)
    {
        let begun = Instant::now();
        // After a panic nobody looks at the conversation again.
        match catch_unwind(AssertUnwindSafe(|| protocol.run_inline_slice())) {
            Ok(Some(outcome)) => {
                *fast = begun.elapsed() < limit;
                return RunningSlice::Over(protocol, outcome);
            }
            Ok(None) => {}
            Err(_) => return RunningSlice::Panicked,
        }
    }
    let closed = closed.clone();
    RunningSlice::Elsewhere(executors.pool.run(Arc::clone(&executors.slice_permits), move || {
        // It may have waited for its share for long.
        if closed.is_cancelled() {
            return (protocol, SliceOutcome::Idle, false);
        }
        let begun = Instant::now();
        let outcome = protocol.run_slice(quiet);
        (protocol, outcome, begun.elapsed() < limit)
    }))
}

fn length(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

/// Sends, and takes in whatever the client sends meanwhile. Behind what is sent `ahead` bytes wait.
async fn send(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    chunks: Vec<Bytes>,
    ahead: usize,
) -> Result<(), Gone> {
    if chunks.is_empty() {
        return Ok(());
    }
    outgoing.hold(length(&chunks) + ahead);
    let sends = async {
        for chunk in chunks {
            outgoing.send(chunk).await?;
        }
        Ok(())
    };
    let sent = input.during(true, sends).await;
    outgoing.hold(0);
    sent
}

#[cfg(test)]
mod tests {
    use super::super::Arrival;
    use super::*;

    /// A client that sends some pieces, ends, and says nothing more.
    struct Pieces(std::vec::IntoIter<Arrival>);

    impl ChannelInput for Pieces {
        async fn next(&mut self) -> Arrival {
            match self.0.next() {
                Some(arrival) => arrival,
                None => std::future::pending().await,
            }
        }
    }

    struct Nobody;

    impl ChannelOutput for Nobody {
        async fn send(&self, _bytes: Bytes) -> Result<(), Gone> {
            Ok(())
        }

        async fn send_error(&self, _bytes: Bytes) -> Result<(), Gone> {
            Ok(())
        }

        fn closed(&self) -> CancellationToken {
            CancellationToken::new()
        }
    }

    /// Packets are four bytes long. Tells what each turn found, in bytes.
    struct Fours {
        waiting: usize,
        slice_permits: std::sync::mpsc::Sender<usize>,
    }

    impl ChannelProtocol for Fours {
        fn push(&mut self, chunks: Vec<Bytes>) {
            self.waiting += chunks.iter().map(Bytes::len).sum::<usize>();
        }

        fn pending_bytes(&self) -> usize {
            self.waiting
        }

        fn is_ready(&mut self) -> bool {
            self.waiting >= 4
        }

        fn take_output(&mut self) -> Vec<Bytes> {
            Vec::new()
        }

        fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
            self.slice_permits.send(self.waiting).unwrap();
            self.waiting %= 4;
            SliceOutcome::Idle
        }

        fn is_under_way(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn half_a_packet_is_not_worth_a_turn_and_no_packet_is_left() {
        let (slice_permits, seen) = std::sync::mpsc::channel();
        let mut pieces = vec![Arrival::Data(Bytes::from_static(b"x")); 11];
        pieces.push(Arrival::Eof);
        let pool = BlockingPool::of_this_runtime().unwrap();
        let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline: None };
        let protocol = Fours { waiting: 0, slice_permits };
        let ended =
            drive(Pieces(pieces.into_iter()), Nobody, protocol, executors, CancellationToken::new()).await;
        assert_eq!(ended, ChannelEnd::Well);
        let seen: Vec<usize> = seen.iter().collect();
        assert!(seen.iter().all(|found| *found >= 4), "{seen:?}");
        assert_eq!(seen.iter().map(|found| found / 4).sum::<usize>(), 2, "{seen:?}");
    }

    /// Whatever it is to do, it panics.
    struct Broken;

    impl ChannelProtocol for Broken {
        fn push(&mut self, _chunks: Vec<Bytes>) {}

        fn pending_bytes(&self) -> usize {
            0
        }

        fn take_output(&mut self) -> Vec<Bytes> {
            Vec::new()
        }

        fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
            panic!("a light turn");
        }

        fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
            panic!("a turn");
        }

        fn is_under_way(&self) -> bool {
            false
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_turn_that_panics_ends_its_channel_in_order_wherever_it_runs() {
        let pool = BlockingPool::of_this_runtime().unwrap();
        for inline in [Some(pool.inline()), None] {
            let pieces = vec![Arrival::Data(Bytes::from_static(b"x"))].into_iter();
            let executors = Executors { slice_permits: Arc::new(Semaphore::new(1)), pool: &pool, inline };
            let ended = drive(Pieces(pieces), Nobody, Broken, executors, CancellationToken::new()).await;
            assert_eq!(ended, ChannelEnd::Fault);
        }
    }
}
