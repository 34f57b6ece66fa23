//! Code above russh that the client and the server share.

mod algorithms;
mod compression;
mod glob;
mod layered_stream;
mod link_meter;
mod ls;
mod pause;
mod queued_stream;
mod read_ahead;
mod send_queue;
mod shell_lexer;
mod tcp_options;
mod token_bucket;

pub use algorithms::{MAX_PACKET_BYTES, preferred};
pub use compression::{CompressionMode, DataCompressor, DecompressError, decompress};
pub use glob::Glob;
pub use layered_stream::{LayeredStream, StreamLayer};
pub use link_meter::LinkMeter;
pub use ls::{ls_mode, ls_time};
pub use pause::Pause;
pub use queued_stream::QueuedStream;
pub use read_ahead::hand_out;
pub use send_queue::SendQueue;
pub use shell_lexer::{IncompleteLine, Quoting, ShellLexer, ShellToken};
pub use tcp_options::TcpOptions;
pub use token_bucket::TokenBucket;
