//! Room for a file that is to get a name, and what the file that has it now lends for that.

use super::error::Context;
use super::{Error, Result, User};
use crate::home::{EntryId, Home, Location, file_id, replaced_file};
use crate::quota::{QuotaExceeded, ReplacedFile, Reservation};
use rustix::fs::Stat;
use sshome_wire::RemotePath;
use sshome_wire::display::Size;

/// Reserves room for a file of `bytes` that is to be at `target`. `exists` says whether a file is there, which
/// will be replaced.
pub(super) fn reserve(
    user: &User,
    path: &RemotePath,
    target: &Location,
    bytes: u64,
    exists: bool,
) -> Result<Reservation> {
    let mut reservation = Reservation::empty(&user.ledger);
    raise(&user.home, path, target, &mut reservation, bytes, exists)?;
    Ok(reservation)
}

/// The same with room that is held already. Partial uploads to the same target give way: they would be of no
/// use once this one has its name.
pub(super) fn raise(
    home: &Home,
    path: &RemotePath,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    exists: bool,
) -> Result<()> {
    let mut held = hold(home, target, reservation, bytes, exists);
    if matches!(held, Err(QuotaExceeded::Bytes { .. }))
        && let Ok(id) = target.identity()
        && discard_files_of(home, &id) > 0
    {
        held = hold(home, target, reservation, bytes, exists);
    }
    held.map_err(|exceeded| {
        // The refusal names the file's whole size, not the difference that was asked for.
        let exceeded = match exceeded {
            QuotaExceeded::Bytes { left, quota, partial, .. } => {
                QuotaExceeded::Bytes { needed: bytes, left, quota, partial }
            }
            other => other,
        };
        Error::Quota { path: path.clone(), exceeded }
    })
}

/// Raises the room of an upload of unknown size, whose first `bytes` have arrived: to a multiple of `step` if there is
/// room, and else to just that. If neither fits, partial uploads to the same target give way, and the file
/// at the target lends.
pub(super) fn grow(
    home: &Home,
    path: &RemotePath,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    step: u64,
) -> Result<()> {
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

fn hold(
    home: &Home,
    target: &Location,
    reservation: &mut Reservation,
    bytes: u64,
    exists: bool,
) -> std::result::Result<(), QuotaExceeded> {
    if !exists {
        return reservation.count_on(bytes, 1, || None);
    }
    // What lends has to be looked at while its name and its length cannot change.
    let _names = home.lock_namespace();
    reservation.count_on(bytes, 0, || replaced_at(target))
}

fn replaced_at(target: &Location) -> Option<ReplacedFile> {
    target.stat().ok().map(|stat| replaced_file(&stat))
}

/// Discards partial uploads of files to this target. A stream could not begin anew.
fn discard_files_of(home: &Home, target: &EntryId) -> usize {
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

/// Ends what a file lends, before it gets another name: its old name's replacement does not free it then. A
/// partial upload that does not fit beside it gives way. The names are locked.
///
/// # Errors
/// If an upload under way does not fit beside the file.
pub(super) fn end_credit(user: &User, path: &RemotePath, stat: &Stat) -> Result<()> {
    let file = file_id(stat);
    let Err(exceeded) = user.ledger.end_credit(file) else { return Ok(()) };
    let discarded = user.home.discard(|partial| {
        let gives_way = partial.reservation.borrows_from(file);
        if gives_way {
            tracing::warn!(
                user = user.name(),
                %path,
                bytes = %Size(partial.file.length),
                "a partial upload is discarded: the file that it was to replace gets another name, and both do not fit"
            );
        }
        gives_way
    });
    if discarded == 0 || user.ledger.end_credit(file).is_err() {
        let error = Error::BeingReplaced { path: path.clone(), exceeded };
        user.audit.refused(&error);
        return Err(error);
    }
    Ok(())
}
