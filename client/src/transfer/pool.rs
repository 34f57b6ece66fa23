//! The work pool: items that the connections of a transfer still have to process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Items that are handed out one by one and may be returned.
pub(super) struct WorkPool<I: Iterator>(Mutex<Remaining<I>>);

struct Remaining<I: Iterator> {
    /// Returned items, which are handed out before the rest.
    again: VecDeque<I::Item>,
    /// The first item of the rest, if it was looked at.
    next: Option<I::Item>,
    /// It may yield more items after `None`.
    rest: I,
}

/// One connection's access to the pool. Dropping it returns its unfinished items to the pool.
pub(super) struct WorkShare<I: Iterator> {
    pool: Arc<WorkPool<I>>,
    again: Mutex<VecDeque<I::Item>>,
}

/// An item, and whether it is a retry.
pub(super) struct WorkItem<T> {
    pub(super) thing: T,
    pub(super) again: bool,
}

impl<I: Iterator> WorkPool<I> {
    pub(super) fn new(things: I) -> WorkPool<I> {
        WorkPool(Mutex::new(Remaining { again: VecDeque::new(), next: None, rest: things }))
    }

    /// Whether no items are left, apart from those that connections have taken.
    pub(super) fn is_empty(&self) -> bool {
        let mut left = lock(&self.0);
        if left.next.is_none() {
            left.next = left.rest.next();
        }
        left.again.is_empty() && left.next.is_none()
    }

    fn take(&self) -> Option<WorkItem<I::Item>> {
        let mut left = lock(&self.0);
        match left.again.pop_front() {
            Some(thing) => Some(WorkItem { thing, again: true }),
            None => {
                let thing = left.next.take().or_else(|| left.rest.next());
                thing.map(|thing| WorkItem { thing, again: false })
            }
        }
    }
}

impl<I: Iterator> WorkShare<I> {
    pub(super) fn new(pool: &Arc<WorkPool<I>>) -> WorkShare<I> {
        WorkShare { pool: Arc::clone(pool), again: Mutex::default() }
    }

    /// The next item.
    pub(super) fn take(&self) -> Option<WorkItem<I::Item>> {
        let own = lock(&self.again).pop_front();
        own.map(|thing| WorkItem { thing, again: true }).or_else(|| self.pool.take())
    }

    /// Keeps items that were taken and not finished, in their order. They are taken before all others.
    pub(super) fn keep(&self, things: impl IntoIterator<Item = I::Item>) {
        put_before(&mut lock(&self.again), things);
    }
}

impl<I: Iterator> Drop for WorkShare<I> {
    fn drop(&mut self) {
        put_before(&mut lock(&self.pool.0).again, std::mem::take(&mut *lock(&self.again)));
    }
}

fn put_before<T>(queue: &mut VecDeque<T>, things: impl IntoIterator<Item = T>) {
    let mut first: VecDeque<T> = things.into_iter().collect();
    first.append(queue);
    *queue = first;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(share: &WorkShare<std::ops::Range<i32>>) -> Vec<(i32, bool)> {
        std::iter::from_fn(|| share.take()).map(|taken| (taken.thing, taken.again)).collect()
    }

    #[test]
    fn returned_items_are_taken_again_first() {
        let share = WorkShare::new(&Arc::new(WorkPool::new(0..5)));
        for _ in 0..3 {
            share.take();
        }
        share.keep([0, 2]);
        assert!(share.take().is_some_and(|taken| taken.again && taken.thing == 0));
        // Lost once more, before the rest of the first loss was done.
        share.keep([0]);
        assert_eq!(numbers(&share), [(0, true), (2, true), (3, false), (4, false)]);
    }

    #[test]
    fn items_may_be_added_after_the_pool_was_empty() {
        let (add, added) = std::sync::mpsc::channel();
        let more = std::iter::from_fn(move || added.try_recv().ok());
        let pool = Arc::new(WorkPool::new(more));
        let share = WorkShare::new(&pool);
        assert!(pool.is_empty() && share.take().is_none() && pool.is_empty());
        add.send(7).unwrap();
        assert!(!pool.is_empty() && share.take().is_some_and(|taken| taken.thing == 7) && pool.is_empty());
    }

    #[test]
    fn unfinished_items_of_a_connection_go_to_the_others() {
        let pool = Arc::new(WorkPool::new(0..3));
        let (one, other) = (WorkShare::new(&pool), WorkShare::new(&pool));
        one.take();
        one.keep([0]);
        assert_eq!(numbers(&other), [(1, false), (2, false)]);
        assert!(pool.is_empty());
        drop(one);
        assert!(!pool.is_empty());
        assert_eq!(numbers(&other), [(0, true)]);
    }
}
