//! Files that the user named.

use super::candidates::is_worth_copying;
use super::{BatchPlan, PushTransfer};
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::delta::OldVersion;
use crate::transfer::local::entry;
use crate::transfer::put::PlannedUpload;
use crate::transfer::retries::Retries;
use crate::transfer::sync::compare::{DirectoryComparison, SyncVerdict, is_same_time};
use crate::transfer::sync::digests::{self, DigestResult, FilePair, LocalFile};
use crate::transfer::sync::{Direction, SyncAction, report};
use crate::transfer::{TransferContext, path_bytes};
use sshome_wire::{Entry, RemotePath};
use std::fs::Metadata;
use std::path::Path;

impl PushTransfer<'_> {
    /// Adds a file that was named, unless the server has the same.
    ///
    /// # Errors
    /// Those of the conversation.
    pub(super) async fn add_file(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        from: &Path,
        metadata: &Metadata,
        (to, found): (RemotePath, Option<Entry>),
    ) -> Result<(), ConversationError> {
        let (action, old) = match &found {
            Some(_) => (SyncAction::Update, OldVersion::Exists),
            None => (SyncAction::Create, OldVersion::Missing),
        };
        let comparison = DirectoryComparison {
            options: self.options,
            direction: Direction::Push,
            relative: Path::new(""),
            source: path_bytes(from),
            now: None,
            is_same_time: &is_same_time,
        };
        let is_same = match comparison.judge(&entry(Vec::new(), metadata, Vec::new()), found.as_ref()) {
            SyncVerdict::Ignored => return Ok(()),
            SyncVerdict::Unchanged => true,
            SyncVerdict::Transferred => false,
            SyncVerdict::Undecided => {
                let name = names::bytes(from.file_name().unwrap_or_default());
                let base = from.parent().map(Path::to_owned).unwrap_or_default();
                let local = LocalFile { base, below: Vec::new(), name, follow: true };
                let pair = vec![FilePair { local, remote: to.clone(), size: metadata.len() }];
                let compared = digests::compare(ctx, retries, pair, true, None).await?;
                self.named.trusted += compared.trusted;
                matches!(compared.results.as_slice(), [DigestResult::Same])
            }
        };
        if is_same {
            self.named.unchanged += 1;
            return Ok(());
        }
        if self.options.adds_only && action == SyncAction::Update {
            self.kept += 1;
            return Ok(());
        }
        report(ctx, action, &to, false);
        if let Some(found) = &found {
            self.listed.add_file(to.clone(), found);
        }
        self.files.push((PlannedUpload::File { from: from.to_owned(), to, old }, metadata.len(), old));
        Ok(())
    }

    /// Plans the uploads of these files.
    pub(super) fn plan_named(&mut self, ctx: &TransferContext<'_>, plan: &mut BatchPlan) {
        plan.summary.add(std::mem::take(&mut self.named));
        let files = std::mem::take(&mut self.files);
        for (file, size, old) in files.into_iter().filter(|_| !self.options.dry_run) {
            plan.load = self.and_file(ctx, plan.load, size, old);
            plan.sizes.extend(Some(size).filter(|size| is_worth_copying(*size)));
            if let PlannedUpload::File { to, old: OldVersion::Exists, .. } = &file {
                plan.replaced.push(to.clone());
            }
            plan.uploads.push(file);
        }
    }
}
