//! The items that one connection has taken. Those that are unsettled when the connection is lost are processed again.

use super::walk::{UploadItem, UploadWalk};
use crate::transfer::delta::OldVersion;
use crate::transfer::pool::{WorkItem, WorkShare};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Items with their numbers, in the order of sending.
pub(super) struct UploadItems {
    share: Arc<WorkShare<UploadWalk>>,
    next: u64,
    unsettled: UnsettledItems,
}

/// Items that were taken and whose result is not known yet. Clones share them.
#[derive(Clone, Default)]
pub(super) struct UnsettledItems(Arc<Mutex<BTreeMap<u64, UploadItem>>>);

impl UploadItems {
    pub(super) fn new(share: Arc<WorkShare<UploadWalk>>) -> UploadItems {
        UploadItems { share, next: 0, unsettled: UnsettledItems::default() }
    }

    /// The items that were taken.
    pub(super) fn unsettled(&self) -> UnsettledItems {
        self.unsettled.clone()
    }
}

impl Iterator for UploadItems {
    type Item = (u64, WorkItem<UploadItem>);

    fn next(&mut self) -> Option<(u64, WorkItem<UploadItem>)> {
        let taken = self.share.take()?;
        let number = self.next;
        self.next += 1;
        self.unsettled.items().insert(number, taken.thing.clone());
        Some((number, taken))
    }
}

impl UnsettledItems {
    /// Removes an item with a result: stored, refused, or not sent.
    pub(super) fn settle(&self, number: u64) {
        self.items().remove(&number);
    }

    /// Notes that a file has to be sent as a whole when it is sent again: not as a difference, and not by a copy on the server.
    pub(super) fn as_a_whole(&self, number: u64) {
        if let Some(UploadItem::File { old, .. }) = self.items().get_mut(&number) {
            *old = OldVersion::Unusable;
        }
    }

    /// Takes the unsettled items, in their order.
    pub(super) fn take(&self) -> impl Iterator<Item = UploadItem> + use<> {
        std::mem::take(&mut *self.items()).into_values()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<u64, UploadItem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::pool::WorkPool;
    use sshome_wire::RemotePath;

    #[test]
    fn unsettled_items_can_be_repeated() {
        let sources =
            (0..5).map(|number| (format!("/missing/{number}").into(), RemotePath::root())).collect();
        let pool =
            Arc::new(WorkPool::new(UploadWalk::new(sources, crate::transfer::TransferOptions::default())));
        let share = Arc::new(WorkShare::new(&pool));
        let shown = |item: UploadItem| match item {
            UploadItem::Failed(failure) => failure.what.rsplit('/').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        let mut items = UploadItems::new(Arc::clone(&share));
        let numbers: Vec<u64> = items.by_ref().take(3).map(|(number, _)| number).collect();
        let unsettled = items.unsettled();
        unsettled.settle(numbers[1]);
        share.keep(unsettled.take());
        let rest: Vec<String> = UploadItems::new(share).map(|(_, taken)| shown(taken.thing)).collect();
        assert_eq!(rest, ["0", "2", "3", "4"]);
        assert_eq!(unsettled.take().count(), 0);
    }
}
