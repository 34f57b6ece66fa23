//! Walks through the trees of a get in batches.
//!
//! Directories are listed recursively; a tree that fits into a batch is listed at once. A longer listing is truncated:
//! the directories that were listed completely are the batch, and those that were named and not listed wait for the
//! next one. They are taken depth first, so only the siblings of the directories on the current path wait.

use super::pending::{self, PendingDirectory};
use super::plan::{DirectoryAttributes, Plan, PlanCheckpoint, PlannedDirectory, PlannedLink};
use super::resolve_links::{self, LinkTarget};
use super::tree::TreeListing;
use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext};
use sshome_wire::{FileKind, Frame, Payload, Reply, Request};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The largest number of listings requested ahead.
const MAX_PIPELINED_LISTINGS: usize = 64;

/// The largest number of links to directories that one get follows: the server decides how many there are.
const MAX_FOLLOWED_LINKS: usize = 10_000;

/// The remaining directories of a get.
pub(super) struct DownloadWalk {
    /// Whether links are followed.
    follow: bool,
    /// The approximate number of entries in a batch; a directory is never divided.
    batch_entries: usize,
    /// The plan of the first batch, as far as it is known.
    first: Option<Plan>,
    /// Directories that remain to be listed, the next one last.
    pending: Vec<PendingDirectory>,
    /// The number of links to directories that were followed.
    followed: usize,
}

impl DownloadWalk {
    /// A walk through directories, in their order. `first` is the beginning of the first batch.
    pub(super) fn new(
        first: Plan,
        mut tops: Vec<PendingDirectory>,
        follow: bool,
        batch_entries: usize,
    ) -> DownloadWalk {
        tops.reverse();
        DownloadWalk { follow, batch_entries, first: Some(first), pending: tops, followed: 0 }
    }

    /// The plan of the next batch; `None` at the end. There is always a first one.
    ///
    /// # Errors
    /// Those of the conversation. Refusals are in the plan.
    pub(super) async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<Plan>, ConversationError> {
        let mut plan = match self.first.take() {
            Some(first) => first,
            None if self.pending.is_empty() => return Ok(None),
            None => Plan::default(),
        };
        while !self.pending.is_empty() {
            let before = plan.mark();
            let (pending, batch_entries) = (&self.pending, self.batch_entries);
            let list = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
                plan.back_to(&before);
                list(ctx, &mut plan, pending, batch_entries).await
            };
            let ListedBatch { done, left, is_full } = retries.persist(ctx, list).await?;
            self.pending.truncate(self.pending.len().saturating_sub(done));
            self.pending.extend(left);
            if self.follow {
                let links = plan.links.split_off(before.links);
                self.follow(ctx, retries, &mut plan, links).await?;
            }
            if is_full {
                break;
            }
        }
        Ok(Some(plan))
    }

    /// Whether directories remain to be listed.
    pub(super) fn has_more(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The local directories that are not filled: something remains to be stored in them, or below.
    pub(super) fn unfinished(&self) -> HashSet<PathBuf> {
        pending::unfinished(self.pending.iter())
    }

    /// Adds the targets of the links.
    async fn follow(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        plan: &mut Plan,
        links: Vec<PlannedLink>,
    ) -> Result<(), ConversationError> {
        for link in links {
            let Some(within) = plan.places.get(link.place).cloned() else { continue };
            let (path, child) = match (
                within.remote.join(&link.name),
                within.child(&link.name, DirectoryAttributes::default()),
            ) {
                (Ok(path), Ok(child)) => (path, child),
                (Err(error), _) | (_, Err(error)) => {
                    plan.fail(&link.name, error.to_string());
                    continue;
                }
            };
            let look = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
                resolve_links::resolve(ctx, &path).await
            };
            match retries.persist(ctx, look).await? {
                LinkTarget::File(size) => plan.add_followed(link, size),
                LinkTarget::Directory(real, attributes) => {
                    let link_parents: Arc<[_]> =
                        within.link_parents.iter().cloned().chain([within.remote]).collect();
                    if self.followed >= MAX_FOLLOWED_LINKS
                        || link_parents.iter().any(|passed| resolve_links::is_inside(passed, &real))
                    {
                        plan.fail(path.as_bytes(), "the link points to a directory that contains it");
                        continue;
                    }
                    self.followed += 1;
                    let place = PlannedDirectory {
                        remote: real,
                        attributes: Some(attributes),
                        link_parents,
                        ..child
                    };
                    self.pending.push(PendingDirectory::top(place));
                }
                LinkTarget::Missing => plan.fail(path.as_bytes(), "the link's target does not exist"),
                LinkTarget::Special => {
                    plan.skipped.push(Failure::of(path.as_bytes(), "it is not a regular file"))
                }
                LinkTarget::Refused(reply) => {
                    plan.failures.push(Failure::refused(path.as_bytes(), reply.status, &reply.message));
                }
            }
        }
        Ok(())
    }
}

