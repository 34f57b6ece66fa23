//! Where the old versions of files go that a push replaces or deletes.

use super::super::delete::parent;
use super::super::sources::find;
use crate::conversation::ConversationError;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext};
use sshome_wire::{Entry, FileKind, RemotePath, Reply, Request, Status};
use std::collections::HashMap;

/// A directory on the server that gets the old versions, under their paths below the destination.
#[derive(Debug)]
pub(in crate::transfer::sync) struct RemoteBackup {
    directory: RemotePath,
    /// The destination, or the directory of a destination that is a file.
    base: RemotePath,
}

impl RemoteBackup {
    /// The directory `wanted`, for a destination `target`, which has the entry `found`. It need not exist.
    ///
    /// # Errors
    /// If the server cannot keep old versions, or the directory is unsuitable.
    pub(super) async fn find(
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        wanted: &RemotePath,
        target: &RemotePath,
        is_file: bool,
    ) -> Result<RemoteBackup, ConversationError> {
        if !ctx.conversation.has_backup() {
            let text = "the server is too old for --backup-dir: update sshomed, or push without it";
            return Err(ConversationError::Local(text.to_owned()));
        }
        let (directory, entry) = find(ctx, retries, wanted).await?;
        if entry.is_some_and(|entry| entry.kind != FileKind::Directory) {
            return Err(ConversationError::Local(format!("--backup-dir: {directory} is not a directory")));
        }
        let base = if is_file { parent(target) } else { None }.unwrap_or_else(|| target.clone());
        if std::iter::successors(Some(base.clone()), parent).any(|above| above == directory) {
            let text =
                format!("--backup-dir: {directory} contains the destination; choose one beside or in it");
            return Err(ConversationError::Local(text));
        }
        Ok(RemoteBackup { directory, base })
    }

    /// The directory itself.
    pub(in crate::transfer::sync) fn directory(&self) -> &RemotePath {
        &self.directory
    }

    /// The request that keeps an old version, or with `remove` moves it.
    fn request(&self, path: &RemotePath, remove: bool) -> Result<Request, Failure> {
        let base = self.base.as_bytes();
        let below = path.as_bytes().strip_prefix(base).unwrap_or(path.as_bytes());
        let names = below.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let to = self.directory.join(&names.collect::<Vec<_>>().join(&b'/'));
        let to = to.map_err(|error| Failure::of(path.as_bytes(), format!("its backup: {error}")))?;
        Ok(Request::BackUp { from: path.as_bytes().to_vec(), to: to.as_bytes().to_vec(), remove })
    }

    /// Keeps the old versions of files that will be replaced. Returns those that cannot be kept, and why. A missing one
    /// needs no backup.
    ///
    /// # Errors
    /// Those of the conversation.
    pub(super) async fn keep(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        paths: &[RemotePath],
    ) -> Result<HashMap<RemotePath, Failure>, ConversationError> {
        let keep =
            async |ctx: &mut TransferContext<'_>, _: &mut Retries| self.ask(ctx, paths.iter(), false).await;
        let failed = retries.persist(ctx, keep).await?;
        retries.reached.settle();
        Ok(failed)
    }

    /// Sends the requests of these paths. Returns those that failed.
    ///
    /// # Errors
    /// Those of the conversation.
    pub(in crate::transfer::sync) async fn ask<'a>(
        &self,
        ctx: &mut TransferContext<'_>,
        paths: impl Iterator<Item = &'a RemotePath>,
        remove: bool,
    ) -> Result<HashMap<RemotePath, Failure>, ConversationError> {
        let (mut failed, mut requests, mut asked) = (HashMap::new(), Vec::new(), Vec::new());
        for path in paths {
            match self.request(path, remove) {
                Ok(request) => {
                    requests.push(request);
                    asked.push(path);
                }
                Err(failure) => drop(failed.insert(path.clone(), failure)),
            }
        }
        let mut each = |index: usize, reply: Reply| {
            if let Some(path) = asked.get(index)
                && reply.status.is_error()
                && reply.status != Status::NoSuchFile
            {
                let failure = Failure::refused(path.as_bytes(), reply.status, &not_kept(&reply));
                failed.insert((*path).clone(), failure);
            }
        };
        ctx.conversation.ask_all(requests.into_iter(), ctx.cancel, &mut each).await?;
        Ok(failed)
    }

    /// Whether an entry of a directory is the one that gets the old versions.
    pub(in crate::transfer::sync) fn is_at(&self, directory: &RemotePath, entry: &Entry) -> bool {
        directory.join(&entry.name).is_ok_and(|path| path == self.directory)
    }
}

fn not_kept(reply: &Reply) -> String {
    format!("its old version cannot be kept: {}", reply.status.describe(&reply.message))
}
