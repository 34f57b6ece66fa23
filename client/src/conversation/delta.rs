//! What the server can do, and whether delta transfers, and transfers over several connections, are likely to pay off.

use super::Conversation;
use sshome_wire::Features;

impl Conversation {
    /// Sets whether the server is on this machine.
    pub(crate) fn set_local(&mut self, is_local: bool) {
        self.is_local = is_local;
    }

    /// Whether the server is on this machine, as far as is known.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether the server can keep old versions.
    pub(crate) fn has_backup(&self) -> bool {
        self.hello.features.has(Features::BACKUP)
    }

    /// Whether the server knows delta transfers.
    pub(crate) fn has_delta(&self) -> bool {
        self.hello.features.has(Features::DELTA)
    }

    /// Whether the server sends ranges of files.
    pub(crate) fn has_ranges(&self) -> bool {
        self.hello.features.has(Features::RANGES)
    }

    /// Whether the server takes uploads over several connections.
    pub(crate) fn has_block_uploads(&self) -> bool {
        self.hello.features.has(Features::BLOCK_UPLOADS)
    }
}
