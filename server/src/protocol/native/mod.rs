//! The subsystem `sshome`: the native protocol of `sshome-wire`.

mod change;
mod conversation;
mod delta;
mod entry;
mod frame_cost;
mod hello;
mod job;
mod joined_uploads;
mod output;
mod publish_group;
mod put;
mod range;
mod request;
mod same_content;
mod uploads;

use super::channel_loop::{Executors, drive};
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput};
use crate::service::User;
use bytes::Bytes;
use conversation::NativeConversation;
use std::pin::pin;
use tokio_util::sync::CancellationToken;

/// The bytes for a client that cannot be served: a hello with the reason.
#[must_use]
pub fn refusal(why: &str) -> Bytes {
    hello::refusal(why)
}

/// Serves one channel until its client ends it or resumes on another connection. `stopping` ends it as soon as no
/// upload is in progress. Uploads are written inline on machines with few cores.
pub async fn serve(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    stopping: CancellationToken,
    pool: &BlockingPool,
) -> ChannelEnd {
    let superseded = user.superseded();
    let inline = if user.runs_inline() { pool.inline().for_data() } else { None };
    let executors = Executors { slice_permits: user.slice_permits(), pool, inline };
    // To a client that resumes on another connection, this one is gone.
    let gone = outgoing.closed().child_token();
    let conversation = NativeConversation::new(user, outgoing.link());
    let served = drive(incoming, outgoing, conversation, executors, gone.clone(), stopping);
    let mut served = pin!(served);
    tokio::select! {
        biased;
        ended = &mut served => return ended,
        () = superseded.cancelled() => gone.cancel(),
    }
    served.await
}
