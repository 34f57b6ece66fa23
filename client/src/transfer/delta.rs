//! Whether a new version of a file is sent as the difference to the old one.

use crate::conversation::Conversation;
use std::fmt;
use std::str::FromStr;

/// Whether deltas are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delta {
    /// Where it is likely to be faster: not over a loopback connection, which is faster than finding the difference.
    #[default]
    Auto,
    /// For every file of which the destination has an old version.
    Always,
    /// Files are sent as a whole.
    Never,
}

impl Delta {
    /// The shortest file, in bytes, for which it is worth asking whether there is an old version: a question costs a round
    /// trip.
    const MIN_ASKED_BYTES: u64 = 16 << 20;

    /// The limits for this conversation; `None` if files are sent as a whole.
    pub(super) fn limits(self, conversation: &Conversation) -> Option<DeltaLimits> {
        let is_wanted = match self {
            Delta::Auto => !conversation.is_local(),
            Delta::Always => true,
            Delta::Never => false,
        };
        let min_asked =
            if self == Delta::Always { sshome_delta::MIN_DELTA_BYTES } else { Self::MIN_ASKED_BYTES };
        (is_wanted && conversation.has_delta()).then_some(DeltaLimits { min_asked })
    }
}

/// Which files are worth a delta.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeltaLimits {
    min_asked: u64,
}

impl DeltaLimits {
    /// Whether a delta is tried for a file of `size` bytes.
    pub(super) fn allow(self, size: u64, old: OldVersion) -> bool {
        match old {
            OldVersion::Exists => size >= sshome_delta::MIN_DELTA_BYTES,
            OldVersion::Unknown => size >= self.min_asked,
            OldVersion::Missing | OldVersion::Unusable => false,
        }
    }
}

/// Whether a file of `size` bytes is rather sent as a difference than over several connections: the difference is likely to
/// be less than a share of the file.
pub(super) fn is_preferred(limits: Option<DeltaLimits>, size: u64, old: OldVersion) -> bool {
    old == OldVersion::Exists && limits.is_some_and(|limits| limits.allow(size, old))
}

/// What is known of the file that an upload would replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldVersion {
    /// Nobody has asked.
    Unknown,
    /// There is none.
    Missing,
    /// The server has one.
    Exists,
    /// A delta to it has failed.
    Unusable,
}

/// A value of `--delta` that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wants auto, always or never")]
pub struct DeltaError;

impl FromStr for Delta {
    type Err = DeltaError;

    fn from_str(text: &str) -> Result<Delta, DeltaError> {
        match text {
            "auto" => Ok(Delta::Auto),
            "always" => Ok(Delta::Always),
            "never" => Ok(Delta::Never),
            _ => Err(DeltaError),
        }
    }
}

impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delta::Auto => "auto",
            Delta::Always => "always",
            Delta::Never => "never",
        })
    }
}
