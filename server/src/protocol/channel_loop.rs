//! The channel loop: the task that owns a channel and runs a protocol on it.
//!
//! [`drive`] moves bytes and waits. A [`ChannelProtocol`] interprets them. It is synchronous, may block, and works in
//! bounded *work slices*. While a slice runs, the loop sends the output of the previous slice and receives input, so
//! it cannot be part of a deadlock. A short slice runs *inline*, on the worker thread of the runtime.

mod rest;

use super::receive_buffer::{InputEnd, ReceiveBuffer};
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput, Gone, InlineExecutor, SlicePriority};
use bytes::Bytes;
use rest::Rest;
use sshome_store::Wait;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A protocol on a channel.
pub(crate) trait ChannelProtocol: Send + 'static {
    /// Whether the protocol reads its input. If not, the input is received and dropped, because unread input would stall
    /// the connection.
    fn reads_input(&self) -> bool {
        true
    }

    /// Adds received bytes to the input.
    fn push(&mut self, chunks: Vec<Bytes>);

    /// Reports the end of the input, after its last bytes.
    fn end_input(&mut self, _end: InputEnd) {}

    /// Whether the protocol reads its input to the end. A slice follows the end then; otherwise, an idle protocol is not
    /// called again. Complete input is processed even if the client has disconnected.
    fn reads_to_end(&self) -> bool {
        false
    }

    /// Whether the input has interrupted the work. Then the channel ends so, without another slice or more output.
    fn interrupted(&self) -> Option<ChannelEnd> {
        None
    }

    /// The memory cost of unprocessed input, in bytes.
    fn pending_bytes(&self) -> usize;

    /// Whether a slice would have work to do. An incomplete packet is no work.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// A wait took as long as the slice that returned [`SliceOutcome::WaitFor`] said. Another slice follows.
    fn end_wait(&mut self, _wait: &Wait) {}

    /// Takes the output that is ready to be sent.
    fn take_output(&mut self) -> Vec<OutputChunk>;

    /// Limits the output of a slice, in bytes. The reply in progress may exceed the limit. `None` restores the default.
    fn limit_output(&mut self, _bytes: Option<usize>) {}

    /// Works for a bounded time. `quiet` is true if the previous slice returned [`SliceOutcome::Staged`] and nothing
    /// has arrived since.
    fn run_slice(&mut self, quiet: bool) -> SliceOutcome;

    /// Works on a worker thread of the runtime as long as nothing takes long. Returns `None` if the next request may
    /// take long: then call [`run_slice`](ChannelProtocol::run_slice) in the blocking pool.
    fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
        None
    }

    /// Whether a transfer is in progress that a graceful shutdown waits for.
    fn is_under_way(&self) -> bool;
}

/// The outcome of a work slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SliceOutcome {
    /// There is more to do.
    Busy,
    /// There is more to do for one request. Stop if the client has disconnected.
    InRequest,
    /// There is nothing to do until more input arrives.
    Idle,
    /// Idle, with staged files to publish unless more input is on its way.
    Staged,
    /// Idle. Unless input arrives within this time, the channel ends so.
    IdleFor(Duration, ChannelEnd),
    /// Nothing can be done until this has happened, for this long, or until more input arrives. If a slice returns the same
    /// wait again, the time continues.
    WaitFor(Wait, Duration),
    /// The channel ends so, once the output is sent.
    Ended(ChannelEnd),
}

/// Bytes of output, with their stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputChunk {
    /// To the standard output: what the protocol says.
    Output(Bytes),
    /// To the client's standard error, for text that the protocol cannot carry or clients do not show.
    Error(Bytes),
}

impl OutputChunk {
    fn len(&self) -> usize {
        let (OutputChunk::Output(bytes) | OutputChunk::Error(bytes)) = self;
        bytes.len()
    }
}

/// The places where work slices run.
pub(crate) struct Executors<'a> {
    /// Limits how many slices of one user run at the same time.
    pub(crate) slice_permits: Arc<Semaphore>,
    /// For slices that may block.
    pub(crate) pool: &'a BlockingPool,
    /// For inline slices. `None` disables them.
    pub(super) inline: Option<&'a InlineExecutor>,
}

