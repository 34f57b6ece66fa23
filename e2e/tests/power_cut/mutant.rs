//! Faults that the test must find: a recording is changed to that of a server with the fault.

use crate::disk_model::DiskModel;
use sshome_e2e::recorder::{Event, NodeId};
use std::collections::HashSet;

/// The offset of the format's version in the record of a partial upload.
const VERSION_AT: usize = 7;

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
    /// The record beside a partial upload cannot be read after the cut.
    UnreadableRecord,
    /// A renamed file loses its old name first.
    RenameInTwoSteps,
}

impl Mutant {
    pub(crate) const ALL: [Mutant; 6] = [
        Mutant::NoSyncOfData,
        Mutant::NoSyncOfDirectories,
        Mutant::RenameBeforeSync,
        Mutant::SyncfsElsewhere,
        Mutant::UnreadableRecord,
        Mutant::RenameInTwoSteps,
    ];

    /// The models on which it matters often enough to be found by a few hundred cuts.
    pub(crate) fn models(self) -> &'static [DiskModel] {
        match self {
            // Both steps are in the journal, one after the other.
            Mutant::RenameInTwoSteps => &[DiskModel::Posix],
            _ => &[DiskModel::Journal, DiskModel::Posix],
        }
    }

    /// The events of a server with this fault.
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
            Mutant::UnreadableRecord => unreadable_records(events),
            Mutant::RenameInTwoSteps => events.iter().flat_map(in_two_steps).collect(),
        }
    }
}

/// Changes each record to a later version.
fn unreadable_records(events: &[Event]) -> Vec<Event> {
    let is_record = |event: &Event| match event {
        Event::Create(slot, node, _) if slot.name.to_string_lossy().ends_with(".part") => Some(*node),
        _ => None,
    };
    let records: HashSet<NodeId> = events.iter().filter_map(is_record).collect();
    let changed = |event: &Event| match event {
        Event::Write(node, 0, data) if records.contains(node) => {
            let mut data = data.to_vec();
            data[VERSION_AT] = u8::MAX;
            Event::Write(*node, 0, data.into())
        }
        event => event.clone(),
    };
    events.iter().map(changed).collect()
}

fn in_two_steps(event: &Event) -> Vec<Event> {
    match event {
        Event::Rename { node, from, to, .. } => {
            vec![Event::Remove(from.clone(), *node), Event::Link(to.clone(), *node)]
        }
        event => vec![event.clone()],
    }
}

/// Moves the syncs of each file that is renamed behind its renaming.
fn sync_after_rename(events: &[Event]) -> Vec<Event> {
    let mut waiting: HashSet<NodeId> = HashSet::new();
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

fn is_renamed(events: &[Event], of: NodeId) -> bool {
    events.iter().any(|event| matches!(event, Event::Rename { node, .. } if *node == of))
}
