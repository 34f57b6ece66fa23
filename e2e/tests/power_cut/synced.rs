//! Which events the syncs of a recording have put on the disk.

use sshome_e2e::recorder::{Event, NodeId};
use std::collections::HashMap;

/// The events that are certainly on the disk. Each number is of an event: all events before it are covered.
#[derive(Debug, Default)]
pub(crate) struct Synced {
    nodes: HashMap<NodeId, usize>,
    all: usize,
    last: usize,
}

impl Synced {
    /// Of a recording that ends with a power cut.
    pub(crate) fn of(events: &[Event]) -> Synced {
        let mut synced = Synced::default();
        let mut began = None;
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::SyncFile(node) | Event::SyncDirectory(node) => {
                    synced.nodes.insert(*node, at);
                    synced.last = at;
                }
                // One runs at a time.
                Event::SyncfsBegins => began = Some(at),
                Event::SyncfsSucceeded => {
                    synced.all = began.take().unwrap_or(synced.all);
                    synced.last = synced.last.max(synced.all);
                }
                _ => {}
            }
        }
        synced
    }

    /// The changes of a node: a file's content and attributes, a directory's names.
    pub(crate) fn of_node(&self, node: NodeId) -> usize {
        self.all.max(self.nodes.get(&node).copied().unwrap_or(0))
    }

    /// Where the last sync of anything began.
    pub(crate) fn last(&self) -> usize {
        self.last
    }
}