/// A slice that took longer than this plus [`INLINE_NANOS_PER_BYTE`] for each byte of input is followed by one in the
/// blocking pool: the disk is slow, or there is so much work that sending should not wait for it.
const INLINE_SLICE_TIME: Duration = Duration::from_micros(200);

/// The time to process a byte of input without waiting, in nanoseconds.
const INLINE_NANOS_PER_BYTE: u64 = 2;

/// The assumed output of a slice in the blocking pool until it ends, in bytes.
const EXPECTED_SLICE_BYTES: usize = 512 << 10;

/// A slice that has ended or is running.
enum RunningSlice<C> {
    Over(C, SliceOutcome),
    /// It panicked, which ends this channel only.
    Panicked,
    /// It runs in the blocking pool. The last part of its result says whether it was fast enough to run inline.
    Elsewhere(JoinHandle<Option<(C, SliceOutcome, bool)>>),
}

/// Serves one channel until its client ends it, or is gone: then `closed` is cancelled. `stopping` ends it as soon as no
/// transfer is in progress.
pub(crate) async fn drive(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    protocol: impl ChannelProtocol,
    executors: Executors<'_>,
    closed: CancellationToken,
    stopping: CancellationToken,
) -> ChannelEnd {
    let mut input = ReceiveBuffer::new(incoming);
    if !protocol.reads_input() {
        input.ignore();
    }
    let mut protocol = Some(protocol);
    let ended = serve(&mut input, &outgoing, &mut protocol, &executors, &closed, &stopping).await;
    if let Some(protocol) = protocol {
        // Closing and removing its files may block.
        let permits = Arc::clone(&executors.slice_permits);
        let dropped = executors.pool.run(permits, SlicePriority::Bulk, move || drop(protocol)).await;
        if !matches!(dropped, Ok(Some(()))) {
            return ChannelEnd::Fault;
        }
    }
    ended
}

/// The loop of [`drive`]. The protocol is `None` at the end if it panicked.
async fn serve<C: ChannelProtocol>(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    protocol: &mut Option<C>,
    executors: &Executors<'_>,
    closed: &CancellationToken,
    stopping: &CancellationToken,
) -> ChannelEnd {
    let mut ready = protocol.as_mut().map(C::take_output).unwrap_or_default();
    let mut rest = Rest::default();
    let mut fast = true;
    loop {
        let limit = outgoing.output_limit();
        if limit.is_some() && send(input, outgoing, closed, std::mem::take(&mut ready), 0).await.is_err() {
            return ChannelEnd::Gone;
        }
        let Some(mut working) = protocol.take() else { return ChannelEnd::Fault };
        working.limit_output(limit);
        working.push(input.take());
        let has_ended = input.end().inspect(|end| working.end_input(*end)).is_some();
        if let Some(end) = working.interrupted() {
            *protocol = Some(working);
            return end;
        }
        input.set_pending_bytes(working.pending_bytes());
        let gone = (!is_complete(&working, input)).then(|| closed.clone());
        let mut running = begin(working, rest.quiet, &mut fast, executors, outgoing.priority(), gone);
        let mut next = Vec::new();
        let ahead = match &mut running {
            RunningSlice::Over(returned, _) => {
                next = returned.take_output();
                length(&next)
            }
            RunningSlice::Elsewhere(_) => EXPECTED_SLICE_BYTES,
            RunningSlice::Panicked => 0,
        };
        // While the slice runs, send the previous output, then receive only what there is room for.
        let sent = send(input, outgoing, closed, std::mem::take(&mut ready), ahead).await;
        let Some((returned, outcome)) = finish(running, input, &mut fast).await else {
            return ChannelEnd::Fault;
        };
        let returned = protocol.insert(returned);
        next.append(&mut returned.take_output());
        ready = next;
        input.set_pending_bytes(returned.pending_bytes());
        let outlives = is_complete(returned, input);
        let was_told = has_ended || !returned.reads_to_end();
        if sent.is_err() || (closed.is_cancelled() && !outlives) {
            return ChannelEnd::Gone;
        }
        rest.end(&outcome);
        match outcome {
            SliceOutcome::InRequest | SliceOutcome::WaitFor(..) if input.is_gone() && !outlives => {
                return ChannelEnd::Gone;
            }
            SliceOutcome::InRequest | SliceOutcome::Busy => continue,
            _ => {}
        }
        if send(input, outgoing, closed, std::mem::take(&mut ready), 0).await.is_err() {
            return ChannelEnd::Gone;
        }
        let waits = (outcome, was_told);
        if let Some(end) = rest.wait(input, outgoing, returned, waits, (closed, stopping)).await {
            return end;
        }
    }
}

