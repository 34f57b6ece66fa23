//! A home that is being counted.

use crate::Wait;

/// A home is being counted. Nothing is stored in it until the count has ended.
#[derive(Clone, Debug)]
pub struct Counting {
    /// Entries that were counted so far.
    pub entries: u64,
    /// Whether removals wait as well: the home was changed so often that the count could not be completed.
    pub removals_wait: bool,
    /// The end of the count.
    pub end: Wait,
}
