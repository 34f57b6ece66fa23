//! Files on the server that may have the content of what a push sends: those that were moved, renamed or copied locally.

use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::TransferContext;
use crate::transfer::put::CopyCandidates;
use crate::transfer::retries::Retries;
use sshome_wire::{Entry, FileKind, Frame, RemotePath, Request};
use std::collections::{HashMap, HashSet};

/// Shorter files are sent, which takes no longer than to look for them. In bytes.
const MIN_COPY_BYTES: u64 = 16 << 10;

/// The largest number of files that are remembered: about those of two batches.
const MAX_REMEMBERED_FILES: usize = 50_000;

/// The largest number of directories that exist only on the server and are remembered.
const MAX_REMEMBERED_DIRECTORIES: usize = 1000;

/// The largest number of files whose digests are looked up for a batch.
const MAX_CANDIDATES: usize = 20_000;

/// What a push has listed on the server.
#[derive(Default)]
pub(super) struct ListedFiles {
    /// The paths of files, by their lengths in bytes.
    files: HashMap<u64, Vec<RemotePath>>,
    /// The number of files.
    count: usize,
    /// Directories that exist only on the server. They are listed once something is sent.
    extra: Vec<RemotePath>,
}

/// Whether a file of `size` bytes is worth the search.
pub(super) fn is_worth_copying(size: u64) -> bool {
    size >= MIN_COPY_BYTES
}

impl ListedFiles {
    /// Remembers the files of a directory. If they are too many, earlier ones are forgotten.
    pub(super) fn add(&mut self, directory: &RemotePath, entries: &[Entry]) {
        for entry in entries {
            if let Ok(path) = directory.join(&entry.name) {
                self.add_file(path, entry);
            }
        }
    }

    /// The same for one file, at this path.
    pub(super) fn add_file(&mut self, path: RemotePath, entry: &Entry) {
        if entry.kind != FileKind::File || !is_worth_copying(entry.size) {
            return;
        }
        if self.count >= MAX_REMEMBERED_FILES {
            (self.files, self.count) = (HashMap::new(), 0);
        }
        self.files.entry(entry.size).or_default().push(path);
        self.count += 1;
    }

    /// Remembers the directories among these entries of a directory, which exist only on the server.
    pub(super) fn add_extra(&mut self, directory: &RemotePath, entries: &[Entry]) {
        let directories = entries.iter().filter(|entry| entry.kind == FileKind::Directory);
        let paths = directories.filter_map(|entry| directory.join(&entry.name).ok());
        let room = MAX_REMEMBERED_DIRECTORIES.saturating_sub(self.extra.len());
        self.extra.extend(paths.take(room));
    }

    /// The remembered files with one of these lengths and a stored digest.
    ///
    /// # Errors
    /// Those of the conversation.
    pub(super) async fn find(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        sizes: &HashSet<u64>,
    ) -> Result<CopyCandidates, ConversationError> {
        let mut candidates = CopyCandidates::default();
        if sizes.is_empty() || !ctx.conversation.has_same_content() {
            return Ok(candidates);
        }
        let extra = std::mem::take(&mut self.extra);
        let list = async |ctx: &mut TransferContext<'_>, _: &mut Retries| list_trees(ctx, &extra).await;
        for (directory, entries) in retries.persist(ctx, list).await? {
            self.add(&directory, &entries);
        }
        let of_size = sizes.iter().filter_map(|size| self.files.get(size));
        let paths: Vec<RemotePath> = of_size.flatten().take(MAX_CANDIDATES).cloned().collect();
        let look_up = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            ctx.conversation.stored_files(&paths, ctx.cancel).await
        };
        let stored = retries.persist(ctx, look_up).await?;
        for (path, file) in paths.into_iter().zip(stored) {
            if let Some(file) = file {
                candidates.add(path, file);
            }
        }
        Ok(candidates)
    }
}

/// Lists whole trees, up to a number of files. What cannot be listed is left out.
async fn list_trees(
    ctx: &mut TransferContext<'_>,
    tops: &[RemotePath],
) -> Result<Vec<(RemotePath, Vec<Entry>)>, ConversationError> {
    let ls = |path: &RemotePath| Request::Ls { path: path.as_bytes().to_vec(), recursive: true };
    let (bytes, count) = batch(tops.iter().map(|top| Frame::Request(ls(top))))?;
    ctx.conversation.send(bytes, count, ctx.cancel).await?;
    let (mut listed, mut entries, mut tops) = (Vec::new(), 0, tops.iter());
    let mut top = tops.next();
    while let Some(path) = top.filter(|_| entries < MAX_REMEMBERED_FILES) {
        match ctx.conversation.receive(ctx.cancel).await? {
            Frame::Entries(more) => {
                entries += more.entries.len();
                if let Ok(directory) = path.join(&more.directory) {
                    listed.push((directory, more.entries));
                }
            }
            Frame::Progress(_) => {}
            Frame::Reply(_) => top = tops.next(),
            frame => return Err(unexpected(&frame)),
        }
    }
    if ctx.conversation.outstanding() > 0 {
        ctx.conversation.abandon(&mut |_| {}).await?;
    }
    Ok(listed)
}
