//! The protocols between `sshome` and `sshomed`: frames, requests and replies.
//!
//! This crate is only a codec. It is `no_std`, so I/O in it does not compile. The protocol runs on an SSH session
//! channel (RFC 4254 section 6.5) on which the subsystem [`SUBSYSTEM`] was started; one channel is one conversation
//! with its own working directory.
//!
//! A frame is a big-endian `u32` length, a `u8` kind and a body ([`frame`]). Both sides begin with [`Hello`]. The
//! client sends [`Request`]s, also several ahead; the server answers strictly in order, so requests have no ids.
//!
//! The packets of SFTP, for other clients, are in [`sftp`].
#![no_std]

extern crate alloc;

mod blocks;
mod chunks;
mod compressed_data;
pub mod display;
pub mod frame;
mod hello;
mod listing;
mod path;
pub mod public_key;
mod reply;
mod request;
pub mod sftp;
mod status;
mod transfer;

pub use blocks::{BLOCK_BYTES, BlockHasher};
pub use compressed_data::{
    COMPRESSED_HEAD_BYTES, COMPRESSIBLE_BYTES, CompressedData, MAX_WINDOW_BYTES, compressed_data_head,
};
pub use frame::{Decoder, Frame, FrameError, FrameKind, MAX_FRAME};
pub use hello::{Features, Hello, PROTOCOL_VERSION, Session};
pub use listing::{Entries, Entry, FileKind, Time};
pub use path::{MAX_PATH, PathError, RemotePath};
pub use reply::{CreditedUsage, Hashed, Key, Payload, Progress, Reply, Usage};
pub use request::{Put, Request};
pub use status::Status;
pub use transfer::{
    Blocks, CHUNK_DIGEST_BYTES, Chunk, CopyRange, Description, Digest, End, FileVersion, Header, MAX_CHUNKS,
    MAX_COPY_BYTES, Part, RangeHeader, Stored, StoredFile, StreamId, UploadId,
};

/// The name of the SSH subsystem of this protocol.
pub const SUBSYSTEM: &str = "sshome";
