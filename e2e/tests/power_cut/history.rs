//! The operations of the sessions of a recording, and the state after a cut that users were promised.

use sshome_e2e::recorder::{Event, Mark};
use std::collections::BTreeMap;

/// An entry of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Absent,
    Directory,
    File(Content),
    /// A symbolic link with this target.
    Link(String),
    /// A file that is being written in place: any mixture.
    BeingWritten,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) digest: blake3::Hash,
    /// Mode and seconds of its mtime, if the put set them.
    pub(crate) attributes: Option<(u32, i64)>,
    /// Whether the server stores its digest.
    pub(crate) has_digest: bool,
}

/// The promise of a report, for a power cut after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nothing.
    Nothing,
    /// The operation's changes survive.
    Survives,
    /// So do all changes that the session made before.
    AllSurvive,
}

/// An operation of a session.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// For messages.
    pub(crate) what: String,
    /// Its changes, by path.
    pub(crate) changes: Vec<(String, Entry)>,
    pub(crate) promise: Promise,
    /// A file, link or directory that it moved: from, to.
    pub(crate) moved: Option<(String, String)>,
}

/// The operations of one session, in order. No other session changes its names.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
}

/// The entries that a user's names may have after a cut.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// For each name, its possible entries, the newest last.
    pub(crate) entries: BTreeMap<String, Vec<Entry>>,
    /// For each name, its operations, for messages.
    pub(crate) operations: BTreeMap<String, Vec<String>>,
    /// Files that were renamed.
    pub(crate) moves: Vec<Moved>,
}

/// A file, link or directory that has exactly one of several names.
#[derive(Debug)]
pub(crate) struct Moved {
    /// In the order in which it got them.
    pub(crate) names: Vec<String>,
    pub(crate) entry: Entry,
}

impl Expected {
    /// The entries that the sessions' names may have after a cut at the end of these events.
    pub(crate) fn after(events: &[Event], sessions: &[(usize, &History)]) -> Expected {
        let mut expected = Expected::default();
        for (number, history) in sessions {
            let marks = |reported: bool| {
                let of_session = |event: &&Event| {
                    matches!(event, Event::Mark(Mark { session, reported: is_reported, .. })
                        if session == number && *is_reported == reported)
                };
                events.iter().filter(of_session).count()
            };
            expected.add(&history.operations, marks(false), marks(true));
        }
        expected
    }

    fn add(&mut self, operations: &[Operation], begun: usize, reported: usize) {
        let begun = &operations[..begun];
        // The changes before it survive.
        let synced = begun[..reported].iter().rposition(|it| it.promise == Promise::AllSurvive);
        for (at, operation) in begun.iter().enumerate() {
            let is_promised = at < reported && operation.promise != Promise::Nothing;
            let survives = is_promised || synced.is_some_and(|synced| at < synced);
            self.moved(operation, survives);
            for (path, entry) in &operation.changes {
                let allowed = self.entries.entry(path.clone()).or_insert_with(|| vec![Entry::Absent]);
                if survives {
                    allowed.clear();
                }
                allowed.push(entry.clone());
                let state = if at < reported { "" } else { " (under way)" };
                let operations = self.operations.entry(path.clone()).or_default();
                operations.push(format!("{}{state}", operation.what));
            }
        }
    }

    /// Notes a file that an operation renames, before its changes are noted. Forgets moved files with a name that it
    /// changes.
    fn moved(&mut self, operation: &Operation, survives: bool) {
        let changed = |name: &String| operation.changes.iter().find(|(path, _)| path == name);
        let renamed = operation.moved.as_ref().and_then(|(from, to)| Some((from, to, &changed(to)?.1)));
        // A file that is renamed again has one of all its names.
        let earlier = renamed.and_then(|(from, _, entry)| {
            let is_it = |moved: &Moved| moved.entry == *entry && moved.names.last() == Some(from);
            self.moves.iter().position(is_it).map(|at| self.moves.swap_remove(at))
        });
        self.moves.retain(|moved| moved.names.iter().all(|name| changed(name).is_none()));
        let Some((from, to, entry)) = renamed.filter(|_| !survives) else { return };
        let may_have = |name: &String| self.entries.get(name).map_or(&[][..], Vec::as_slice);
        let is_certain = may_have(from) == [entry.clone()];
        // A file that is renamed over a copy of itself cannot be distinguished from it.
        let is_alone = !may_have(to).iter().any(|other| other.has_content_of(entry));
        let Some(mut moved) =
            earlier.or_else(|| is_certain.then(|| Moved { names: vec![from.clone()], entry: entry.clone() }))
        else {
            return;
        };
        if is_alone && !moved.names.contains(to) {
            moved.names.push(to.clone());
            self.moves.push(moved);
        }
    }
}

impl Entry {
    fn has_content_of(&self, other: &Entry) -> bool {
        match (self, other) {
            (Entry::File(file), Entry::File(other)) => file.digest == other.digest,
            (Entry::Directory | Entry::Link(_), other) => self == other,
            _ => false,
        }
    }
}
