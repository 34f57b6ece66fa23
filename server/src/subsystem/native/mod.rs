//! The subsystem `sshome`: our own protocol, as `sshome-wire` describes it.

mod conversation;
mod entry;
mod hello;
mod job;
mod output;
mod publish_group;
mod put;
mod request;

use super::channel_loop::{Executors, drive};
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput};
use crate::operations::User;
use bytes::Bytes;
use conversation::NativeConversation;
use tokio_util::sync::CancellationToken;

/// What a client is sent that cannot be served, in place of the server's hello.
#[must_use]
pub fn refusal(why: &str) -> Bytes {
    hello::refusal(why)
}

/// Serves one channel until its client ends it, or goes on over another one. `stopping` ends it as soon as
/// nothing is under way. On the runtime's own threads, if they are lent for that, files are stored while they come.
pub async fn serve(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    stopping: CancellationToken,
    pool: &BlockingPool,
) -> ChannelEnd {
    let superseded = user.superseded();
    let executors = Executors { slice_permits: user.slice_permits(), pool, inline: pool.inline().for_data() };
    tokio::select! {
        biased;
        () = superseded.cancelled() => ChannelEnd::Gone,
        ended = drive(incoming, outgoing, NativeConversation::new(user), executors, stopping) => ended,
    }
}
