//! The items of a put until each is settled: what a lost connection leaves undone is done again.

use super::walk::{Item, Walk};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Items with their numbers, in the order in which the server is to have them.
pub(super) struct Work {
    walk: Walk,
    /// What goes before the rest of the walk, for the second time.
    again: VecDeque<Item>,
    next: u64,
    unsettled: Unsettled,
}

/// Items that were handed out and of which nobody knows yet what became. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Unsettled(Arc<Mutex<BTreeMap<u64, Item>>>);

impl Work {
    pub(super) fn new(walk: Walk) -> Work {
        Work { walk, again: VecDeque::new(), next: 0, unsettled: Unsettled::default() }
    }

    /// The items that were handed out.
    pub(super) fn unsettled(&self) -> Unsettled {
        self.unsettled.clone()
    }

    /// Puts what is not settled before what was not yet handed out.
    pub(super) fn begin_again(&mut self) {
        let mut again: VecDeque<Item> = std::mem::take(&mut *self.unsettled.items()).into_values().collect();
        again.append(&mut self.again);
        self.again = again;
    }
}

impl Iterator for Work {
    type Item = (u64, Item);

    fn next(&mut self) -> Option<(u64, Item)> {
        let item = self.again.pop_front().or_else(|| self.walk.next())?;
        let number = self.next;
        self.next += 1;
        self.unsettled.items().insert(number, item.clone());
        Some((number, item))
    }
}

impl Unsettled {
    /// An item is done with: stored, refused, or not even sent.
    pub(super) fn settle(&self, number: u64) {
        self.items().remove(&number);
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<u64, Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::RemotePath;

    #[test]
    fn what_is_not_settled_comes_again_and_first() {
        let sources =
            (0..5).map(|number| (format!("/missing/{number}").into(), RemotePath::root())).collect();
        let mut work = Work::new(Walk::new(sources, crate::transfer::Options::default()));
        let unsettled = work.unsettled();
        let shown = |item: Option<(u64, Item)>| match item.unwrap().1 {
            Item::Failed(failure) => failure.what.rsplit('/').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        let numbers: Vec<u64> = work.by_ref().take(3).map(|(number, _)| number).collect();
        unsettled.settle(numbers[1]);
        work.begin_again();
        assert_eq!(shown(work.next()), "0");
        // Lost once more, before the rest of the first loss was done.
        work.begin_again();
        let rest: Vec<String> = std::iter::from_fn(|| work.next()).map(|item| shown(Some(item))).collect();
        assert_eq!(rest, ["0", "2", "3", "4"]);
    }
}
