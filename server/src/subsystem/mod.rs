//! The ways in: what a client starts on a channel. Each knows bytes in, bytes out and a
//! [`User`](crate::operations::User), and nothing of SSH.

mod blocking_pool;
mod channel_loop;
pub mod exec;
mod inline_executor;
mod ls_format;
pub mod native;
pub mod no_shell_message;
mod receive_buffer;
pub mod sftp;

pub use blocking_pool::BlockingPool;
use bytes::Bytes;
use inline_executor::InlineExecutor;
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// What comes from a client on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes.
    Data(Bytes),
    /// The client has said that no more bytes come; it still reads.
    Eof,
    /// The channel is closed or the connection is lost. Bytes that had no end before it are cut off.
    Gone,
}

/// The bytes that a client sends on a channel.
pub trait ChannelInput: Send {
    /// What comes next. To be asked until the client is gone: what nobody takes stops the connection.
    /// Safe to drop half-way.
    fn next(&mut self) -> impl Future<Output = Arrival> + Send;

    /// Notes how many bytes of what has come are not processed yet.
    fn hold(&mut self, _bytes: usize) {}
}

/// The way back to the client.
pub trait ChannelOutput: Send + Sync {
    /// Sends bytes; returns when the connection has room for more.
    ///
    /// # Errors
    /// If the client is gone.
    fn send(&self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// As [`send`](Outgoing::send), to the client's standard error.
    ///
    /// # Errors
    /// If the client is gone.
    fn send_error(&self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Cancelled when the client is gone.
    fn closed(&self) -> CancellationToken;

    /// Notes how many bytes are to be sent and were not handed over yet.
    fn hold(&self, _bytes: usize) {}

    /// As much as may be put out at a time, in bytes, when memory is scarce; nothing is then put out ahead.
    fn output_limit(&self) -> Option<usize> {
        None
    }
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// How a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The client ended it, or it was asked to while nothing was under way.
    Well,
    /// What the client asked for was not done; it was told why. This is the exit status.
    Failed(u8),
    /// The client does not speak the protocol; it was told why.
    Violation,
    /// The client is gone.
    Gone,
    /// A fault of ours: the turn panicked. This channel ends; nothing else is touched.
    Fault,
}

impl ChannelEnd {
    /// The exit status that says so.
    #[must_use]
    pub fn exit_status(self) -> u32 {
        match self {
            ChannelEnd::Well => 0,
            ChannelEnd::Failed(status) => status.into(),
            ChannelEnd::Violation | ChannelEnd::Gone | ChannelEnd::Fault => 1,
        }
    }
}
