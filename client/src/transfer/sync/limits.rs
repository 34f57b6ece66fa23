//! Limits on deletion, the same in both directions.

use super::SyncOptions;
use crate::transfer::Failure;

/// Fewer entries than this may be deleted without `--max-delete`, however few the destination has.
const MIN_DELETE_LIMIT: u64 = 100;

/// Why nothing is deleted after a failure.
pub(super) const FIRST_FIX: &str = "first fix what failed";

/// Why an entry stays that is not as it was listed.
pub(super) const CHANGED_SINCE_LISTED: &str = "not deleted: it has changed since it was listed";

/// Why a directory stays.
pub(super) const NOT_EMPTY: &str = "not deleted: something in it is new, or cannot be deleted";

/// Says that nothing is deleted in a destination.
pub(super) fn refusal(target: &[u8], why: &str) -> Failure {
    Failure::of(target, format!("nothing is deleted: {why}"))
}

/// Checks that `count` entries may be deleted, of as many as the destination has.
///
/// # Errors
/// The reason, with the option that allows it.
pub(super) fn check(options: &SyncOptions, count: u64, of: u64) -> Result<(), String> {
    let max = options.delete.and_then(|delete| delete.max).unwrap_or((of / 2).max(MIN_DELETE_LIMIT));
    match count > max {
        true => Err(format!("it would be {count} of {of} entries; --max-delete {count} allows that")),
        false => Ok(()),
    }
}
