//! Removing: `rm`.

use super::{
    ChangeKind, Error, LongOperation, OperationResult, Result, STEP_ENTRIES, StepLimit, User, restricted,
};
use sshome_store::{OnRemoved, StoreError, StoreResult, TreeRemoval};
use sshome_wire::RemotePath;

/// Removes a file or a link.
///
/// # Errors
/// If it is a directory, or does not exist.
pub fn remove(user: &User, path: &RemotePath) -> Result<()> {
    user.require_add()?;
    if user.is_restricted() {
        return restricted::remove(user, path);
    }
    let path = user.recorded(user.home.remove_file(path))?;
    user.audit.removed(&path);
    Ok(())
}

/// The removal of a whole tree, in steps. Links in it are removed, not followed.
#[derive(Debug)]
pub struct RecursiveRemoval {
    removal: Box<dyn TreeRemoval>,
    removed: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl RecursiveRemoval {
    /// Begins. Anything but a directory is removed immediately.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn begin(user: &User, path: &RemotePath) -> Result<RecursiveRemoval> {
        user.require_add()?;
        let removal: Box<dyn TreeRemoval> = match user.is_restricted() {
            true => {
                restricted::remove(user, path)?;
                Box::new(Removed)
            }
            false => {
                let mut on_removed = |path: &RemotePath, directory| log(user, path, directory);
                user.recorded(user.home.remove_tree(path, &mut on_removed))?
            }
        };
        Ok(RecursiveRemoval { removal, removed: 0, failed: 0, first_failure: None })
    }

    /// Executes one step. Returns whether it is done.
    ///
    /// # Errors
    /// At the end, if an entry could not be removed. All others are removed by then.
    pub fn step(&mut self, user: &User, limit: StepLimit) -> Result<bool> {
        let RecursiveRemoval { removal, removed, failed, first_failure } = self;
        let mut on_removed = |path: &RemotePath, directory: bool| {
            *removed += 1;
            log(user, path, directory);
        };
        let mut on_failure = |error| {
            *failed += 1;
            let error = Error::from(error);
            first_failure.get_or_insert_with(|| error.reason());
        };
        let done = removal.step(limit, &mut on_removed, &mut on_failure)?;
        match first_failure.take_if(|_| done) {
            Some(first) => Err(Error::Partly { count: *failed, first }),
            None => Ok(done),
        }
    }
}

impl LongOperation for RecursiveRemoval {
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>> {
        Ok(self.step(user, StepLimit::entries(STEP_ENTRIES))?.then_some(OperationResult::Done))
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.removed, None)
    }

    fn change(&self) -> Option<ChangeKind> {
        Some(ChangeKind::Removes)
    }
}

/// The removal of a single file, which is done.
#[derive(Debug)]
struct Removed;

impl TreeRemoval for Removed {
    fn step(
        &mut self,
        _: StepLimit,
        _: &mut OnRemoved<'_>,
        _: &mut dyn FnMut(StoreError),
    ) -> StoreResult<bool> {
        Ok(true)
    }
}

fn log(user: &User, path: &RemotePath, directory: bool) {
    match directory {
        true => user.audit.directory_removed(path),
        false => user.audit.removed(path),
    }
}
