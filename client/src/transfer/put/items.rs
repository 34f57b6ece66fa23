//! The items that one connection takes, until each is settled: what a loss leaves undone is done again.

use super::walk::{Item, Walk};
use crate::transfer::pool::{Share, Taken};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Items with their numbers, in the order in which the server is to have them.
pub(super) struct Items {
    share: Arc<Share<Walk>>,
    next: u64,
    unsettled: Unsettled,
}

/// Items that were taken and of which nobody knows yet what became. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Unsettled(Arc<Mutex<BTreeMap<u64, Item>>>);

impl Items {
    pub(super) fn new(share: Arc<Share<Walk>>) -> Items {
        Items { share, next: 0, unsettled: Unsettled::default() }
    }

    /// The items that were taken.
    pub(super) fn unsettled(&self) -> Unsettled {
        self.unsettled.clone()
    }
}

impl Iterator for Items {
    type Item = (u64, Taken<Item>);

    fn next(&mut self) -> Option<(u64, Taken<Item>)> {
        let taken = self.share.take()?;
        let number = self.next;
        self.next += 1;
        self.unsettled.items().insert(number, taken.thing.clone());
        Some((number, taken))
    }
}

impl Unsettled {
    /// An item is done with: stored, refused, or not even sent.
    pub(super) fn settle(&self, number: u64) {
        self.items().remove(&number);
    }

    /// Those that are not, in their order.
    pub(super) fn take(&self) -> impl Iterator<Item = Item> + use<> {
        std::mem::take(&mut *self.items()).into_values()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<u64, Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::pool::Pool;
    use sshome_wire::RemotePath;

    #[test]
    fn what_is_not_settled_can_be_done_again() {
        let sources =
            (0..5).map(|number| (format!("/missing/{number}").into(), RemotePath::root())).collect();
        let pool = Arc::new(Pool::new(Walk::new(sources, crate::transfer::Options::default())));
        let share = Arc::new(Share::new(&pool));
        let shown = |item: Item| match item {
            Item::Failed(failure) => failure.what.rsplit('/').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        let mut items = Items::new(Arc::clone(&share));
        let numbers: Vec<u64> = items.by_ref().take(3).map(|(number, _)| number).collect();
        let unsettled = items.unsettled();
        unsettled.settle(numbers[1]);
        share.keep(unsettled.take());
        let rest: Vec<String> = Items::new(share).map(|(_, taken)| shown(taken.thing)).collect();
        assert_eq!(rest, ["0", "2", "3", "4"]);
        assert_eq!(unsettled.take().count(), 0);
    }
}
