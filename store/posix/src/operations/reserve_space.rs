//! Reserving space for an upload, with the credit from the file that it will replace.

use super::error::Context;
use super::{PosixHome, StoreError, StoreResult, freed};
use crate::home::{HomeHandle, Location, file_id};
use rustix::fs::Stat;
use sshome_store::quota::{FreedSpace, QuotaExceeded, Reservation};
use sshome_store::{Cause, EntryId};
use sshome_wire::RemotePath;
use sshome_wire::display::Size;

/// Uploads that need at least this many bytes are compared with the disk's free space. Smaller ones save the system call.
const DISK_CHECK_MIN_BYTES: u64 = 1 << 20;

/// Reserves space for a file of `bytes` at `target`. `exists` says whether it replaces a file.
pub(super) fn reserve(
    home: &PosixHome,
    path: &RemotePath,
    target: &Location,
    bytes: u64,
    exists: bool,
) -> StoreResult<Reservation> {
    let mut reservation = Reservation::empty(home.ledger());
    raise(&home.dir, path, target, &mut reservation, bytes, exists)?;
    Ok(reservation)
}

/// Raises a reservation in the same way. If it does not fit, partial uploads to the same target are discarded: they are
/// obsolete once this upload is published.
pub(super) fn raise(
    home: &HomeHandle,
    path: &RemotePath,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    exists: bool,
) -> StoreResult<()> {
    let mut held = hold(home, target, reservation, bytes, exists);
    if matches!(held, Err(QuotaExceeded::Bytes { .. }))
        && let Ok(id) = target.identity()
        && discard_files_of(home, &id) > 0
    {
        held = hold(home, target, reservation, bytes, exists);
    }
    held.map_err(|exceeded| {
        // The error names the file's whole size, not the difference that was requested.
        let exceeded = match exceeded {
            QuotaExceeded::Bytes { left, quota, partial, .. } => {
                QuotaExceeded::Bytes { needed: bytes, left, quota, partial }
            }
            other => other,
        };
        StoreError::quota(path, exceeded)
    })
}

/// Raises the reservation of an upload of unknown size, of which `bytes` have arrived: to a multiple of `step` if that
/// fits, or else to exactly `bytes`. If neither fits, partial uploads to the same target are discarded, and the file at the
/// target lends.
pub(super) fn grow(
    home: &HomeHandle,
    path: &RemotePath,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    step: u64,
) -> StoreResult<()> {
    if bytes <= reservation.bytes() {
        return Ok(());
    }
    if reservation
        .raise_to(bytes.next_multiple_of(step), 0)
        .or_else(|_| reservation.raise_to(bytes, 0))
        .is_ok()
    {
        return Ok(());
    }
    let exists = target.stat_if_any().of_file(path)?.is_some();
    raise(home, path, target, reservation, bytes, exists)
}

/// Checks that the disk has space for the `missing` bytes of an upload to `target`. If not, partial uploads to the same
/// target are discarded. It is best effort: other uploads may fill the disk meanwhile.
///
/// # Errors
/// If it has less.
pub(super) fn check_disk(
    home: &HomeHandle,
    path: &RemotePath,
    target: &Location,
    missing: u64,
) -> StoreResult<()> {
    if missing < DISK_CHECK_MIN_BYTES {
        return Ok(());
    }
    let Some(left) = free_bytes(home).filter(|left| *left < missing) else { return Ok(()) };
    let discarded = target.identity().map_or(0, |id| discard_files_of(home, &id));
    if discarded > 0 && free_bytes(home).is_none_or(|left| left >= missing) {
        return Ok(());
    }
    Err(StoreError::file(path, Cause::DiskSpace { needed: missing, left }))
}

/// The free bytes of the home's disk; `None` if its filesystem does not report them.
fn free_bytes(home: &HomeHandle) -> Option<u64> {
    // A filesystem without such a report, as some of FUSE, has no blocks at all.
    let disk = home.statvfs().ok().filter(|disk| disk.f_blocks > 0)?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn hold(
    home: &HomeHandle,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    exists: bool,
) -> Result<(), QuotaExceeded> {
    if !exists {
        return reservation.cover(bytes, 1, &FreedSpace::Nothing);
    }
    let namespace = home.lock_namespace();
    let replaced = target.stat().and_then(|stat| freed(home, target, &stat, &namespace));
    reservation.cover(bytes, 0, &replaced.unwrap_or(FreedSpace::Nothing))
}

/// Discards partial uploads of files to this target. Those of streams are kept: a client cannot restart them.
fn discard_files_of(home: &HomeHandle, target: &EntryId) -> usize {
    let discarded = home.discard(|partial| partial.file.is_of(target) && !partial.file.is_stream());
    if discarded > 0 {
        tracing::info!(
            user = home.root().user(),
            discarded,
            "partial uploads gave way to a newer upload to their target"
        );
    }
    discarded
}

/// Ends a file's credit before it gets another name: replacing its old name will no longer free it. A partial upload that
/// does not fit beside it is discarded. Requires the namespace lock.
///
/// # Errors
/// If an active upload does not fit beside the file.
pub(super) fn end_credit(home: &PosixHome, path: &RemotePath, stat: &Stat) -> StoreResult<()> {
    let file = file_id(stat);
    let Err(exceeded) = home.ledger().end_credit(file) else { return Ok(()) };
    let discarded = home.dir.discard(|partial| {
        let gives_way = partial.reservation.borrows_from(file);
        if gives_way {
            tracing::warn!(
                user = home.dir.root().user(),
                %path,
                bytes = %Size(partial.file.length),
                "a partial upload is discarded: the file that it was to replace gets another name, and both do not fit"
            );
        }
        gives_way
    });
    if discarded == 0 || home.ledger().end_credit(file).is_err() {
        return Err(StoreError::BeingReplaced { path: path.clone(), exceeded });
    }
    Ok(())
}
