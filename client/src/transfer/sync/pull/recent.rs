//! Files that were the same, but were changed just before: they are compared again at the end, by their digests.

use super::super::compare::Differences;
use super::super::digests;
use super::pair::{ComparedPull, PullPair};
use crate::conversation::ConversationError;
use crate::transfer::TransferContext;
use crate::transfer::retries::Retries;
use sshome_wire::Entry;

/// The directories in which some differ after all.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn compare(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    recent: Vec<(PullPair, Vec<Entry>)>,
) -> Result<Vec<ComparedPull>, ConversationError> {
    let mut pairs = Vec::new();
    for (pair, files) in &recent {
        for entry in files {
            pairs.push(pair.file(entry)?);
        }
    }
    let mut results = digests::compare(ctx, retries, pairs, false, None).await?.results.into_iter();
    let mut compared = Vec::new();
    for (pair, files) in recent {
        let differences = Differences::again(files, &mut results);
        compared.push(ComparedPull { pair, differences, has_other_time: false });
    }
    Ok(compared)
}
