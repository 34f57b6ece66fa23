//! Faults that the test must find: a recording is changed to that of a server with the fault.

use sshome_e2e::recorder::{Event, Node};
use std::collections::HashSet;

/// A fault of the server's order of syncs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mutant {
    /// Files are not synced.
    NoSyncOfData,
    /// Directories are not synced.
    NoSyncOfDirectories,
    /// A staged file is renamed to its target before it is synced.
    RenameBeforeSync,
    /// `syncfs` is called on another filesystem.
    SyncfsElsewhere,
}

impl Mutant {
    pub(crate) const ALL: [Mutant; 4] = [
        Mutant::NoSyncOfData,
        Mutant::NoSyncOfDirectories,
        Mutant::RenameBeforeSync,
        Mutant::SyncfsElsewhere,
    ];

    /// What a server with this fault would have done.
    pub(crate) fn of(self, events: &[Event]) -> Vec<Event> {
        let without = |unwanted: fn(&Event) -> bool| {
            events.iter().filter(|event| !unwanted(event)).cloned().collect::<Vec<_>>()
        };
        match self {
            Mutant::NoSyncOfData => without(|event| matches!(event, Event::SyncFile(_))),
            Mutant::NoSyncOfDirectories => without(|event| matches!(event, Event::SyncDirectory(_))),
            Mutant::SyncfsElsewhere => {
                without(|event| matches!(event, Event::SyncfsBegins | Event::SyncfsSucceeded))
            }
            Mutant::RenameBeforeSync => sync_after_rename(events),
        }
    }
}

/// Moves the syncs of each file that is renamed behind its renaming.
fn sync_after_rename(events: &[Event]) -> Vec<Event> {
    let mut waiting: HashSet<Node> = HashSet::new();
    let mut changed = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::SyncFile(node) if is_renamed(&events[at..], *node) => {
                waiting.insert(*node);
            }
            Event::Rename { node, .. } if waiting.remove(node) => {
                changed.extend([event.clone(), Event::SyncFile(*node)]);
            }
            event => changed.push(event.clone()),
        }
    }
    changed
}

fn is_renamed(events: &[Event], of: Node) -> bool {
    events.iter().any(|event| matches!(event, Event::Rename { node, .. } if *node == of))
}
