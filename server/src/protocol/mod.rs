//! The services that a client can start on a channel: the native protocol, SFTP and exec. Each reads bytes, writes
//! bytes and acts for a [`User`](crate::service::User). None of them knows SSH.

mod blocking_pool;
mod channel_loop;
pub mod exec;
mod inline_executor;
mod ls_format;
pub mod native;
pub mod no_shell_message;
mod receive_buffer;
pub mod sftp;

pub use blocking_pool::{BlockingPool, SlicePriority};
use bytes::Bytes;
use inline_executor::InlineExecutor;
use sshome_ssh::LinkMeter;
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// An event on the input of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes.
    Data(Bytes),
    /// The client sends no more bytes. It may still read.
    Eof,
    /// The channel is closed or the connection is lost. Input without an [`Eof`](Arrival::Eof) before it is incomplete.
    Gone,
}

/// The bytes that a client sends on a channel.
pub trait ChannelInput: Send {
    /// Waits for the next event. Call it until [`Arrival::Gone`]: unread input stalls the whole connection.
    /// Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Arrival> + Send;

    /// Reports how many received bytes are not processed yet.
    fn hold(&mut self, _bytes: usize) {}
}

/// The output of a channel.
pub trait ChannelOutput: Send + Sync {
    /// Sends bytes. Returns when the connection has room for more.
    ///
    /// # Errors
    /// If the client is gone.
    fn send(&self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Sends bytes to the client's standard error, like [`send`](ChannelOutput::send).
    ///
    /// # Errors
    /// If the client is gone.
    fn send_error(&self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Cancelled when the client is gone.
    fn closed(&self) -> CancellationToken;

    /// Reports how many bytes are queued for sending and not handed over yet.
    fn hold(&self, _bytes: usize) {}

    /// Reports that the channel works, although nothing is sent or received.
    fn moved(&self) {}

    /// The output limit of one slice in bytes while memory is scarce or the connection has to wait for its turn. Nothing is
    /// produced ahead then. `None` otherwise.
    fn output_limit(&self) -> Option<usize> {
        None
    }

    /// How long output waits for the link.
    fn link(&self) -> LinkMeter {
        LinkMeter::default()
    }

    /// How soon the slices of this channel run.
    fn priority(&self) -> SlicePriority {
        SlicePriority::Interactive
    }
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// The reason why a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The client ended it, or the server shut down while the channel was idle.
    Well,
    /// The request failed with this exit status, and the client got the reason.
    Failed(u8),
    /// The client violated the protocol, and got the reason.
    Violation,
    /// The client disconnected.
    Gone,
    /// A bug in the server: a work slice panicked. Only this channel ends.
    Fault,
}

impl ChannelEnd {
    /// The SSH exit status.
    #[must_use]
    pub fn exit_status(self) -> u32 {
        match self {
            ChannelEnd::Well => 0,
            ChannelEnd::Failed(status) => status.into(),
            ChannelEnd::Violation | ChannelEnd::Gone | ChannelEnd::Fault => 1,
        }
    }
}
