//! The subsystem `sftp`: SFTP version 3, for standard clients.
//!
//! [`serve`] is the task that owns a channel, and `SftpConversation` handles the packets. Requests are answered in
//! their order. Waiting requests are kept undecoded: a READ costs the memory of its packet, not of its data, so a client
//! may pipeline any number of them.

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
use crate::service::User;
use conversation::SftpConversation;
pub use symlink_order::SymlinkOrder;
use tokio_util::sync::CancellationToken;

/// The name of the SSH subsystem.
pub const SUBSYSTEM: &str = "sftp";

/// Serves one channel until its client ends it. `stopping` ends it as soon as no handle is open. Short requests run
/// inline.
pub async fn serve(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    symlink_order: SymlinkOrder,
    stopping: CancellationToken,
    pool: &BlockingPool,
) -> ChannelEnd {
    let inline = user.runs_inline().then(|| pool.inline());
    let executors = Executors { slice_permits: user.slice_permits(), pool, inline };
    let closed = outgoing.closed();
    drive(incoming, outgoing, SftpConversation::new(user, symlink_order), executors, closed, stopping).await
}
