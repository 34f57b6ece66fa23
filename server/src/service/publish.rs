//! Publishing: uploads get their names, atomically and durably.

use super::comparison::AlreadyStored;
use super::{Error, Result, User};
use crate::audit::Transfer;
use sshome_store::{Cause, EntryRef, PublishItem, PublishResult, Published};
use sshome_wire::RemotePath;

/// A complete and verified upload, ready to be published. If it is dropped before, for example after a lost connection,
/// it becomes a partial upload.
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
        if item.held::<AlreadyStored>().is_some() {
            transfer.closed(false);
            uploads.push(None);
            continue;
        }
        let path = user.is_restricted().then(|| item.path.clone());
        uploads.push(Some((path, item.size, item.digest, transfer)));
        stored.push(item);
    }
    let Published { items, names } = user.home.publish(stored, names);
    let mut items = items.into_iter();
    let results = uploads.into_iter().map(|upload| {
        let Some((path, size, digest, transfer)) = upload else { return Ok(()) };
        let error = match items.next() {
            Some(PublishResult::Done { replaced, id }) => {
                transfer.published(size, digest, replaced);
                if let Some(path) = path {
                    user.note_published(&path, id);
                }
                return Ok(());
            }
            Some(PublishResult::Refused(error) | PublishResult::VisibleNotDurable(error)) => match path {
                Some(path) if error.cause() == Some(&Cause::Exists) => Error::Protected(path),
                _ => Error::from(error),
            },
            Some(PublishResult::Unknown(error)) => Error::Unknown(error),
            None => Error::file(&path.unwrap_or_else(RemotePath::root), Cause::Unanswered),
        };
        // Dropping the transfer logs the failure.
        transfer.refused(&error);
        Err(error)
    });
    (results.collect(), names.map_err(Error::from))
}
