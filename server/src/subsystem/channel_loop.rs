//! The task that owns a channel and speaks a protocol of packets on it.
//!
//! [`drive`] moves bytes and waits; what they mean is the business of a [`Conversation`], which is
//! synchronous and runs where blocking is allowed, a bounded turn at a time. While a turn runs, what
//! the turn before has put out is on its way, and what the client sends meanwhile is taken in: a side
//! that always reads is never part of a deadlock. A light turn is over before that could matter.

use super::receive_buffer::Inbox;
use super::{Ended, Gone, Incoming, Outgoing, Threads, Workers};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the bytes on a channel mean.
pub(crate) trait Conversation: Send + 'static {
    /// Takes what has arrived.
    fn push(&mut self, chunks: Vec<Bytes>);

    /// What was pushed and is not dealt with yet: what it costs, in bytes.
    fn backlog(&self) -> usize;

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
    fn turn(&mut self, quiet: bool) -> Turn;

    /// Works on one of the runtime's workers, as long as nothing takes long. None if there is something that
    /// does: that is for a turn.
    fn light_turn(&mut self) -> Option<Turn> {
        None
    }

    /// Whether the client is in the middle of something that an orderly end of the server waits for.
    fn is_under_way(&self) -> bool;
}

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
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
pub(crate) struct Places<'a> {
    /// How much of the user's work may run at a time.
    pub(crate) turns: Arc<Semaphore>,
    /// For all but light turns.
    pub(crate) threads: &'a Threads,
    /// For light turns; none if there are none.
    pub(super) workers: Option<&'a Workers>,
}

/// A turn that took longer than this, and [`EACH`] for each byte that it had, is followed by one on another
/// thread: the disk has to be waited for, or there is so much to do that sending it should not wait.
const LIGHT: Duration = Duration::from_micros(200);

/// Bytes that arrive are dealt with as fast as this, in nanoseconds for each, unless they have to wait.
const EACH: u64 = 2;

/// What a turn that runs elsewhere is taken to put out, in bytes, until it is known.
const TURN_OUTPUT: usize = 512 << 10;

/// A turn that is over, or runs.
enum Running<C> {
    Over(C, Turn),
    /// It has panicked; as elsewhere, that ends the channel and nothing else.
    Panicked,
    /// The last of its result is whether it was light.
    Elsewhere(JoinHandle<Option<(C, Turn, bool)>>),
}

/// Serves one channel until its client ends it; `stopping` ends it as soon as nothing is under way.
pub(crate) async fn drive(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    conversation: impl Conversation,
    places: Places<'_>,
    stopping: CancellationToken,
) -> Ended {
    let mut inbox = Inbox::new(incoming);
    let mut conversation = Some(conversation);
    let ended = serve(&mut inbox, &outgoing, &mut conversation, &places, &stopping).await;
    if let Some(conversation) = conversation {
        // Closing and removing what it holds may wait for the disk.
        let dropped = tokio::task::spawn_blocking(move || drop(conversation)).await;
        if dropped.is_err() {
            return Ended::Fault;
        }
    }
    ended
}

/// The loop of [`drive`]. The conversation is there at the end, unless it has panicked.
async fn serve<C: Conversation>(
    inbox: &mut Inbox<impl Incoming>,
    outgoing: &impl Outgoing,
    conversation: &mut Option<C>,
    places: &Places<'_>,
    stopping: &CancellationToken,
) -> Ended {
    let closed = outgoing.closed();
    let mut ready = conversation.as_mut().map(C::take_output).unwrap_or_default();
    let mut quiet = false;
    let mut light = true;
    loop {
        let scarce = outgoing.output_limit();
        if scarce.is_some() && send(inbox, outgoing, std::mem::take(&mut ready), 0).await.is_err() {
            return Ended::Gone;
        }
        let Some(mut working) = conversation.take() else { return Ended::Fault };
        working.limit_output(scarce);
        working.push(inbox.take());
        inbox.set_backlog(working.backlog());
        let mut running = begin(working, quiet, &mut light, places, &closed);
        let mut next = Vec::new();
        let ahead = match &mut running {
            Running::Over(returned, _) => {
                next = returned.take_output();
                length(&next)
            }
            Running::Elsewhere(_) => TURN_OUTPUT,
            Running::Panicked => 0,
        };
        // While the turn runs: what there is to send, and after that only what there is room for is taken
        // in.
        let sent = send(inbox, outgoing, std::mem::take(&mut ready), ahead).await;
        let (mut returned, turn) = match running {
            Running::Over(returned, turn) => (returned, turn),
            Running::Panicked => return Ended::Fault,
            Running::Elsewhere(task) => {
                let Ok(Some((returned, turn, was_light))) = inbox.during(false, task).await else {
                    return Ended::Fault;
                };
                light = was_light;
                (returned, turn)
            }
        };
        next.append(&mut returned.take_output());
        ready = next;
        inbox.set_backlog(returned.backlog());
        let (under_way, note) = (returned.is_under_way(), returned.take_note());
        *conversation = Some(returned);
        if let Some(note) = note
            && outgoing.send_error(note).await.is_err()
        {
            return Ended::Gone;
        }
        if sent.is_err() || closed.is_cancelled() {
            return Ended::Gone;
        }
        quiet = false;
        match turn {
            Turn::InRequest if inbox.is_gone() => return Ended::Gone,
            Turn::InRequest | Turn::Busy => continue,
            _ => {}
        }
        if send(inbox, outgoing, std::mem::take(&mut ready), 0).await.is_err() {
            return Ended::Gone;
        }
        match turn {
            Turn::Violation => return Ended::Violation,
            // What is staged is published as soon as the client has nothing more on the way.
            Turn::Staged => quiet = !inbox.poll().await,
            Turn::Idle if !inbox.is_open() => return Ended::Well,
            Turn::Idle => {
                tokio::select! {
                    () = inbox.wait() => {}
                    () = stopping.cancelled(), if !under_way => return Ended::Well,
                }
            }
            Turn::Busy | Turn::InRequest => {}
        }
    }
}

