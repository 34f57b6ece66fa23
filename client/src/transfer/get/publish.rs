//! Publishing: whole files are synced and renamed to their names, in groups.

use super::backup::BackupWriter;
use super::name_reservations::NameReservations;
use super::plan::Plan;
use super::store::{Store, sync_files};
use super::write_error::written;
use crate::transfer::local::{LocalDirectory, LocalEntry, open_files, set_mode, set_mtime};
use crate::transfer::{FinishedFile, Observer, SavedFile, TransferOptions, TransferSummary, names};
use sshome_wire::display::Escaped;
use sshome_wire::{BLOCK_BYTES, Digest, Status, Time};
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A file of at least this many bytes is synced by itself.
const SOLO_FILE_BYTES: u64 = 8 << 20;

/// A group of files is published when it has this many bytes.
const GROUP_BYTES: u64 = 64 << 20;

/// A file that is whole and verified, but not published.
pub(super) struct VerifiedFile {
    pub(super) file: usize,
    pub(super) size: u64,
    pub(super) digest: Digest,
    /// The offset at which it was resumed, in bytes.
    pub(super) offset: u64,
    pub(super) directory: Rc<LocalDirectory>,
    pub(super) part: Vec<u8>,
    /// Open until it is published: its lock excludes other clients.
    pub(super) handle: File,
}

/// Publishes files, and collects the results.
pub(super) struct Publisher {
    plan: Arc<Plan>,
    options: TransferOptions,
    pub(super) store: Store,
    reservations: Arc<NameReservations>,
    group: Vec<VerifiedFile>,
    group_bytes: u64,
    /// The number of handles that the group holds.
    group_handles: usize,
    most_handles: usize,
    /// Keeps the old versions of replaced files.
    backup: Option<BackupWriter>,
    observer: Option<Arc<dyn Observer>>,
    pub(super) summary: TransferSummary,
}

