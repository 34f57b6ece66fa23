//! Streams: standard input to a file on the server, and a file on the server to standard output.
//!
//! A stream cannot be read or written twice, so a transfer survives a lost connection only while the program runs. A
//! put keeps the data that the server has not acknowledged ([`replay_buffer`]) while another thread reads and hashes
//! ([`reader`]). A get sends the digests of the blocks that it has written, and another thread writes ([`sink`]).

mod get;
mod put;
mod reader;
mod replay_buffer;
mod sink;

pub use get::{StreamedFile, get_stream};
pub use put::put_stream;

use sshome_wire::Digest;

/// The expected content of a stream. If it differs, nothing is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpectedContent {
    /// Its length in bytes.
    pub size: Option<u64>,
    /// Its BLAKE3 digest.
    pub digest: Option<Digest>,
}