/// Whether the whole input has arrived, and is processed even if the client has disconnected.
fn is_complete(protocol: &impl ChannelProtocol, input: &ReceiveBuffer<impl ChannelInput>) -> bool {
    protocol.reads_to_end() && input.end() == Some(InputEnd::Eof)
}

/// Begins a slice. `fast` says whether the previous slice was fast, and is updated if this one runs inline. `gone` is
/// cancelled when the slice has become useless.
fn begin<C: ChannelProtocol>(
    mut protocol: C,
    quiet: bool,
    fast: &mut bool,
    executors: &Executors<'_>,
    priority: SlicePriority,
    gone: Option<CancellationToken>,
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
        // The protocol is not used again after a panic.
        match catch_unwind(AssertUnwindSafe(|| protocol.run_inline_slice())) {
            Ok(Some(outcome)) => {
                *fast = begun.elapsed() < limit;
                return RunningSlice::Over(protocol, outcome);
            }
            Ok(None) => {}
            Err(_) => return RunningSlice::Panicked,
        }
    }
    RunningSlice::Elsewhere(executors.pool.run(Arc::clone(&executors.slice_permits), priority, move || {
        // The client may have disconnected while the slice waited for its permit.
        if gone.is_some_and(|gone| gone.is_cancelled()) {
            return (protocol, SliceOutcome::Idle, false);
        }
        let begun = Instant::now();
        let outcome = protocol.run_slice(quiet);
        (protocol, outcome, begun.elapsed() < limit)
    }))
}

/// Waits for the end of a slice and receives input meanwhile. `None` if it panicked. Updates `fast` if it ran in the
/// blocking pool.
async fn finish<C>(
    running: RunningSlice<C>,
    input: &mut ReceiveBuffer<impl ChannelInput>,
    fast: &mut bool,
) -> Option<(C, SliceOutcome)> {
    match running {
        RunningSlice::Over(protocol, outcome) => Some((protocol, outcome)),
        RunningSlice::Panicked => None,
        RunningSlice::Elsewhere(task) => {
            let (protocol, outcome, was_fast) = input.during(false, task).await.ok().flatten()?;
            *fast = was_fast;
            Some((protocol, outcome))
        }
    }
}

fn length(chunks: &[OutputChunk]) -> usize {
    chunks.iter().map(OutputChunk::len).sum()
}

/// Sends `chunks` and receives input meanwhile, until `closed`. Another `ahead` bytes of output are waiting behind them.
async fn send(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    closed: &CancellationToken,
    chunks: Vec<OutputChunk>,
    ahead: usize,
) -> Result<(), Gone> {
    if chunks.is_empty() {
        return Ok(());
    }
    outgoing.hold(length(&chunks) + ahead);
    let sends = async {
        for chunk in chunks {
            match chunk {
                OutputChunk::Output(bytes) => outgoing.send(bytes).await?,
                OutputChunk::Error(bytes) => outgoing.send_error(bytes).await?,
            }
        }
        Ok(())
    };
    let sent = tokio::select! {
        biased;
        sent = input.during(true, sends) => sent,
        () = closed.cancelled() => Err(Gone),
    };
    outgoing.hold(0);
    sent
}

#[cfg(test)]
mod tests;