/// Begins a turn. `light` says whether the one before was, and hears whether this one is.
fn begin<C: Conversation>(
    mut conversation: C,
    quiet: bool,
    light: &mut bool,
    places: &Places<'_>,
    closed: &CancellationToken,
) -> Running<C> {
    if !quiet && !conversation.is_ready() {
        return Running::Over(conversation, Turn::Idle);
    }
    let limit = LIGHT + Duration::from_nanos(EACH.saturating_mul(conversation.backlog() as u64));
    if *light
        && let Ok(_share) = places.turns.try_acquire()
        && let Some(_worker) = places.workers.and_then(Workers::begin)
    {
        let begun = Instant::now();
        // After a panic nobody looks at the conversation again.
        match catch_unwind(AssertUnwindSafe(|| conversation.light_turn())) {
            Ok(Some(turn)) => {
                *light = begun.elapsed() < limit;
                return Running::Over(conversation, turn);
            }
            Ok(None) => {}
            Err(_) => return Running::Panicked,
        }
    }
    let closed = closed.clone();
    Running::Elsewhere(places.threads.run(Arc::clone(&places.turns), move || {
        // It may have waited for its share for long.
        if closed.is_cancelled() {
            return (conversation, Turn::Idle, false);
        }
        let begun = Instant::now();
        let turn = conversation.turn(quiet);
        (conversation, turn, begun.elapsed() < limit)
    }))
}

fn length(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

/// Sends, and takes in whatever the client sends meanwhile. Behind what is sent `ahead` bytes wait.
async fn send(
    inbox: &mut Inbox<impl Incoming>,
    outgoing: &impl Outgoing,
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
    let sent = inbox.during(true, sends).await;
    outgoing.hold(0);
    sent
}

#[cfg(test)]
mod tests {
    use super::super::Arrival;
    use super::*;

    /// A client that sends some pieces, ends, and says nothing more.
    struct Pieces(std::vec::IntoIter<Arrival>);

    impl Incoming for Pieces {
        async fn next(&mut self) -> Arrival {
            match self.0.next() {
                Some(arrival) => arrival,
                None => std::future::pending().await,
            }
        }
    }

    struct Nobody;

    impl Outgoing for Nobody {
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
        turns: std::sync::mpsc::Sender<usize>,
    }

    impl Conversation for Fours {
        fn push(&mut self, chunks: Vec<Bytes>) {
            self.waiting += chunks.iter().map(Bytes::len).sum::<usize>();
        }

        fn backlog(&self) -> usize {
            self.waiting
        }

        fn is_ready(&mut self) -> bool {
            self.waiting >= 4
        }

        fn take_output(&mut self) -> Vec<Bytes> {
            Vec::new()
        }

        fn turn(&mut self, _quiet: bool) -> Turn {
            self.turns.send(self.waiting).unwrap();
            self.waiting %= 4;
            Turn::Idle
        }

        fn is_under_way(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn half_a_packet_is_not_worth_a_turn_and_no_packet_is_left() {
        let (turns, seen) = std::sync::mpsc::channel();
        let mut pieces = vec![Arrival::Data(Bytes::from_static(b"x")); 11];
        pieces.push(Arrival::Eof);
        let threads = Threads::of_this_runtime().unwrap();
        let places = Places { turns: Arc::new(Semaphore::new(1)), threads: &threads, workers: None };
        let conversation = Fours { waiting: 0, turns };
        let ended =
            drive(Pieces(pieces.into_iter()), Nobody, conversation, places, CancellationToken::new()).await;
        assert_eq!(ended, Ended::Well);
        let seen: Vec<usize> = seen.iter().collect();
        assert!(seen.iter().all(|found| *found >= 4), "{seen:?}");
        assert_eq!(seen.iter().map(|found| found / 4).sum::<usize>(), 2, "{seen:?}");
    }

    /// Whatever it is to do, it panics.
    struct Broken;

    impl Conversation for Broken {
        fn push(&mut self, _chunks: Vec<Bytes>) {}

        fn backlog(&self) -> usize {
            0
        }

        fn take_output(&mut self) -> Vec<Bytes> {
            Vec::new()
        }

        fn light_turn(&mut self) -> Option<Turn> {
            panic!("a light turn");
        }

        fn turn(&mut self, _quiet: bool) -> Turn {
            panic!("a turn");
        }

        fn is_under_way(&self) -> bool {
            false
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_turn_that_panics_ends_its_channel_in_order_wherever_it_runs() {
        let threads = Threads::of_this_runtime().unwrap();
        for workers in [Some(threads.workers()), None] {
            let pieces = vec![Arrival::Data(Bytes::from_static(b"x"))].into_iter();
            let places = Places { turns: Arc::new(Semaphore::new(1)), threads: &threads, workers };
            let ended = drive(Pieces(pieces), Nobody, Broken, places, CancellationToken::new()).await;
            assert_eq!(ended, Ended::Fault);
        }
    }
}
