//! The subsystem `sshome`: our own protocol, as `sshome-wire` describes it.

mod conversation;
mod entry;
mod hello;
mod job;
mod output;
mod publish_group;
mod put;
mod request;

use super::channel_loop::{Places, drive};
use super::{Ended, Incoming, Outgoing, Threads};
use crate::operations::User;
use bytes::Bytes;
use conversation::Conversation;
use tokio_util::sync::CancellationToken;

/// What a client is sent that cannot be served, in place of the server's hello.
#[must_use]
pub fn refusal(why: &str) -> Bytes {
    hello::refusal(why)
}

/// Serves one channel until its client ends it, or goes on over another one. `stopping` ends it as soon as
/// nothing is under way. On the runtime's own threads, if they are lent for that, files are stored while they come.
pub async fn converse(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    user: User,
    stopping: CancellationToken,
    threads: &Threads,
) -> Ended {
    let superseded = user.superseded();
    let places = Places { turns: user.turns(), threads, workers: threads.workers().for_data() };
    tokio::select! {
        biased;
        () = superseded.cancelled() => Ended::Gone,
        ended = drive(incoming, outgoing, Conversation::new(user), places, stopping) => ended,
    }
}
