//! The server's answers.

use crate::{Digest, Entry, Status, UploadId};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The answer that ends a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The result of the request.
    pub status: Status,
    /// The event, its object, and possibly the remedy. Empty if the status suffices.
    pub message: String,
    /// The requested value.
    pub payload: Payload,
}

impl Reply {
    /// A reply with a status and a message.
    #[must_use]
    pub fn new(status: Status, message: impl Into<String>) -> Reply {
        Reply { status, message: message.into(), payload: Payload::None }
    }

    /// A reply 204 with a payload.
    #[must_use]
    pub fn with(payload: Payload) -> Reply {
        Reply { status: Status::Done, message: String::new(), payload }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            write!(f, "{}", self.status)
        } else {
            write!(f, "{}: {}", self.status, self.message)
        }
    }
}

/// The content of a reply besides its status. Append new variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing.
    None,
    /// A path, absolute in the home: bytes.
    Path(Vec<u8>),
    /// A path's entry.
    Stat(Entry),
    /// A digest.
    Hash(Hashed),
    /// Quota and use.
    Usage(Usage),
    /// The keys of an account; those installed by the user come first.
    Keys(Vec<Key>),
    /// Quota and use, for a client that announced [`Features::CREDIT`](crate::Features::CREDIT).
    CreditedUsage(CreditedUsage),
    /// An upload over several connections.
    Upload(UploadId),
}

/// The answer to `hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    /// The BLAKE3 of the file's current content on the disk.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The digest that was stored when the file was published, if it still applies.
    pub stored: Option<Digest>,
}

/// The answer to `df`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes in files and in the targets of symbolic links, each counted once for all its names.
    pub used: u64,
    /// Bytes that uploads and partial uploads occupy or have reserved.
    pub reserved: u64,
    /// The quota in bytes; `None` if unlimited.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// The limit on them; `None` if unlimited.
    pub max_entries: Option<u64>,
    /// Free bytes on the disk that holds the home.
    pub disk_free: u64,
}

/// The answer to `df`, with credit, so that a client can compute the remaining space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditedUsage {
    /// Quota and use.
    pub usage: Usage,
    /// Bytes of `usage.reserved` that are not charged: they take the place of stored files that will be replaced.
    pub credited: u64,
}

impl CreditedUsage {
    /// Bytes that count against the quota.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.usage.used.saturating_add(self.usage.reserved).saturating_sub(self.credited)
    }

    /// Bytes that can still be stored: the smaller of what quota and disk allow.
    #[must_use]
    pub fn left(&self) -> u64 {
        let quota = self.usage.quota.unwrap_or(u64::MAX);
        quota.saturating_sub(self.charged()).min(self.usage.disk_free)
    }

    /// The usage for a client without credit: `reserved` contains only charged bytes.
    #[must_use]
    pub fn without_credit(&self) -> Usage {
        let reserved = self.usage.reserved.saturating_sub(self.credited);
        Usage { reserved, ..self.usage }
    }
}

/// A public key that logs in to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its fingerprint, as `SHA256:…`.
    pub fingerprint: String,
    /// Its type, as in `authorized_keys`: `ssh-ed25519`.
    pub algorithm: String,
    /// Its comment: untrusted bytes, the first 255 of them.
    pub comment: Vec<u8>,
    /// Whether the user installed it, and may remove it. Other keys were set by the administrator.
    pub own: bool,
}

impl Key {
    /// Limit on keys per reply, which is one frame.
    pub const MAX_PER_REPLY: usize = 500;
}

/// The progress of a long request; sent any number of times before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Processed bytes.
    pub done: u64,
    /// Total bytes; 0 if unknown.
    pub total: u64,
}
