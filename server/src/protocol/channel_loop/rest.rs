//! What the channel loop waits for between two slices.

use super::{ChannelProtocol, SliceOutcome, is_complete};
use crate::protocol::receive_buffer::ReceiveBuffer;
use crate::protocol::{ChannelEnd, ChannelInput, ChannelOutput};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long a request waits until the home is counted. Then it is refused, and the client may repeat it.
const MAX_COUNT_WAIT: Duration = Duration::from_secs(30);

/// How often a wait for a count tells the connection that it is not idle.
const ACTIVITY_INTERVAL: Duration = Duration::from_millis(250);

/// What the loop keeps between two slices.
#[derive(Default)]
pub(super) struct Rest {
    /// Whether the last slice returned [`SliceOutcome::Staged`] and nothing has arrived since.
    pub(super) quiet: bool,
    /// When the current wait for a count ends.
    deadline: Option<Instant>,
}

impl Rest {
    /// A slice has ended.
    pub(super) fn end(&mut self, outcome: &SliceOutcome) {
        self.quiet = false;
        self.deadline = self.deadline.filter(|_| *outcome == SliceOutcome::Waiting);
    }

    /// Waits as the outcome of a slice says. `was_told` says whether the protocol knows that its input has ended. Returns
    /// the end of the channel if it ends; otherwise a slice follows.
    pub(super) async fn wait(
        &mut self,
        input: &mut ReceiveBuffer<impl ChannelInput>,
        outgoing: &impl ChannelOutput,
        protocol: &mut impl ChannelProtocol,
        (outcome, was_told): (SliceOutcome, bool),
        (closed, stopping): (&CancellationToken, &CancellationToken),
    ) -> Option<ChannelEnd> {
        let (under_way, outlives) = (protocol.is_under_way(), is_complete(protocol, input));
        match outcome {
            SliceOutcome::Ended(end) => return Some(end),
            // Publish staged files once the client has nothing more on its way.
            SliceOutcome::Staged => self.quiet = !input.poll().await,
            SliceOutcome::Idle if was_told && !input.is_open() => return Some(ChannelEnd::Well),
            SliceOutcome::Idle => {
                tokio::select! {
                    () = input.wait() => {}
                    () = closed.cancelled(), if !outlives => return Some(ChannelEnd::Gone),
                    () = stopping.cancelled(), if !under_way => return Some(ChannelEnd::Well),
                }
            }
            SliceOutcome::IdleFor(time, end) => {
                tokio::select! {
                    () = input.wait() => {}
                    () = closed.cancelled(), if !outlives => return Some(ChannelEnd::Gone),
                    () = sleep(time) => return Some(end),
                }
            }
            SliceOutcome::WaitFor(..) if input.is_gone() && !outlives => return Some(ChannelEnd::Gone),
            SliceOutcome::WaitFor(wait, time) => {
                tokio::select! {
                    // After the time it is tried again, too.
                    _ = timeout(time, wait.over()) => {}
                    () = input.wait_for_more() => {}
                    () = closed.cancelled(), if !outlives => return Some(ChannelEnd::Gone),
                    () = stopping.cancelled(), if !under_way => return Some(ChannelEnd::Well),
                }
            }
            SliceOutcome::Waiting => {
                let now = Instant::now();
                let deadline = *self.deadline.get_or_insert(now + MAX_COUNT_WAIT);
                return wait_for_count(input, outgoing, protocol, deadline, (closed, stopping)).await;
            }
            SliceOutcome::Busy | SliceOutcome::InRequest => {}
        }
        None
    }
}

/// Waits until the home is counted, something arrives, or the deadline is over: then a slice follows. Returns the end of the
/// channel if it ends meanwhile.
async fn wait_for_count(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    protocol: &mut impl ChannelProtocol,
    deadline: Instant,
    (closed, stopping): (&CancellationToken, &CancellationToken),
) -> Option<ChannelEnd> {
    let outlives = is_complete(protocol, input);
    let (under_way, end) = (protocol.is_under_way(), protocol.waits_for()?);
    let mut counted = pin!(end.over());
    loop {
        tokio::select! {
            () = &mut counted => return None,
            () = sleep_until(deadline) => {
                protocol.end_wait();
                return None;
            }
            () = input.arrival() => return None,
            () = closed.cancelled(), if !outlives => return Some(ChannelEnd::Gone),
            () = stopping.cancelled(), if !under_way => return Some(ChannelEnd::Well),
            // The connection is not idle.
            () = sleep(ACTIVITY_INTERVAL) => outgoing.moved(),
        }
    }
}
