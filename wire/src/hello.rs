//! The first frame of each side.

use crate::{Status, Time};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// The protocol version of this crate. A peer with a different version is refused with 401.
pub const PROTOCOL_VERSION: u16 = 1;

/// Optional features, one bit each. A feature is used only if both sides announced it. Unknown bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features(pub u64);

impl Features {
    /// The request `RealPath`.
    pub const REAL_PATH: Features = Features(1);

    /// The client takes [`Payload::CreditedUsage`](crate::Payload::CreditedUsage) as the answer to `Df`.
    pub const CREDIT: Features = Features(2);

    /// The client understands [`Status::Protected`].
    pub const KEY_ACCESS: Features = Features(4);

    /// Frames of [`CompressedData`](crate::CompressedData), in both directions.
    pub const COMPRESSION: Features = Features(8);

    /// Of a client with [`COMPRESSION`](Features::COMPRESSION): all data that it gets is compressed, even if the link is
    /// fast.
    pub const COMPRESS_ALWAYS: Features = Features(16);

    /// Delta transfers: the requests `Describe`, `PutDelta` and `GetDelta`.
    pub const DELTA: Features = Features(32);

    /// Gets of ranges: the request `GetRange`.
    pub const RANGES: Features = Features(64);

    /// Uploads over several connections: the requests `OpenUpload`, `PutBlocks` and `FinishUpload`.
    pub const BLOCK_UPLOADS: Features = Features(128);

    /// The request `BackUp`.
    pub const BACKUP: Features = Features(256);

    /// The server sends a [`Session`] after the client's hello.
    pub const SESSION: Features = Features(512);

    /// What the other side already has is not sent: the requests `StoredDigests`, `SetAttributes` and `PutCopy`.
    pub const SAME_CONTENT: Features = Features(1024);

    /// All features that this crate supports.
    pub const ALL: Features = Features(
        Features::REAL_PATH.0
            | Features::CREDIT.0
            | Features::KEY_ACCESS.0
            | Features::COMPRESSION.0
            | Features::COMPRESS_ALWAYS.0
            | Features::DELTA.0
            | Features::RANGES.0
            | Features::BLOCK_UPLOADS.0
            | Features::BACKUP.0
            | Features::SESSION.0
            | Features::SAME_CONTENT.0,
    );

    /// These without `other`.
    #[must_use]
    pub fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// Whether it contains all of these.
    #[must_use]
    pub fn has(self, wanted: Features) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

/// The first frame that each side sends, without waiting for the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u16,
    /// The optional features of the sender.
    pub features: Features,
    /// The longest frame that the sender reads, in bytes, without its length.
    pub max_frame: u32,
    /// The limit on unanswered requests; exceeding it is answered with 409 and ends the channel.
    pub max_outstanding: u32,
    /// From the server: 200, or why the conversation ends. From the client: 200.
    pub status: Status,
    /// From the server: a message for the user. From the client: its name and version.
    pub message: String,
}

/// What a server adds to its hello for a client that announced [`Features::SESSION`]: its first frame after the client's
/// hello. The hello itself cannot grow, since a peer refuses trailing bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whether the login may read files and list directories.
    pub reads: bool,
    /// Whether it may add files and directories.
    pub adds: bool,
    /// Whether it may change and remove what exists.
    pub changes: bool,
    /// The server's time.
    pub time: Time,
}
