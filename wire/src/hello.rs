//! The first frame of each side.

use crate::Status;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// The version that this crate speaks. A peer of another version is refused with 401.
pub const PROTOCOL_VERSION: u16 = 1;

/// Optional abilities, a bit each. A side uses one only if both have announced it; a bit that it
/// does not know it ignores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features(pub u64);

impl Features {
    /// The request `RealPath`.
    pub const REAL_PATH: Features = Features(1);

    /// The client takes [`Payload::CreditedUsage`](crate::Payload::CreditedUsage) as the answer to `Df`.
    pub const CREDIT: Features = Features(2);

    /// All that this crate knows.
    pub const ALL: Features = Features(Features::REAL_PATH.0 | Features::CREDIT.0);

    /// Whether all of these are among them.
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
    /// What the sender can do beyond the version.
    pub features: Features,
    /// The longest frame that the sender will read, in bytes, counted from the kind on.
    pub max_frame: u32,
    /// How many requests the sender will hold unanswered; one more is answered 409 and ends the channel.
    pub max_outstanding: u32,
    /// The server's: 200, or why the conversation ends here. The client's: 200.
    pub status: Status,
    /// The server's: words for the person at the prompt. The client's: its name and version.
    pub message: String,
}
