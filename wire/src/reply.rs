//! What a server answers.

use crate::{Digest, Entry, Status};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The answer that ends a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What became of the request.
    pub status: Status,
    /// What happened, to what, and where it helps what to do about it. Empty where the status says it all.
    pub message: String,
    /// What was asked for.
    pub payload: Payload,
}

impl Reply {
    /// A reply of a status and words.
    #[must_use]
    pub fn new(status: Status, message: impl Into<String>) -> Reply {
        Reply { status, message: message.into(), payload: Payload::None }
    }

    /// A reply 204 with what was asked for.
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

/// What a reply brings besides its status. New ones go to the end.
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
    /// The keys that log in to an account; those that the user has installed come first.
    Keys(Vec<Key>),
    /// Quota and use, for a client that announced [`Features::CREDIT`](crate::Features::CREDIT).
    CreditedUsage(CreditedUsage),
}

/// The answer to `hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashed {
    /// BLAKE3 of what is on the disk now.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The digest that was stored when the file was published, if it still applies.
    pub stored: Option<Digest>,
}

/// The answer to `df`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes in files and in the targets of symbolic links, each counted once however many names it has.
    pub used: u64,
    /// Bytes that uploads and partial uploads have on the disk or have reserved.
    pub reserved: u64,
    /// How many bytes may be used; none where there is no limit.
    pub quota: Option<u64>,
    /// Files, directories and links.
    pub entries: u64,
    /// How many there may be; none where there is no limit.
    pub max_entries: Option<u64>,
    /// Free bytes on the disk that holds the home.
    pub disk_free: u64,
}

/// The answer to `df`, with what a client needs to tell what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditedUsage {
    /// Quota and use.
    pub usage: Usage,
    /// Bytes of `usage.reserved` that do not count: they take the place of stored files, which will be
    /// replaced.
    pub credited: u64,
}

impl CreditedUsage {
    /// Bytes that count against the quota.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.usage.used.saturating_add(self.usage.reserved).saturating_sub(self.credited)
    }

    /// Bytes that can still be stored: as far as both the quota and the disk allow.
    #[must_use]
    pub fn left(&self) -> u64 {
        let quota = self.usage.quota.unwrap_or(u64::MAX);
        quota.saturating_sub(self.charged()).min(self.usage.disk_free)
    }

    /// The same for a client that knows nothing of credit: as reserved it has what counts.
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
    /// Its comment: bytes that somebody chose, the first 255 of them.
    pub comment: Vec<u8>,
    /// Whether the user has installed it, and may remove it. The others are the administrator's.
    pub own: bool,
}

impl Key {
    /// Limit on keys per reply, which is one frame.
    pub const MAX_PER_REPLY: usize = 500;
}

/// How far a long request has come; comes before its answer, any number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes dealt with.
    pub done: u64,
    /// Bytes in all; 0 where that is not known.
    pub total: u64,
}