/// The progress of a batch through the pending directories.
#[derive(Default)]
struct ListedBatch {
    /// The number of pending directories, from the end, that are listed, apart from the remaining ones below them.
    done: usize,
    left: Vec<PendingDirectory>,
    is_full: bool,
}

/// Lists pending directories, the last one first, until the plan is a full batch.
async fn list(
    ctx: &mut TransferContext<'_>,
    plan: &mut Plan,
    pending: &[PendingDirectory],
    batch_entries: usize,
) -> Result<ListedBatch, ConversationError> {
    let ahead = MAX_PIPELINED_LISTINGS.min(ctx.conversation.max_outstanding());
    // The listing of the first one may have been requested when its path was resolved.
    let asked = ctx.conversation.outstanding();
    let (mut listed, mut unasked) = (ListedBatch::default(), pending.iter().rev().skip(asked));
    for next in pending.iter().rev() {
        let before = plan.mark();
        let mut tree = TreeListing::begin(plan, next.place()?);
        let reply = loop {
            if ctx.conversation.outstanding() <= ahead / 2 {
                ask(ctx, unasked.by_ref().take(ahead - ctx.conversation.outstanding())).await?;
            }
            match ctx.conversation.receive(ctx.cancel).await? {
                Frame::Entries(entries) => tree.add(plan, entries),
                Frame::Progress(_) => {}
                Frame::Reply(reply) => break reply,
                frame => return Err(unexpected(&frame)),
            }
            // A directory is never divided, and the first one is always listed.
            if plan.len() >= batch_entries && (listed.done > 0 || !tree.is_at_top()) {
                if let Some(left) = tree.truncate(plan) {
                    (listed.done, listed.left) = (listed.done + 1, left);
                }
                listed.is_full = true;
                ctx.conversation.abandon(&mut |_| {}).await?;
                return Ok(listed);
            }
        };
        tree.finish(plan);
        conclude(plan, &next.place()?, reply, &before);
        listed.done += 1;
        if plan.len() >= batch_entries {
            listed.is_full = true;
            break;
        }
    }
    if ctx.conversation.outstanding() > 0 {
        ctx.conversation.abandon(&mut |_| {}).await?;
    }
    Ok(listed)
}

async fn ask(
    ctx: &mut TransferContext<'_>,
    directories: impl Iterator<Item = &PendingDirectory>,
) -> Result<(), ConversationError> {
    let mut requests = Vec::new();
    for directory in directories {
        let path = directory.place()?.remote.as_bytes().to_vec();
        requests.push(Frame::Request(Request::Ls { path, recursive: true }));
    }
    let (bytes, count) = batch(requests.into_iter())?;
    ctx.conversation.send(bytes, count, ctx.cancel).await
}

/// Evaluates the reply at the end of a listing.
fn conclude(plan: &mut Plan, top: &PlannedDirectory, reply: Reply, before: &PlanCheckpoint) {
    let remote = top.remote.as_bytes();
    match reply.payload {
        _ if reply.status.is_error() => {
            plan.failures.push(Failure::refused(remote, reply.status, &reply.message));
        }
        Payload::Stat(entry) if entry.kind == FileKind::Directory => {}
        _ => {
            plan.back_to(before);
            plan.fail(remote, "it is no longer a directory");
        }
    }
}
