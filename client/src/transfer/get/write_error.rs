//! Errors of writing to the local disk.

use std::io;

/// Whether the disk, or the user's quota on it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Describes a local write error and, for a full disk, the remedy.
pub(super) fn written(error: &io::Error) -> String {
    match is_full(error) {
        true => format!("the local disk is full ({error}); make room and give the same command again"),
        false => format!("cannot write the local file: {error}"),
    }
}
