//! Files whose content the server has already: looked up ahead, many at a time, and not sent.

use super::items::UploadItems;
use super::message::{QuestionAnswer, RequestKind, SentRequest, UploadMessage};
use super::reader::{ReceiverGone, UploadReader};
use super::source::LocalSource;
use super::walk::{ParentDirectory, UploadItem, upwards};
use crate::conversation::{MAX_LOOKED_UP, fill_stored, lookup};
use crate::transfer::delta::OldVersion;
use crate::transfer::pool::WorkItem;
use sshome_wire::{RemotePath, Request, StoredFile};
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use tokio::sync::oneshot;

/// The largest number of files in a window: they are looked up together.
const MAX_WINDOW_FILES: usize = 500;
const _: () = assert!(MAX_WINDOW_FILES <= MAX_LOOKED_UP);

/// The length of the files after which a window ends, in bytes. The items of a window are not left to other connections.
const MAX_WINDOW_BYTES: u64 = 4 << 20;

/// The largest number of items in a window, and the largest length of the paths that are asked for, in bytes.
const MAX_WINDOW_ITEMS: usize = 2 * MAX_WINDOW_FILES;
const MAX_WINDOW_PATH_BYTES: usize = 128 << 10;

/// Which files the server may have.
#[derive(Debug, Default)]
pub(super) struct SkipRules {
    /// Targets of sources that the user named, at which the server had nothing.
    pub(super) missing: HashSet<RemotePath>,
}

/// An item with its number, and what the server has stored at its path, if that was looked up.
pub(super) type FoundItem = (u64, WorkItem<UploadItem>, Option<StoredFile>);

/// Items that were taken ahead, so that what the server has of them is looked up with one question.
pub(super) struct LookedUpItems {
    items: UploadItems,
    /// Items whose answer has arrived.
    found: VecDeque<FoundItem>,
    /// Items whose answer was not awaited yet.
    ahead: ItemWindow,
}

/// Items that are looked up together.
#[derive(Default)]
struct ItemWindow {
    items: Vec<(u64, WorkItem<UploadItem>)>,
    /// The places in `items` of those that were asked for.
    asked: Vec<usize>,
    /// The length of the files in bytes.
    bytes: u64,
    answer: Option<oneshot::Receiver<QuestionAnswer>>,
}

impl LookedUpItems {
    pub(super) fn new(items: UploadItems) -> LookedUpItems {
        LookedUpItems { items, found: VecDeque::new(), ahead: ItemWindow::default() }
    }

    /// The next item.
    pub(super) fn next(&mut self, reader: &mut UploadReader) -> Result<Option<FoundItem>, ReceiverGone> {
        if reader.manner.skip.is_none() {
            return Ok(self.items.next().map(|(number, item)| (number, item, None)));
        }
        if self.found.is_empty() {
            let mut window = std::mem::take(&mut self.ahead);
            if window.items.is_empty() {
                window = ItemWindow::take(&mut self.items, reader)?;
            }
            // The next question is under way while these items are sent. Large files are left to other connections.
            if window.answer.is_some() && window.bytes < MAX_WINDOW_BYTES {
                self.ahead = ItemWindow::take(&mut self.items, reader)?;
            }
            self.found = window.resolve()?;
        }
        Ok(self.found.pop_front())
    }
}

impl ItemWindow {
    /// Takes items, and asks for those that the server may have. Without such items it ends early, since nothing is gained.
    fn take(items: &mut UploadItems, reader: &mut UploadReader) -> Result<ItemWindow, ReceiverGone> {
        let (mut window, mut paths, mut path_bytes) = (ItemWindow::default(), Vec::new(), 0);
        while window.asked.len() < MAX_WINDOW_FILES
            && window.items.len() < MAX_WINDOW_ITEMS
            && window.bytes < MAX_WINDOW_BYTES
            && path_bytes < MAX_WINDOW_PATH_BYTES
        {
            let Some((number, item)) = items.next() else { break };
            if let UploadItem::File { to, size, old: OldVersion::Unknown, within, .. } = &item.thing {
                window.bytes = window.bytes.saturating_add(*size);
                if item.again || reader.may_exist(to, within) {
                    window.asked.push(window.items.len());
                    path_bytes += to.as_bytes().len() + 1;
                    paths.push(to.clone());
                }
            }
            let is_file = matches!(item.thing, UploadItem::File { .. });
            window.items.push((number, item));
            if is_file && paths.is_empty() {
                break;
            }
        }
        if !paths.is_empty() {
            window.answer = Some(reader.question(lookup(&paths))?);
        }
        Ok(window)
    }

    /// Waits for the answer.
    fn resolve(self) -> Result<VecDeque<FoundItem>, ReceiverGone> {
        let mut stored = vec![None; self.asked.len()];
        if let Some(answer) = self.answer {
            let QuestionAnswer { files, .. } = answer.blocking_recv().map_err(|_| ReceiverGone)?;
            // What cannot be matched to a path is sent.
            if fill_stored(&mut stored, files).is_err() {
                stored.fill(None);
            }
        }
        let mut found: VecDeque<FoundItem> =
            self.items.into_iter().map(|(number, item)| (number, item, None)).collect();
        for (place, stored) in self.asked.into_iter().zip(stored) {
            if let Some((_, _, found)) = found.get_mut(place) {
                *found = stored;
            }
        }
        Ok(found)
    }
}

impl UploadReader {
    /// Whether the server may have a file that this put has not sent.
    fn may_exist(&self, to: &RemotePath, within: &ParentDirectory) -> bool {
        let Some(rules) = &self.manner.skip else { return false };
        let top = upwards(within).last().map_or(to, |top| &top.to);
        !rules.missing.contains(top) && !upwards(within).any(|directory| directory.is_new())
    }

    /// Whether the server has the same content. If so, the file is not sent: at most its attributes are. If a connection was
    /// lost over it, this put has stored it.
    pub(super) fn skip(
        &mut self,
        number: u64,
        (from, to): (&Path, &RemotePath),
        source: &LocalSource,
        (stored, again): (&StoredFile, bool),
    ) -> Result<bool, ReceiverGone> {
        let Some(digest) = stored.digest.filter(|_| stored.size == source.size) else { return Ok(false) };
        // If it cannot be read, that is noticed when it is sent.
        if !source.has_digest(digest, || !self.is_abandoned()).unwrap_or(false) {
            return Ok(false);
        }
        let what = match again {
            true => RequestKind::file(source.size, Some(digest)),
            false => RequestKind::Same { size: source.size },
        };
        self.same((from, source), stored, SentRequest::new(number, to.clone(), what))?;
        Ok(true)
    }

    /// Reports a file with the same content, after its attributes if they differ and are preserved.
    pub(super) fn same(
        &mut self,
        (from, source): (&Path, &LocalSource),
        stored: &StoredFile,
        asked: SentRequest,
    ) -> Result<(), ReceiverGone> {
        let (mode, mtime) = match self.manner.preserve {
            true => source.other_attributes(stored),
            false => (None, None),
        };
        if mode.is_none() && mtime.is_none() {
            return self.send(UploadMessage::Stored { asked });
        }
        let path = asked.to.as_bytes().to_vec();
        self.small(from, Request::SetAttributes { path, mode, mtime }, asked)
    }
}
