//! The ways in: what a client starts on a channel. Each knows bytes in, bytes out and a
//! [`User`](crate::operations::User), and nothing of SSH.

pub mod native;

use bytes::Bytes;
use std::future::Future;

/// The bytes that a client sends on a channel.
pub trait Incoming: Send {
    /// The next ones; none when the client has ended the channel or is gone. Safe to drop half-way.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The way back to the client.
pub trait Outgoing: Send + Sync {
    /// Sends bytes; returns when the connection has room for more.
    ///
    /// # Errors
    /// If the client is gone.
    fn send(&self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Whether the client is gone.
    fn is_closed(&self) -> bool;
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;
