//! The server's hello, its first frame.

use super::conversation::NativeConversation;
use super::output::NativeOutput;
use crate::service::{self, User};
use bytes::Bytes;
use sshome_wire::display::Size;
use sshome_wire::{
    CreditedUsage, Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Session, Status, Time,
};
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest number of requests that a client may have unanswered.
pub(super) const MAX_OUTSTANDING: u32 = 8192;

/// A hello with this status and message.
pub(super) fn hello(status: Status, message: String) -> Frame {
    Frame::Hello(Hello {
        version: PROTOCOL_VERSION,
        features: Features::ALL,
        max_frame: MAX_FRAME,
        max_outstanding: MAX_OUTSTANDING,
        status,
        message,
    })
}

/// The complete output for a client that cannot be served: a hello with 404 and the reason.
pub(super) fn refusal(why: &str) -> Bytes {
    let mut output = NativeOutput::default();
    output.frame(&hello(Status::Failed, why.to_owned()));
    output.take().concat().into()
}

impl NativeConversation {
    /// Records what the client's hello announces, and sends a session to a client that knows it.
    pub(super) fn greeted_by(&mut self, hello: &Hello) {
        (self.greeted, self.features) = (true, hello.features);
        self.output.announce(hello);
        if hello.features.has(Features::SESSION) {
            let (access, time) = (self.user.access(), now());
            let (reads, adds, changes) = (access.reads(), access.adds(), access.changes());
            self.output.frame(&Frame::Session(Session { reads, adds, changes, time }));
        }
    }
}

/// The time of this machine.
fn now() -> Time {
    // A clock before 1970 is set wrong anyway.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds: since.subsec_nanos() }
}

/// The text of the hello: the user's name and quota usage.
pub(super) fn greeting(user: &User) -> String {
    let name = user.name();
    match service::usage(user) {
        Ok(CreditedUsage { usage, .. }) => match usage.quota {
            Some(quota) => format!("{name}: {} of {} used", Size(usage.used), Size(quota)),
            None => format!("{name}: {} used, no quota", Size(usage.used)),
        },
        Err(_) => name.to_owned(),
    }
}
