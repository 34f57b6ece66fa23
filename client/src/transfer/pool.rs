//! What is still to be done, for all connections of a transfer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things that are handed out one by one, and that may be given back.
pub(super) struct Pool<I: Iterator>(Mutex<Left<I>>);

struct Left<I: Iterator> {
    /// What was given back; it goes before the rest.
    again: VecDeque<I::Item>,
    rest: std::iter::Peekable<I>,
}

/// Something to do, and whether a connection was lost over it before.
pub(super) struct Taken<T> {
    pub(super) thing: T,
    pub(super) again: bool,
}

impl<I: Iterator> Pool<I> {
    pub(super) fn new(things: I) -> Pool<I> {
        Pool(Mutex::new(Left { again: VecDeque::new(), rest: things.peekable() }))
    }

    /// The next thing to do.
    pub(super) fn take(&self) -> Option<Taken<I::Item>> {
        let mut left = self.left();
        match left.again.pop_front() {
            Some(thing) => Some(Taken { thing, again: true }),
            None => left.rest.next().map(|thing| Taken { thing, again: false }),
        }
    }

    /// Puts back what was taken and not done, in its order, before everything else.
    pub(super) fn give_back(&self, things: impl IntoIterator<Item = I::Item>) {
        let mut left = self.left();
        let mut again: VecDeque<I::Item> = things.into_iter().collect();
        again.append(&mut left.again);
        left.again = again;
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        let mut left = self.left();
        left.again.is_empty() && left.rest.peek().is_none()
    }

    fn left(&self) -> MutexGuard<'_, Left<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_comes_again_and_first() {
        let pool = Pool::new(0..5);
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).take(3).map(|taken| taken.thing).collect();
        pool.give_back([taken[0], taken[2]]);
        assert!(pool.take().is_some_and(|taken| taken.again && taken.thing == 0));
        // Lost once more, before the rest of the first loss was done.
        pool.give_back([0]);
        let rest: Vec<_> =
            std::iter::from_fn(|| pool.take()).map(|taken| (taken.thing, taken.again)).collect();
        assert_eq!(rest, [(0, true), (2, true), (3, false), (4, false)]);
        assert!(pool.is_empty());
        pool.give_back([7]);
        assert!(!pool.is_empty());
    }
}