impl Publisher {
    /// A publisher for the plan's files, which reports each published file to an observer.
    pub(super) fn new(
        plan: Arc<Plan>,
        options: TransferOptions,
        reservations: Arc<NameReservations>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Publisher {
        let store = Store::new(Arc::clone(&plan));
        let backup = plan.backup.clone().map(BackupWriter::new);
        Publisher {
            plan,
            options,
            store,
            reservations,
            group: Vec::new(),
            group_bytes: 0,
            group_handles: 0,
            // The other half is for everything else.
            most_handles: open_files() / 2,
            backup,
            observer,
            summary: TransferSummary::default(),
        }
    }

    /// Sets mode and time of a complete file: the server's if they are preserved, otherwise the mode of the replaced file,
    /// or that of a new file. Until now only the owner could open it.
    pub(super) fn dress(
        &self,
        file: usize,
        (mode, mtime): (u32, Time),
        directory: &LocalDirectory,
        handle: &File,
    ) -> io::Result<()> {
        if self.options.preserve {
            set_mode(handle, mode & 0o777)?;
            return set_mtime(handle, mtime);
        }
        let planned = self.plan.files.get(file).filter(|_| self.options.force);
        let mode = match planned.map(|planned| directory.look(planned.local_name(), false)).transpose()? {
            Some(Some(LocalEntry::File { mode, .. })) => mode,
            _ => directory.new_file_mode(mode & 0o777),
        };
        set_mode(handle, mode)
    }

    /// Adds a file, and publishes the group if it is large enough.
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

    /// Whether no file waits to be published.
    pub(super) fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Publishes the rest. Returns the results.
    pub(super) fn finish(mut self) -> TransferSummary {
        self.publish();
        self.summary
    }

    /// Syncs the files of the group, renames them, then syncs the names.
    pub(super) fn publish(&mut self) {
        (self.group_bytes, self.group_handles) = (0, 0);
        let group = std::mem::take(&mut self.group);
        let group = sync_files(group, |staged| (&staged.directory, &staged.handle));
        let mut published = Vec::new();
        for (staged, kept) in self.keep_old(group) {
            let named = kept.and_then(|()| self.name(&staged));
            match named {
                Ok(name) => {
                    self.store.touched(&staged.directory);
                    published.push((staged, name));
                }
                Err(why) => {
                    // The next get of this name removes what remains.
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

    /// Keeps the old versions of the group's files, and syncs their names: from then on they may be replaced.
    fn keep_old(
        &mut self,
        group: Vec<(VerifiedFile, io::Result<()>)>,
    ) -> Vec<(VerifiedFile, Result<(), String>)> {
        let plan = Arc::clone(&self.plan);
        let kept: Vec<_> = group
            .into_iter()
            .map(|(staged, synced)| {
                let kept = synced.map_err(|error| written(&error)).and_then(|()| {
                    match plan.files.get(staged.file).filter(|planned| !planned.is_new) {
                        Some(file) => self.keep_one(&staged.directory, (file.place, file.local_name())),
                        None => Ok(()),
                    }
                });
                (staged, kept)
            })
            .collect();
        match self.sync_old() {
            Ok(()) => kept,
            Err(why) => kept.into_iter().map(|(staged, kept)| (staged, kept.and(Err(why.clone())))).collect(),
        }
    }

    /// Keeps the old version of a name in a directory of the plan.
    pub(super) fn keep_one(
        &mut self,
        directory: &LocalDirectory,
        (place, name): (usize, &[u8]),
    ) -> Result<(), String> {
        let below = self.plan.places.get(place).map_or(&[][..], |place| &place.below);
        self.backup.as_mut().map_or(Ok(()), |backup| backup.keep(directory, below, name))
    }

    /// Syncs the names of the old versions.
    pub(super) fn sync_old(&mut self) -> Result<(), String> {
        self.backup.as_mut().map_or(Ok(()), BackupWriter::sync)
    }

    /// Renames a file to its name, or to a name beside a different file that has it. Returns the other name in that
    /// case.
    fn name(&mut self, staged: &VerifiedFile) -> Result<Option<Vec<u8>>, String> {
        let plan = Arc::clone(&self.plan);
        let planned = plan.files.get(staged.file).ok_or("it is not in the plan")?;
        let name = planned.local_name();
        let is_same = |beside: &[u8]| has_content(&staged.directory, beside, staged.size, staged.digest);
        let saved = match planned.is_new {
            true => place_new(&staged.directory, &staged.part, name).map(|()| None)?,
            false => self.place(&staged.directory, &staged.part, planned.place, name, is_same)?,
        };
        let published = saved.as_deref().unwrap_or(name);
        let is_ours = || staged.directory.is_file_of(published, &staged.handle) || is_same(published);
        if staged.directory.is_shared() && !is_ours() {
            return Err(format!(
                "{} was replaced while it was published: another program writes to this directory",
                Escaped(published)
            ));
        }
        if staged.size > BLOCK_BYTES {
            // Partial downloads that other clients left of it are obsolete.
            names::parts(name).for_each(|part| staged.directory.clear(&part));
        }
        Ok(saved)
    }

    /// Renames `part` to its name, or to a different one if a file with other content has it; returns the different
    /// one. Nothing is replaced unless that was requested. If `is_same` says that a file with one of these names has
    /// the same content, that file stays and the part is removed.
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
            // A concurrent get of the same file was faster.
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
                // The next get of this name removes it.
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

/// Renames `part` to its name, which nothing had when the directories were compared.
pub(super) fn place_new(directory: &LocalDirectory, part: &[u8], name: &[u8]) -> Result<(), String> {
    match directory.publish_new(part, name).map_err(|error| written(&error))? {
        true => Ok(()),
        false => Err(format!("not replaced: {}", appeared(name))),
    }
}

/// Why a name is taken that was free when the directories were compared.
pub(super) fn appeared(name: &[u8]) -> String {
    let name = Escaped(name);
    format!("{name} has appeared since the comparison, or this disk takes another name for the same")
}

/// Whether a local file has exactly this content. `false` if it cannot be read.
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
    format!("a local directory has the name {}; move it away", Escaped(name))
}
