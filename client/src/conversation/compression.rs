//! The compression that a conversation has agreed on.

use super::Conversation;
use super::decompression::Decompression;
use sshome_ssh::{CompressionMode, DataCompressor, LinkMeter};
use sshome_wire::{Features, Hello};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mode, and what it depends on.
pub(super) struct AgreedCompression {
    mode: CompressionMode,
    link: LinkMeter,
    /// Bytes that compression saved, in both directions.
    saved: Arc<AtomicU64>,
}

impl AgreedCompression {
    /// What `wanted` comes to over this link, with a server that said `hello`. `incoming` decompresses from now on if that is
    /// agreed.
    pub(super) fn new(
        wanted: CompressionMode,
        link: LinkMeter,
        hello: &Hello,
        incoming: &mut Decompression,
    ) -> AgreedCompression {
        let is_supported = hello.features.has(Features::COMPRESSION);
        let mode = if is_supported { wanted } else { CompressionMode::Never };
        let saved = Arc::<AtomicU64>::default();
        if mode != CompressionMode::Never {
            *incoming = Decompression::agreed(Arc::clone(&saved));
        }
        AgreedCompression { mode, link, saved }
    }
}

impl Conversation {
    /// A compressor for data that is sent.
    pub(crate) fn compressor(&self) -> DataCompressor {
        let AgreedCompression { mode, link, saved } = &self.compression;
        DataCompressor::new(*mode, self.max_frame(), link.clone(), Arc::clone(saved))
    }

    /// Takes how many bytes compression saved since the last call, in both directions.
    pub(crate) fn take_saved(&mut self) -> u64 {
        self.compression.saved.swap(0, Ordering::Relaxed)
    }
}
