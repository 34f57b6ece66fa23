//! The hello frames: the client's, and the check of the server's.

use super::ConversationError;
use sshome_ssh::CompressionMode;
use sshome_wire::{Features, Hello, MAX_FRAME, PROTOCOL_VERSION, Reply, Status};

/// The smallest frame limit that a server may announce, in bytes: a request with two of the longest paths must fit.
const MIN_FRAME_BYTES: u32 = 16 << 10;

/// The hello of a client with this compression.
pub(super) fn ours(compression: CompressionMode) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        features: Features::ALL.without(compression.withheld()),
        max_frame: MAX_FRAME,
        // The server sends no requests.
        max_outstanding: 0,
        status: Status::Authenticated,
        message: concat!("sshome ", env!("CARGO_PKG_VERSION")).into(),
    }
}

/// Checks the server's hello.
pub(super) fn checked(hello: Hello) -> Result<Hello, ConversationError> {
    if hello.status.is_error() {
        return Err(ConversationError::Refused(Reply::new(hello.status, hello.message)));
    }
    let fault = if hello.version != PROTOCOL_VERSION {
        let ours = PROTOCOL_VERSION;
        format!("it speaks version {}, this client version {ours}; update the older one", hello.version)
    } else if hello.max_frame < MIN_FRAME_BYTES || hello.max_outstanding == 0 {
        "its hello announces unusable limits".into()
    } else {
        return Ok(hello);
    };
    Err(ConversationError::Protocol(fault))
}
