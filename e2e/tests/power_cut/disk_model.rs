//! Two models of a disk after a power cut. They determine which changes of names and attributes survive;
//! [`content`](crate::content) determines the content of files.

use crate::synced::Synced;
use rand::RngExt;
use rand::rngs::StdRng;
use sshome_e2e::recorder::{Event, NodeId, Slot};
use std::collections::HashMap;

/// A kind of filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskModel {
    /// As ext4 and xfs: changes of names and attributes are in one journal. A prefix of them survives, which includes
    /// all changes before the last sync of anything.
    Journal,
    /// The weakest that POSIX allows: a change is certain to survive only if its own directory or file was synced. Any
    /// of the others may survive, those of one name in order. A rename is atomic: it survives with both names or with
    /// neither, and a sync of either directory covers it.
    Posix,
}

/// The tendency of a disk with changes that were not synced.
#[derive(Clone, Copy, Debug)]
enum Tendency {
    Loses,
    Keeps,
    Mixes,
}

impl DiskModel {
    /// Whether each event survives the cut after the last one. `true` for events of other kinds than names and
    /// attributes.
    pub(crate) fn survivors(self, events: &[Event], synced: &Synced, random: &mut StdRng) -> Vec<bool> {
        let tendency = match random.random_range(0..3) {
            0 => Tendency::Loses,
            1 => Tendency::Keeps,
            _ => Tendency::Mixes,
        };
        match self {
            DiskModel::Journal => {
                let end = match tendency {
                    Tendency::Loses => synced.last(),
                    Tendency::Keeps => events.len(),
                    Tendency::Mixes => random.random_range(synced.last()..=events.len()),
                };
                (0..events.len()).map(|at| at < end).collect()
            }
            DiskModel::Posix => {
                let survives = |(at, event): (usize, &Event)| {
                    nodes(event).iter().any(|node| at < synced.of_node(*node))
                        || match tendency {
                            Tendency::Loses => false,
                            Tendency::Keeps => true,
                            Tendency::Mixes => random.random_bool(0.5),
                        }
                };
                let mut survives = events.iter().enumerate().map(survives).collect::<Vec<_>>();
                keep_causes(events, &mut survives);
                survives
            }
        }
    }
}

/// The nodes whose sync covers the event.
fn nodes(event: &Event) -> Vec<NodeId> {
    match event {
        Event::Create(slot, ..) | Event::Link(slot, _) | Event::Remove(slot, _) => vec![slot.directory],
        Event::Rename { from, to, .. } => vec![from.directory, to.directory],
        Event::SetMode(node, _) | Event::SetModified(node, _) | Event::SetXattr(node, ..) => vec![*node],
        _ => Vec::new(),
    }
}

/// The names that the event changes.
fn slots(event: &Event) -> Vec<&Slot> {
    match event {
        Event::Create(slot, ..) | Event::Link(slot, _) | Event::Remove(slot, _) => vec![slot],
        Event::Rename { from, to, .. } => vec![from, to],
        _ => Vec::new(),
    }
}

/// The name that the event empties, and the node that it removes.
fn emptied(event: &Event) -> (Option<&Slot>, Option<NodeId>) {
    match event {
        Event::Remove(slot, node) => (Some(slot), Some(*node)),
        Event::Rename { from, replaced, .. } => (Some(from), *replaced),
        _ => (None, None),
    }
}

/// An event survives only with its causes: the earlier changes of the same names; for a removed directory, the removal
/// of its entries; and for a new name of a file, its earlier name.
fn keep_causes(events: &[Event], survives: &mut [bool]) {
    let mut last_of: HashMap<&Slot, usize> = HashMap::new();
    let mut emptied_in: HashMap<NodeId, Vec<usize>> = HashMap::new();
    let mut named_at: HashMap<NodeId, usize> = HashMap::new();
    let mut causes: Vec<Vec<usize>> = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        let mut of_event: Vec<_> =
            slots(event).into_iter().filter_map(|slot| last_of.insert(slot, at)).collect();
        let (slot, removed) = emptied(event);
        if let Event::Create(_, node, _) | Event::Link(_, node) | Event::Rename { node, .. } = event {
            let named = named_at.insert(*node, at);
            of_event.extend(named.filter(|_| matches!(event, Event::Link(..))));
        }
        of_event.extend(removed.and_then(|node| emptied_in.get(&node)).into_iter().flatten());
        if let Some(slot) = slot {
            emptied_in.entry(slot.directory).or_default().push(at);
        }
        causes.push(of_event);
    }
    for (at, causes) in causes.into_iter().enumerate().rev() {
        if survives[at] {
            causes.into_iter().for_each(|cause| survives[cause] = true);
        }
    }
}
