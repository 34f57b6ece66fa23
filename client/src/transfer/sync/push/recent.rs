//! Files that were the same, but were changed just before: they are compared again at the end, by their digests.

use super::super::compare::Differences;
use super::super::digests;
use super::pair::{ComparedPair, PendingPair};
use crate::conversation::ConversationError;
use crate::transfer::TransferContext;
use crate::transfer::retries::Retries;
use sshome_wire::Entry;
use std::fs::Metadata;

/// A directory with such files.
pub(super) struct RecentDirectory {
    pub(super) pair: PendingPair,
    pub(super) metadata: Metadata,
    pub(super) files: Vec<Entry>,
}

/// The directories in which some differ after all.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn compare(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    recent: Vec<RecentDirectory>,
) -> Result<Vec<ComparedPair>, ConversationError> {
    let pairs = recent.iter().flat_map(|one| one.files.iter().map(|entry| one.pair.file(entry)));
    let mut results = digests::compare(ctx, retries, pairs.collect(), false, None).await?.results.into_iter();
    let mut compared = Vec::new();
    for RecentDirectory { pair, metadata, files } in recent {
        let differences = Differences::again(files, &mut results);
        let pair = PendingPair { within: None, ..pair };
        compared.push(ComparedPair { pair, metadata, differences, alike: Vec::new(), has_other_time: false });
    }
    Ok(compared)
}
