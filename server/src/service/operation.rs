//! Long operations. All protocols run them in the same way, and encode their results.

use super::{ChangeKind, Result, User};
use sshome_store::CheckedPartial;
use sshome_wire::Hashed;

/// The data that one step processes, in bytes.
pub(crate) const STEP_BYTES: u64 = 32 << 20;

/// The entries that one step processes.
pub(crate) const STEP_ENTRIES: usize = 1000;

/// The result of a long operation.
pub(crate) enum OperationResult {
    /// It is done: there is nothing to say about it.
    Done,
    /// The digest of a file.
    Hashed(Hashed),
    /// The digests of a range, concatenated.
    Digests(Vec<u8>),
    /// The partial upload, if there is one.
    Partial(Option<Box<CheckedPartial>>),
}

/// An operation that works in steps. Dropping it between two steps cancels it.
pub(crate) trait LongOperation: Send {
    /// Does one step. Returns the result at the end.
    ///
    /// # Errors
    /// Those of the operation, which is over then. But after an error with a [`wait`](super::Error::wait) another session is
    /// in the way: do the step again after that.
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>>;

    /// How much is done, in bytes or entries, and how much there is in total if that is known.
    fn progress(&self) -> (u64, Option<u64>) {
        (0, None)
    }

    /// What its steps change that waits while the home is being counted.
    fn change(&self) -> Option<ChangeKind> {
        None
    }
}

/// A function that does one step is an operation without progress.
impl<F: FnMut(&User) -> Result<Option<OperationResult>> + Send> LongOperation for F {
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>> {
        self(user)
    }
}
