//! Files that are whole: brought to the disk and given their names, in groups.

use super::name_reservations::NameReservations;
use super::plan::Plan;
use super::store::{Store, sync_files};
use super::write_error::written;
use crate::transfer::local::{LocalDirectory, LocalEntry, open_files};
use crate::transfer::{FinishedFile, Observer, SavedFile, TransferOptions, TransferSummary, names};
use sshome_wire::display::Escaped;
use sshome_wire::{BLOCK_BYTES, Digest, Status};
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A file of at least this many bytes is brought to the disk by itself.
const SOLO_FILE_BYTES: u64 = 8 << 20;

/// A group of files is published when it has this many bytes.
const GROUP_BYTES: u64 = 64 << 20;

/// A file that is whole and verified, but not yet under its name.
pub(super) struct VerifiedFile {
    pub(super) file: usize,
    pub(super) size: u64,
    pub(super) digest: Digest,
    /// Where its data began, in bytes.
    pub(super) offset: u64,
    pub(super) directory: Rc<LocalDirectory>,
    pub(super) part: Vec<u8>,
    /// Open until it is published: its lock keeps other clients away.
    pub(super) handle: File,
}

/// Publishes files, and tells what became of them.
pub(super) struct Publisher {
    plan: Arc<Plan>,
    options: TransferOptions,
    pub(super) store: Store,
    reservations: Arc<NameReservations>,
    group: Vec<VerifiedFile>,
    group_bytes: u64,
    /// Handles that the group holds open.
    group_handles: usize,
    most_handles: usize,
    observer: Option<Arc<dyn Observer>>,
    pub(super) summary: TransferSummary,
}

impl Publisher {
    /// A publisher of the plan's files, which tells an observer of each that is under its name.
    pub(super) fn new(
        plan: Arc<Plan>,
        options: TransferOptions,
        reservations: Arc<NameReservations>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Publisher {
        let store = Store::new(Arc::clone(&plan));
        Publisher {
            plan,
            options,
            store,
            reservations,
            group: Vec::new(),
            group_bytes: 0,
            group_handles: 0,
            // The rest is for everything else.
            most_handles: open_files() / 2,
            observer,
            summary: TransferSummary::default(),
        }
    }

    /// Takes a file, and publishes the group if that is large enough with it.
    pub(super) fn add(&mut self, staged: VerifiedFile) {
        let size = staged.size;
        let last = self.group.last().map(|last| &last.directory);
        let is_shared = last.is_some_and(|last| Rc::ptr_eq(last, &staged.directory));
        self.group_handles += if is_shared { 1 } else { 2 };
        self.group_bytes = self.group_bytes.saturating_add(size);
        self.group.push(staged);
        let is_full = self.group_bytes >= GROUP_BYTES || self.group_handles >= self.most_handles;
        if size >= SOLO_FILE_BYTES || is_full {
            self.publish();
        }
    }

    /// Whether nothing waits to be published.
    pub(super) fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Publishes what is left. Returns what became of everything.
    pub(super) fn finish(mut self) -> TransferSummary {
        self.publish();
        self.summary
    }

    /// Brings the group to the disk, then gives its files their names, then brings those to the disk.
    pub(super) fn publish(&mut self) {
        (self.group_bytes, self.group_handles) = (0, 0);
        let group = std::mem::take(&mut self.group);
        let group = sync_files(group, |staged| (&staged.directory, &staged.handle));
        let mut published = Vec::new();
        for (staged, synced) in group {
            let named = synced.map_err(|error| written(&error)).and_then(|()| self.name(&staged));
            match named {
                Ok(name) => {
                    self.store.touched(&staged.directory);
                    published.push((staged, name));
                }
                Err(why) => {
                    let _ = staged.directory.remove(&staged.part);
                    self.summary.failures.push(self.plan.failure(staged.file, why));
                }
            }
        }
        let synced = self.store.sync_names();
        for (staged, name) in published {
            match &synced {
                Ok(()) => self.report(&staged, name),
                Err(error) => self.summary.failures.push(self.plan.failure(staged.file, written(error))),
            }
        }
    }

    /// Renames a file to its name, or beside a different one that has it; says which it was.
    fn name(&mut self, staged: &VerifiedFile) -> Result<Option<Vec<u8>>, String> {
        let plan = Arc::clone(&self.plan);
        let planned = plan.files.get(staged.file).ok_or("it is not in the plan")?;
        let name = planned.local_name();
        let is_same = |beside: &[u8]| has_content(&staged.directory, beside, staged.size, staged.digest);
        let saved = self.place(&staged.directory, &staged.part, planned.place, name, is_same)?;
        let published = saved.as_deref().unwrap_or(name);
        let is_ours = || staged.directory.is_file_of(published, &staged.handle) || is_same(published);
        if staged.directory.is_shared() && !is_ours() {
            return Err(format!(
                "{} was replaced while it was published: somebody else writes to this directory",
                Escaped(published)
            ));
        }
        if staged.size > BLOCK_BYTES {
            // What another client may have left of it is of no use any more.
            names::parts(name).for_each(|part| staged.directory.clear(&part));
        }
        Ok(saved)
    }

    /// Gives what is called `part` its name, or another one if the name has other content. Returns the
    /// other one. Nothing is replaced unless that was asked for; where `is_same` says that a file of one of these
    /// names has just this content, that one stays and the part goes.
    pub(super) fn place(
        &self,
        directory: &LocalDirectory,
        part: &[u8],
        place: usize,
        name: &[u8],
        is_same: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, String> {
        let written = |error| written(&error);
        if !self.options.force && directory.publish_new(part, name).map_err(written)? {
            return Ok(None);
        }
        if matches!(directory.look(name, false).map_err(written)?, Some(LocalEntry::Directory)) {
            return Err(in_the_way(name));
        }
        if self.options.force {
            return directory.publish(part, name).map(|()| None).map_err(written);
        }
        if is_same(name) {
            // Another get of the same file was faster.
            let _ = directory.remove(part);
            return Ok(None);
        }
        for beside in names::beside(name).filter(|beside| self.reservations.is_free(place, beside)) {
            let is_published = directory.publish_new(part, &beside).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidFilename => no_room_beside(name),
                _ => written(error),
            })?;
            if is_published {
                return Ok(Some(beside));
            }
            if is_same(&beside) {
                // What cannot be removed is thrown away by the next get of this name.
                let _ = directory.remove(part);
                return Ok(Some(beside));
            }
        }
        Err(no_name_left(name))
    }

