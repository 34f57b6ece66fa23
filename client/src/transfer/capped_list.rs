//! A list with a cap: the first items, and the count of all.

use std::ops::Deref;

/// Cap on stored items: a few megabytes.
const MAX_ITEMS: usize = 10_000;

/// The first items, usable as a slice, and the number of further ones. Memory does not grow with the transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CappedList<T> {
    first: Vec<T>,
    more: u64,
}

impl<T> Default for CappedList<T> {
    fn default() -> CappedList<T> {
        CappedList { first: Vec::new(), more: 0 }
    }
}

impl<T> CappedList<T> {
    /// Number of items beyond the cap.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Number of all items.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.first.len() as u64 + self.more
    }

    pub(super) fn push(&mut self, one: T) {
        if self.first.len() < MAX_ITEMS {
            self.first.push(one);
        } else {
            self.more += 1;
        }
    }

    /// Adds the items of another part of the transfer.
    pub(super) fn add(&mut self, other: CappedList<T>) {
        self.extend(other.first);
        self.more += other.more;
    }
}

impl<T> Extend<T> for CappedList<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.push(one));
    }
}

impl<T> FromIterator<T> for CappedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> CappedList<T> {
        let mut exceptions = CappedList::default();
        exceptions.extend(all);
        exceptions
    }
}

impl<T> Deref for CappedList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_all_are_counted() {
        let (mut one, mut other) = (CappedList::default(), CappedList::default());
        one.extend(0..MAX_ITEMS + 5);
        other.extend(0..3);
        other.add(one);
        assert_eq!((other.len(), other.more(), other.count()), (MAX_ITEMS, 8, MAX_ITEMS as u64 + 8));
        assert_eq!(other[..5], [0, 1, 2, 0, 1]);
    }
}
