//! Publishing: uploads get their names, atomically and durably.

use super::{Error, Result, User};
use crate::audit::Transfer;
use sshome_store::{EntryRef, PublishItem, PublishResult, Published};

/// A complete and verified upload, ready to be published. Dropped before that, as when the connection is lost, it becomes a
/// partial upload.
#[derive(Debug)]
pub struct VerifiedUpload {
    pub(super) item: PublishItem,
    pub(super) transfer: Transfer,
}

/// Publishes a batch of files. The files that are reported as published survive a power cut, and so do the new `names`.
///
/// The results are in the order of `items`; the second value is the result for `names`.
pub fn publish(
    user: &User,
    items: Vec<VerifiedUpload>,
    names: Vec<EntryRef>,
) -> (Vec<Result<()>>, Result<()>) {
    let (mut uploads, mut stored) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for VerifiedUpload { item, transfer } in items {
        uploads.push((item.size, item.digest, transfer));
        stored.push(item);
    }
    let Published { items, names } = user.home.publish(stored, names);
    let results = items.into_iter().zip(uploads).map(|(result, (size, digest, transfer))| {
        let error = match result {
            PublishResult::Done { replaced } => {
                transfer.published(size, digest, replaced);
                return Ok(());
            }
            PublishResult::Refused(error) | PublishResult::VisibleNotDurable(error) => Error::from(error),
            PublishResult::Unknown(error) => Error::Unknown(error),
        };
        // Dropping the transfer logs the failure.
        transfer.refused(&error);
        Err(error)
    });
    (results.collect(), names.map_err(Error::from))
}
