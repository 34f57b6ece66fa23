//! Copying on the server: `cp`.

use super::names::into_directory;
use super::{
    Download, Error, LongOperation, OperationResult, PutUpload, Result, STEP_BYTES, StepLimit, User,
    VerifiedUpload, make_directory, make_symlink, publish,
};
use crate::metrics::TransferDirection;
use sshome_store::{
    Cause, EntryRef, FileInfo, FileType, MadeDirectories, MakeDirectory, StoreError, TreeStep, TreeWalk,
};
use sshome_wire::RemotePath;

/// Files that are published together.
const PUBLISH_BATCH_FILES: usize = 256;

/// Descriptors that unpublished files and directories may hold.
const MAX_BATCH_DESCRIPTORS: usize = 384;

/// The copy of a file or of a tree, in steps. Each file is staged, verified and published like an upload. Links in a tree
/// are copied as links.
pub struct Copy {
    from: RemotePath,
    to: RemotePath,
    tree: Option<Box<dyn TreeWalk>>,
    file: Option<FileCopy>,
    batch: Vec<VerifiedUpload>,
    /// New directories and links that were not synced yet.
    made: Vec<EntryRef>,
    done: u64,
    failed: u64,
    first_failure: Option<String>,
}

struct FileCopy {
    source: Download,
    upload: PutUpload,
    buffer: Vec<u8>,
}

impl Copy {
    /// Begins.
    ///
    /// # Errors
    /// If `from` does not exist, is a directory without `recursive`, or contains `to`.
    pub fn begin(user: &User, from: &RemotePath, to: &RemotePath, recursive: bool) -> Result<Copy> {
        user.require_add()?;
        user.require_read()?;
        let info = user.home.info(from, true)?;
        let to = into_directory(user, from, to)?;
        let mut copy = Copy {
            from: from.clone(),
            to: to.clone(),
            tree: None,
            file: None,
            batch: Vec::new(),
            made: Vec::new(),
            done: 0,
            failed: 0,
            first_failure: None,
        };
        if !info.is_directory() {
            copy.file = Some(FileCopy::begin(user, from, &to)?);
            return Ok(copy);
        }
        if !recursive {
            return Err(StoreError::IsDirectory { path: from.clone(), hint: "; cp -r copies it" }.into());
        }
        if user.home.is_inside(&to, info.id)? {
            return Err(StoreError::IntoItself { from: from.clone(), to }.into());
        }
        // Before the copy is made: a tree that is copied into its own parent must not contain it.
        let tree = user.home.walk(from)?;
        copy.make_directory(user, &to, &info)?;
        copy.tree = Some(tree);
        Ok(copy)
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
            match tree.next_step().map_err(Error::from) {
                Ok(None) => return self.outcome(user),
                Ok(Some(step)) => {
                    if let Err(error) = self.take(user, step).and_then(|()| self.publish_if_full(user)) {
                        self.fail(error)?;
                    }
                }
                Err(error) => self.fail(error)?,
            }
        }
        Ok(false)
    }

    fn take(&mut self, user: &User, step: TreeStep) -> Result<()> {
        match step {
            TreeStep::Enter(info) => {
                let to = self.below(&self.to, &[])?;
                self.make_directory(user, &to, &info)?;
            }
            TreeStep::Pause => {}
            TreeStep::Leaf(name, info) => self.leaf(user, &name, &info)?,
        }
        Ok(())
    }

    fn leaf(&mut self, user: &User, name: &[u8], info: &FileInfo) -> Result<()> {
        let (from, to) = (self.below(&self.from, name)?, self.below(&self.to, name)?);
        match info.file_type {
            FileType::Regular => self.file = Some(FileCopy::begin(user, &from, &to)?),
            FileType::Symlink => {
                let target = user.home.read_link(&from)?;
                self.made(user, vec![make_symlink(user, &to, &target)?])?;
            }
            _ => return Err(Error::file(&from, Cause::Special)),
        }
        Ok(())
    }

    fn make_directory(&mut self, user: &User, to: &RemotePath, like: &FileInfo) -> Result<()> {
        let how = MakeDirectory { mode: Some(like.mode & 0o777), ..MakeDirectory::default() };
        let MadeDirectories { names, .. } = make_directory(user, to, how)?;
        self.made(user, names)
    }

    fn file_ended(&mut self, user: &User) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        match file.finish() {
            Ok(pending) => self.batch.push(pending),
            Err(error) => self.fail(error)?,
        }
        self.publish_if_full(user)
    }

    /// Adds new names to the batch, or publishes it if the user's budget is used up.
    fn made(&mut self, user: &User, made: Vec<EntryRef>) -> Result<()> {
        let is_over_budget = made.iter().any(EntryRef::is_over_budget);
        self.made.extend(made);
        if is_over_budget { self.publish_batch(user) } else { Ok(()) }
    }

    fn publish_if_full(&mut self, user: &User) -> Result<()> {
        // A staged file holds its own descriptor and that of its directory.
        let handles = 2 * self.batch.len() + self.made.len();
        let full = self.batch.len() >= PUBLISH_BATCH_FILES
            || handles >= MAX_BATCH_DESCRIPTORS
            || user.wants_publish();
        if full { self.publish_batch(user) } else { Ok(()) }
    }

    fn publish_batch(&mut self, user: &User) -> Result<()> {
        let (batch, made) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.made));
        let (placed, synced) = publish(user, batch, made);
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
            Some(tree) => tree.relative().ok_or_else(|| Error::file(top, Cause::NameTooLong))?,
            None => Vec::new(),
        };
        let names = [&relative[..], name].into_iter().filter(|name| !name.is_empty());
        let below = names.collect::<Vec<_>>().join(&b'/');
        top.join(&below).map_err(|_| Error::file(top, Cause::NameTooLong))
    }
}

impl LongOperation for Copy {
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>> {
        Ok(self.step(user, StepLimit::bytes(STEP_BYTES))?.then_some(OperationResult::Done))
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.done, None)
    }
}

impl FileCopy {
    fn begin(user: &User, from: &RemotePath, to: &RemotePath) -> Result<FileCopy> {
        let source = Download::open(user, from)?;
        let (size, mode) = (source.size(), source.info().mode & 0o777);
        let upload = PutUpload::begin_new(user, to, Some(size), mode, TransferDirection::Copy)?;
        Ok(FileCopy { source, upload, buffer: Vec::with_capacity(256 << 10) })
    }

    /// Copies one buffer. Returns its bytes; `None` at the end.
    fn step(&mut self) -> Result<Option<u64>> {
        self.buffer.clear();
        let read = self.source.read(&mut self.buffer)?;
        self.upload.write(&self.buffer)?;
        Ok((read > 0).then_some(read as u64))
    }

    fn finish(mut self) -> Result<VerifiedUpload> {
        let digest = self.source.finish()?;
        self.upload.finish_at_eof(Some(digest))
    }
}
