//! What the channel loop waits for between two slices.

use super::{ChannelProtocol, SliceOutcome, is_complete};
use crate::protocol::receive_buffer::ReceiveBuffer;
use crate::protocol::{ChannelEnd, ChannelInput, ChannelOutput};
use sshome_store::Wait;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a wait tells the connection that it is not idle.
const ACTIVITY_INTERVAL: Duration = Duration::from_millis(250);

/// What the loop keeps between two slices.
#[derive(Default)]
pub(super) struct Rest {
    /// Whether the last slice returned [`SliceOutcome::Staged`] and nothing has arrived since.
    pub(super) quiet: bool,
    /// What the last slice waits for, and when the wait ends.
    waiting: Option<(Wait, Instant)>,
}

impl Rest {
    /// A slice has ended.
    pub(super) fn end(&mut self, outcome: &SliceOutcome) {
        self.quiet = false;
        self.waiting = match (outcome, self.waiting.take()) {
            (SliceOutcome::WaitFor(wait, _), Some(same)) if same.0 == *wait => Some(same),
            (SliceOutcome::WaitFor(wait, time), _) => Some((wait.clone(), Instant::now() + *time)),
            _ => None,
        };
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
            SliceOutcome::WaitFor(wait, _) => {
                let deadline = self.waiting.as_ref()?.1;
                let mut over = pin!(wait.over());
                loop {
                    tokio::select! {
                        () = &mut over => break,
                        () = sleep_until(deadline) => {
                            self.waiting = None;
                            protocol.end_wait(&wait);
                            break;
                        }
                        () = input.wait_for_more() => break,
                        () = closed.cancelled(), if !outlives => return Some(ChannelEnd::Gone),
                        () = stopping.cancelled(), if !under_way => return Some(ChannelEnd::Well),
                        // The connection is not idle.
                        () = sleep(ACTIVITY_INTERVAL) => outgoing.moved(),
                    }
                }
            }
            SliceOutcome::Busy | SliceOutcome::InRequest => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_store::Signal;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_wait_continues_from_slice_to_slice() {
        const TIME: Duration = Duration::from_secs(10);
        let (first, second, mut rest) = (Signal::default(), Signal::default(), Rest::default());
        let mut deadline_after = |outcome| {
            rest.end(&outcome);
            rest.waiting.as_ref().map(|(_, deadline)| *deadline - Instant::now())
        };
        assert_eq!(deadline_after(SliceOutcome::WaitFor(first.wait(), TIME)), Some(TIME));
        tokio::time::advance(TIME / 2).await;
        assert_eq!(deadline_after(SliceOutcome::WaitFor(first.wait(), TIME)), Some(TIME / 2));
        assert_eq!(deadline_after(SliceOutcome::WaitFor(second.wait(), TIME)), Some(TIME));
        assert_eq!(deadline_after(SliceOutcome::Idle), None);
        assert_eq!(deadline_after(SliceOutcome::WaitFor(second.wait(), TIME)), Some(TIME));
    }
}
