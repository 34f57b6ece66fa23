//! Copying on the server: `cp`.

use super::error::Context;
use super::rename::into_directory;
use super::{
    Download, Error, PendingPublish, Result, StepLimit, Upload, User, make_directory, make_symlink, publish,
};
use crate::home::{DescriptorPermit, Location, TREE_DESCRIPTORS, TreeItem, TreeWalk, file_id, length};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_wire::{End, Put, RemotePath, Status};

/// Files that are published together.
const PUBLISH_BATCH_FILES: usize = 256;

/// Descriptors that unpublished files and directories may hold.
const MAX_BATCH_DESCRIPTORS: usize = 384;

/// The copy of a file or of a tree, in steps. Each file is staged, verified and published like an upload. Links in a tree
/// are copied as links.
pub struct Copy {
    from: RemotePath,
    to: RemotePath,
    tree: Option<TreeWalk>,
    _descriptors: Option<DescriptorPermit>,
    file: Option<FileCopy>,
    batch: Vec<PendingPublish>,
    /// New directories and links that were not synced yet.
    made: Vec<Location>,
    /// The permits for the descriptors in `made`.
    permits: Vec<DescriptorPermit>,
    done: u64,
    failed: u64,
    first_failure: Option<String>,
}

struct FileCopy {
    source: Download,
    upload: Upload,
    buffer: Vec<u8>,
}

impl Copy {
    /// Begins.
    ///
    /// # Errors
    /// If `from` does not exist, is a directory without `recursive`, or contains `to`.
    pub fn begin(user: &User, from: &RemotePath, to: &RemotePath, recursive: bool) -> Result<Copy> {
        user.require_write()?;
        let stat = user.home.stat(from).of_file(from)?;
        let to = into_directory(user, from, to)?;
        let mut copy = Copy {
            from: from.clone(),
            to: to.clone(),
            tree: None,
            _descriptors: None,
            file: None,
            batch: Vec::new(),
            made: Vec::new(),
            permits: Vec::new(),
            done: 0,
            failed: 0,
            first_failure: None,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            copy.file = Some(FileCopy::begin(user, from, to)?);
            return Ok(copy);
        }
        if !recursive {
            return Err(Error::IsDirectory { path: from.clone(), hint: "; cp -r copies it" });
        }
        copy._descriptors = Some(user.home.descriptors(TREE_DESCRIPTORS).of_directory(from)?);
        let top = user.home.open_directory(from).of_directory(from)?;
        // Created only now: a tree that is copied into itself must not contain its copy.
        let target = user.home.locate(&to).of_directory(&to)?;
        if user.home.is_inside(&target, file_id(&stat)).of_directory(&to)? {
            return Err(Error::IntoItself { from: from.clone(), to });
        }
        copy.made(user, make_directory(user, &to, false, Some(stat.st_mode & 0o777))?.1)?;
        copy.tree = Some(TreeWalk::below(top).of_directory(from)?);
        Ok(copy)
    }

    /// Bytes copied so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Executes one step. Returns whether it is done.
    ///
    /// # Errors
    /// For a file, its error. For a tree, at the end if an entry could not be copied.
    pub fn step(&mut self, user: &User, limit: StepLimit) -> Result<bool> {
        let start = self.done;
        let mut entries = 0;
        // Each entry counts as one byte, so that the time limit applies.
        while entries < PUBLISH_BATCH_FILES && !limit.is_reached(self.done - start + entries as u64) {
            if let Some(file) = &mut self.file {
                match file.step() {
                    Ok(Some(copied)) => self.done += copied,
                    Ok(None) => self.file_ended(user)?,
                    Err(error) => {
                        self.file = None;
                        self.fail(error)?;
                    }
                }
                continue;
            }
            entries += 1;
            let Some(tree) = &mut self.tree else { return self.outcome(user) };
            match tree.next_step().of_file(&self.from) {
                Ok(None) => return self.outcome(user),
                Ok(Some(item)) => {
                    if let Err(error) = self.take(user, item).and_then(|()| self.publish_if_full(user)) {
                        self.fail(error)?;
                    }
                }
                Err(error) => self.fail(error)?,
            }
        }
        Ok(false)
    }

    fn take(&mut self, user: &User, item: TreeItem) -> Result<()> {
        match item {
            TreeItem::Enter(_, stat) => {
                let to = self.below(&self.to, &[])?;
                self.made(user, make_directory(user, &to, false, Some(stat.st_mode & 0o777))?.1)?;
            }
            TreeItem::Leave(..) | TreeItem::MoreDirectories => {}
            TreeItem::Leaf(location, stat) => self.leaf(user, &location, &stat)?,
        }
        Ok(())
    }

