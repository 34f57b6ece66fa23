//! What the server says about the login and its clock.

use super::Conversation;
use super::link::FrameReceiver;
use super::{ConversationError, unexpected};
use sshome_wire::{Features, Frame, Hello, Session, Time};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A number that no other conversation of this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConversationNumber(u64);

impl ConversationNumber {
    pub(super) fn next() -> ConversationNumber {
        ConversationNumber(NEXT_NUMBER.fetch_add(1, Ordering::Relaxed))
    }
}

/// A session, with the times of this machine at which the server's time was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownSession {
    session: Session,
    /// In between, in nanoseconds since 1970, the server sent its own.
    asked: i128,
    told: i128,
    /// When it was told.
    known: Instant,
}

impl KnownSession {
    /// Receives what follows the hello of a server that knows sessions. `asked` is when ours was sent.
    pub(super) async fn receive(
        incoming: &mut FrameReceiver,
        hello: &Hello,
        asked: SystemTime,
    ) -> Result<Option<KnownSession>, ConversationError> {
        if !hello.features.has(Features::SESSION) {
            return Ok(None);
        }
        match incoming.next().await? {
            Frame::Session(session) => {
                let (asked, told) = (since_epoch(asked), since_epoch(SystemTime::now()));
                Ok(Some(KnownSession { session, asked, told, known: Instant::now() }))
            }
            frame => Err(unexpected(&frame)),
        }
    }

    /// The server's time, about.
    fn time(&self) -> Time {
        let nanoseconds =
            in_nanoseconds(self.session.time).saturating_add_unsigned(self.known.elapsed().as_nanos());
        let seconds = i64::try_from(nanoseconds.div_euclid(NANOS_PER_SECOND)).unwrap_or(i64::MAX);
        Time { seconds, nanoseconds: u32::try_from(nanoseconds.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0) }
    }

    /// The least difference between both clocks that explains the times.
    fn clock_difference(&self) -> Duration {
        let server = in_nanoseconds(self.session.time);
        let apart = (self.asked - server).max(server - self.told).max(0);
        Duration::from_nanos(u64::try_from(apart).unwrap_or(u64::MAX))
    }
}

impl Conversation {
    /// Its number.
    pub(crate) fn number(&self) -> ConversationNumber {
        self.number
    }

    /// What the login may do, if the server says so.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref().map(|known| &known.session)
    }

    /// The server's time, if it tells.
    pub(crate) fn server_time(&self) -> Option<Time> {
        self.session.as_ref().map(KnownSession::time)
    }

    /// The difference between both clocks, less the time that the answer may have taken. `None` if the server does not tell.
    pub(crate) fn clock_difference(&self) -> Option<Duration> {
        self.session.as_ref().map(KnownSession::clock_difference)
    }
}

fn in_nanoseconds(time: Time) -> i128 {
    i128::from(time.seconds) * NANOS_PER_SECOND + i128::from(time.nanoseconds)
}

fn since_epoch(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_the_answer_is_no_difference_of_the_clocks() {
        for (server, want) in [(10, 0), (12, 0), (14, 0), (7, 3), (19, 5)] {
            let time = Time { seconds: server, nanoseconds: 0 };
            let session = Session { reads: true, adds: true, changes: true, time };
            let known = KnownSession {
                session,
                asked: 10 * NANOS_PER_SECOND,
                told: 14 * NANOS_PER_SECOND,
                known: Instant::now(),
            };
            assert_eq!(known.clock_difference(), Duration::from_secs(want), "{server}");
        }
    }
}
