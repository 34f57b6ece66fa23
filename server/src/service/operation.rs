//! Long operations. All protocols run them in the same way, and encode their results.

use super::{ChangeKind, Result, User};

/// The data that one step processes, in bytes.
pub(crate) const STEP_BYTES: u64 = 32 << 20;

/// The entries that one step processes.
pub(crate) const STEP_ENTRIES: usize = 1000;

/// An operation that works in steps. Dropping it between two steps cancels it.
pub(crate) trait LongOperation: Send {
    /// Its result.
    type Output;

    /// Does one step. Returns the result at the end.
    ///
    /// # Errors
    /// Those of the operation, which is over then. But after an error with a [`wait`](super::Error::wait) another session is
    /// in the way: do the step again after that.
    fn advance(&mut self, user: &User) -> Result<Option<Self::Output>>;

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
impl<T, F: FnMut(&User) -> Result<Option<T>> + Send> LongOperation for F {
    type Output = T;

    fn advance(&mut self, user: &User) -> Result<Option<T>> {
        self(user)
    }
}
