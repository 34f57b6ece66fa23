//! The subsystem `sftp`: version 3, for the clients that people have already.
//!
//! As for our own protocol, [`converse`] is the one task that owns a channel, and what the packets mean
//! is the business of `SftpConversation`. Requests are answered one after the other, in their order. What
//! waits is kept as it arrived: a READ as the request that it is, not as the data it asks for, so that a
//! client may have any number of them under way.

mod attributes;
mod buffer_pool;
mod conversation;
mod directories;
mod directory_handle;
mod extended;
mod files;
mod handles;
mod job;
mod names;
mod outcome;
mod output;
mod request;
mod status;
mod symlink_order;

use super::channel_loop::{Executors, drive};
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput};
use crate::operations::User;
use conversation::SftpConversation;
pub use symlink_order::SymlinkOrder;
use tokio_util::sync::CancellationToken;

/// The name of the SSH subsystem.
pub const SUBSYSTEM: &str = "sftp";

/// Serves one channel until its client ends it. `stopping` ends it as soon as nothing is open. What is over
/// soon is done on the runtime's own threads.
pub async fn serve(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    symlink_order: SymlinkOrder,
    stopping: CancellationToken,
    pool: &BlockingPool,
) -> ChannelEnd {
    let executors = Executors { slice_permits: user.slice_permits(), pool, inline: Some(pool.inline()) };
    drive(incoming, outgoing, SftpConversation::new(user, symlink_order), executors, stopping).await
}
