//! Streams: what comes from standard input to a file on the server, and a file from there to standard output.
//!
//! Neither can be read, or put out, twice, so that a lost connection is bridged only while the program
//! lives. A put keeps what the server has not acknowledged ([`replay_buffer`]) while another thread reads and
//! digests ([`reader`]). A get tells the server what it has put out, by the digests of its blocks, and
//! another thread writes ([`sink`]).

mod get;
mod put;
mod reader;
mod replay_buffer;
mod sink;

pub use get::{StreamedFile, get_stream};
pub use put::put_stream;

use sshome_wire::Digest;

/// What a stream has to be, or nothing of it is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpectedContent {
    /// Its length in bytes.
    pub size: Option<u64>,
    /// Its BLAKE3.
    pub digest: Option<Digest>,
}