    fn report(&mut self, staged: &VerifiedFile, saved: Option<Vec<u8>>) {
        self.summary.files += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(staged.size);
        let Some(planned) = self.plan.files.get(staged.file) else { return };
        let Some(place) = self.plan.places.get(planned.place) else { return };
        let wanted = self.plan.local(planned);
        let saved = saved.map(|saved| place.path(&saved));
        if let Some(observer) = &self.observer {
            observer.done(&FinishedFile {
                remote: &self.plan.remote_bytes(staged.file),
                local: Some(saved.as_ref().unwrap_or(&wanted)),
                size: staged.size,
                digest: Some(staged.digest),
                resumed_at: staged.offset,
                status: Status::Done,
            });
        }
        if let Some(saved) = saved {
            self.summary.saved_as.push(SavedFile { wanted, saved });
        }
    }
}

/// Whether a local file has just this content. What cannot be read has not.
fn has_content(directory: &LocalDirectory, name: &[u8], size: u64, digest: Digest) -> bool {
    let is_as_long = matches!(directory.look(name, false), Ok(Some(LocalEntry::File { size: found, .. })) if found == size);
    let mut hasher = blake3::Hasher::new();
    is_as_long
        && directory.read(name, false).and_then(|mut file| hasher.update_reader(&mut file).map(drop)).is_ok()
        && hasher.finalize().as_bytes() == &digest.0
}

fn no_name_left(name: &[u8]) -> String {
    let name = Escaped(name);
    format!(
        "{name} has other content, and so has each {name}.new.N: move some away, or replace {name} with -f"
    )
}

fn no_room_beside(name: &[u8]) -> String {
    let name = Escaped(name);
    format!(
        "{name} has other content, and {name}.new is too long a name: get it under another name, or replace it with -f"
    )
}

fn in_the_way(name: &[u8]) -> String {
    format!("a directory has the name {} here; move it away", Escaped(name))
}
