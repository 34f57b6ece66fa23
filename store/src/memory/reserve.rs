//! Reserving space for an upload, with the credit from the file that it will replace.

use super::failure::over_quota;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::quota::{FreedSpace, QuotaExceeded, Reservation};
use crate::{EntryId, StoreError, StoreResult};
use sshome_wire::RemotePath;

/// Raises a reservation to at least `bytes`, for a file at `target`. If it does not fit, partial uploads of files to the
/// same target are discarded: they are obsolete once this upload is published.
pub(super) fn raise(
    home: &MemorySharedHome,
    path: &RemotePath,
    target: &MemoryLocation,
    reservation: &mut Reservation,
    bytes: u64,
) -> StoreResult<()> {
    let (id, mut held) = {
        let tree = home.tree();
        (tree.entry_id(target), hold(home, &tree, target, reservation, bytes))
    };
    if matches!(held, Err(QuotaExceeded::Bytes { .. })) && discard_files_to(home, &id) > 0 {
        held = hold(home, &home.tree(), target, reservation, bytes);
    }
    held.map_err(|exceeded| match exceeded {
        // The error names the file's whole size, not the difference that was requested.
        QuotaExceeded::Bytes { left, quota, partial, .. } => {
            QuotaExceeded::Bytes { needed: bytes, left, quota, partial }
        }
        other => other,
    })
    .map_err(over_quota(path))
}

/// Raises the reservation of an upload of unknown size, of which `bytes` have arrived: to a multiple of `step` if that
/// fits, or else to exactly `bytes`.
pub(super) fn grow(
    home: &MemorySharedHome,
    path: &RemotePath,
    target: &MemoryLocation,
    reservation: &mut Reservation,
    bytes: u64,
    step: u64,
) -> StoreResult<()> {
    if bytes <= reservation.bytes() {
        return Ok(());
    }
    let steps = reservation.raise_to(bytes.next_multiple_of(step), 0);
    match steps.or_else(|_| reservation.raise_to(bytes, 0)) {
        Ok(()) => Ok(()),
        Err(_) => raise(home, path, target, reservation, bytes),
    }
}

fn hold(
    home: &MemorySharedHome,
    tree: &Tree,
    target: &MemoryLocation,
    reservation: &mut Reservation,
    bytes: u64,
) -> Result<(), QuotaExceeded> {
    let found = tree.lookup(target);
    let entries = u64::from(found.is_none());
    let replaced = found.and_then(|id| home.freed(tree, id).ok());
    reservation.cover(bytes, entries, &replaced.unwrap_or(FreedSpace::Nothing))
}

/// Discards the partial uploads of files to this target. Those of streams are kept: a client cannot restart them.
pub(super) fn discard_files_to(home: &MemorySharedHome, target: &EntryId) -> usize {
    home.partial_uploads.discard(|partial| partial.is_to(target) && !partial.is_stream())
}

/// Ends a file's credit before it gets another name. A partial upload that does not fit beside it is discarded.
///
/// # Errors
/// If an active upload does not fit beside the file.
pub(super) fn end_credit(
    home: &MemorySharedHome,
    tree: &Tree,
    path: &RemotePath,
    id: u64,
) -> StoreResult<()> {
    let file = tree.file_id(id);
    let Err(exceeded) = home.ledger.end_credit(file) else { return Ok(()) };
    let discarded = home.partial_uploads.discard(|partial| partial.borrows_from(file));
    if discarded == 0 || home.ledger.end_credit(file).is_err() {
        return Err(StoreError::BeingReplaced { path: path.clone(), exceeded });
    }
    Ok(())
}
