//! What a push sends next.

use super::super::SyncOptions;
use super::super::delete;
use super::{PushTransfer, RemoteBackup};
use crate::conversation::ConversationError;
use crate::transfer::delta::{self, OldVersion};
use crate::transfer::jobs::Load;
use crate::transfer::put::{self, PlannedUpload};
use crate::transfer::retries::Retries;
use crate::transfer::{TransferContext, TransferOptions, TransferSummary};
use sshome_wire::{Entry, RemotePath};
use std::collections::HashSet;

/// The uploads of a batch.
#[derive(Default)]
pub(super) struct BatchPlan {
    pub(super) uploads: Vec<PlannedUpload>,
    /// Links and special files that have to make room.
    pub(super) in_the_way: Vec<(RemotePath, Entry)>,
    /// Files that are replaced.
    pub(super) replaced: Vec<RemotePath>,
    pub(super) load: Load,
    /// The lengths of files that are worth looking for on the server, in bytes.
    pub(super) sizes: HashSet<u64>,
    pub(super) entries: usize,
    pub(super) summary: TransferSummary,
}

impl BatchPlan {
    /// Keeps the old versions of what is replaced, and removes what has to make room. Where that fails, nothing is sent.
    ///
    /// # Errors
    /// Those of the conversation.
    pub(super) async fn make_room(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        backup: Option<&RemoteBackup>,
    ) -> Result<(), ConversationError> {
        let (_, mut failed) = delete::remove(ctx, retries, &self.in_the_way, backup).await?;
        if let Some(backup) = backup {
            failed.extend(backup.keep(ctx, retries, &self.replaced).await?);
        }
        if !failed.is_empty() {
            self.uploads.iter_mut().for_each(|upload| upload.retain(|path| !failed.contains_key(path)));
            self.uploads.retain(|upload| match upload {
                PlannedUpload::File { to, .. } => !failed.contains_key(to),
                PlannedUpload::Directory { .. } => true,
            });
            self.summary.failures.extend(failed.into_values());
        }
        Ok(())
    }
}

impl PushTransfer<'_> {
    /// The options of the uploads.
    pub(super) fn transfer_options(&self, ctx: &TransferContext<'_>) -> TransferOptions {
        let SyncOptions { jobs, delta, split_bytes, .. } = *self.options;
        let options =
            TransferOptions { preserve: true, jobs, delta, split_bytes, ..TransferOptions::default() };
        TransferOptions { split_bytes: put::divided_bytes(ctx, options), ..options }
    }

    /// A load with one more file.
    pub(super) fn and_file(&self, ctx: &TransferContext<'_>, load: Load, size: u64, old: OldVersion) -> Load {
        let options = self.transfer_options(ctx);
        match delta::is_preferred(options.delta.limits(ctx.conversation), size, old) {
            true => load.and(size),
            false => load.and_divided(size, options.split_bytes),
        }
    }
}