    fn leaf(&mut self, user: &User, location: &Location, stat: &Stat) -> Result<()> {
        let from = self.below(&self.from, location.name())?;
        let to = self.below(&self.to, location.name())?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file = Some(FileCopy::begin(user, &from, to)?),
            FileType::Symlink => self.made(user, vec![copy_link(user, location, &to)?])?,
            _ => return Err(crate::home::Error::Special).of_file(&from),
        }
        Ok(())
    }

    fn file_ended(&mut self, user: &User) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        match file.finish(user) {
            Ok(pending) => self.batch.push(pending),
            Err(error) => self.fail(error)?,
        }
        self.publish_if_full(user)
    }

    /// Adds new names to the batch, or publishes it if the descriptor budget is used up.
    fn made(&mut self, user: &User, made: Vec<Location>) -> Result<()> {
        let permit = user.hold_descriptors(made.len());
        self.made.extend(made);
        match permit {
            Some(permit) => self.permits.push(permit),
            None => self.publish_batch(user)?,
        }
        Ok(())
    }

    fn publish_if_full(&mut self, user: &User) -> Result<()> {
        // A staged file holds its own descriptor and that of its directory.
        let handles = 2 * self.batch.len() + self.made.len();
        let full = self.batch.len() >= PUBLISH_BATCH_FILES
            || handles >= MAX_BATCH_DESCRIPTORS
            || user.home.descriptors_are_scarce();
        if full { self.publish_batch(user) } else { Ok(()) }
    }

    fn publish_batch(&mut self, user: &User) -> Result<()> {
        let (batch, made) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.made));
        let (placed, synced) = publish(user, batch, made);
        self.permits.clear();
        for result in placed.into_iter().chain([synced]) {
            if let Err(error) = result {
                self.fail(error)?;
            }
        }
        Ok(())
    }

    fn outcome(&mut self, user: &User) -> Result<bool> {
        self.publish_batch(user)?;
        match self.first_failure.take() {
            None => Ok(true),
            Some(first) => Err(Error::Partly { count: self.failed, first }),
        }
    }

    /// Records an error. In a tree the other files are still copied.
    fn fail(&mut self, error: Error) -> Result<()> {
        if self.tree.is_none() {
            return Err(error);
        }
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| error.reason());
        Ok(())
    }

    /// The path below `top` of a name in the walk's current directory; of that directory if the name is empty.
    fn below(&self, top: &RemotePath, name: &[u8]) -> Result<RemotePath> {
        let relative = match &self.tree {
            Some(tree) => tree.relative().ok_or(Errno::NAMETOOLONG).of_file(top)?,
            None => Vec::new(),
        };
        let names = [&relative[..], name].into_iter().filter(|name| !name.is_empty());
        let below = names.collect::<Vec<_>>().join(&b'/');
        top.join(&below).map_err(|_| Errno::NAMETOOLONG).of_file(top)
    }
}

impl FileCopy {
    fn begin(user: &User, from: &RemotePath, to: RemotePath) -> Result<FileCopy> {
        let source = Download::open(user, from)?;
        let stat = source.stat();
        let put = Put {
            path: Vec::new(),
            size: Some(length(stat)),
            mtime: None,
            source: None,
            mode: Some(stat.st_mode & 0o777),
            resume: 0,
        };
        let upload = Upload::begin_copy(user, &put, to)?;
        Ok(FileCopy { source, upload, buffer: Vec::with_capacity(256 << 10) })
    }

    /// Copies one buffer. Returns its bytes; `None` at the end.
    fn step(&mut self) -> Result<Option<u64>> {
        self.buffer.clear();
        let read = self.source.read(&mut self.buffer)?;
        self.upload.write(&self.buffer)?;
        Ok((read > 0).then_some(read as u64))
    }

    fn finish(mut self, user: &User) -> Result<PendingPublish> {
        let end = End {
            status: Status::Done,
            message: String::new(),
            digest: self.source.finish()?,
            size: self.source.position(),
        };
        self.upload.finish(user, &end)
    }
}

fn copy_link(user: &User, link: &Location, to: &RemotePath) -> Result<Location> {
    let target = link.read_link().of_file(to)?;
    make_symlink(user, to, &target)
}
