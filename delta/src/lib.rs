//! The difference between two versions of a file.
//!
//! The receiver has an old version and describes it: it divides the file into chunks whose borders depend on the content
//! ([`Describer`]), so that an insertion moves borders instead of changing every chunk after it. The sender divides its own
//! version in the same way, looks each chunk up in the description ([`Index`]), and sends a reference to what the receiver
//! has, or the bytes ([`Encoder`]).
//!
//! A description is a hint. A digest of ten bytes may match by accident or by malice, so the receiver verifies the digest
//! of the whole file, as after any transfer.

mod chunker;
mod describer;
mod encoder;
mod index;
mod sizes;

pub use describer::Describer;
pub use encoder::{DeltaStep, Encoder};
pub use index::{DescriptionError, Index};
pub use sizes::{MAX_DESCRIBED_BYTES, MIN_DELTA_BYTES};

/// The key of a transfer's chunk digests: random, so that nobody can prepare content whose chunks are mistaken for others.
pub type ChunkKey = [u8; 32];

/// The shortened keyed BLAKE3 of a chunk.
fn digest(key: &ChunkKey, chunk: &[u8]) -> [u8; sshome_wire::CHUNK_DIGEST_BYTES] {
    let whole = *blake3::keyed_hash(key, chunk).as_bytes();
    std::array::from_fn(|at| whole.get(at).copied().unwrap_or_default())
}
