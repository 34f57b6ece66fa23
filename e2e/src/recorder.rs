//! A disk that records every change in order, for tests of power cuts.

use crate::fuse::{Change, FuseMount, NewEntry, Watcher};
use sshome_store_posix::{SyncfsPhase, observe_syncfs};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;
use tempfile::TempDir;

/// A file, directory or link of a recorded disk. Each has its own number, which is never used again.
pub type NodeId = usize;

/// The top of a recorded disk.
pub const TOP: NodeId = 0;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The directory.
    pub directory: NodeId,
    /// The name.
    pub name: OsString,
}

/// What a node is when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An empty file with this mode.
    File(u32),
    /// An empty directory with this mode.
    Directory(u32),
    /// A symbolic link with this target.
    Link(PathBuf),
}

/// An event on the disk, or a note of the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node was created.
    Create(Slot, NodeId, Kind),
    /// A hard link was created.
    Link(Slot, NodeId),
    /// The name of this node was removed.
    Remove(Slot, NodeId),
    /// A node was renamed, and may have replaced another.
    Rename {
        /// The node.
        node: NodeId,
        /// Its old name.
        from: Slot,
        /// Its new name.
        to: Slot,
        /// The previous holder of the new name.
        replaced: Option<NodeId>,
    },
    /// Bytes were written at an offset.
    Write(NodeId, u64, Arc<[u8]>),
    /// The length was set.
    SetLength(NodeId, u64),
    /// The mode was set.
    SetMode(NodeId, u32),
    /// The time of the last change was set.
    SetModified(NodeId, SystemTime),
    /// An extended attribute was set, or removed.
    SetXattr(NodeId, OsString, Option<Vec<u8>>),
    /// A file was synced.
    SyncFile(NodeId),
    /// A directory was synced.
    SyncDirectory(NodeId),
    /// A `syncfs` began. It covers all events before it.
    SyncfsBegins,
    /// It succeeded.
    SyncfsSucceeded,
    /// Not an event of the disk: an action of the test.
    Mark(Mark),
}

/// A note of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who acts.
    pub session: usize,
    /// Which of the session's operations.
    pub operation: usize,
    /// Whether it was reported as done. If not, the mark is its beginning.
    pub reported: bool,
}

/// A disk that records. It is unmounted when it is dropped.
pub struct Recorder {
    _mount: FuseMount,
    // After the mount, which shows it.
    _dir: TempDir,
    log: Arc<EventLog>,
}

/// The events, and the present state that they need.
#[derive(Debug, Default)]
struct EventLog(Mutex<LogState>);

#[derive(Debug, Default)]
struct LogState {
    events: Vec<Event>,
    /// The present nodes, by their inodes in the backing folder.
    nodes: HashMap<u64, NodeId>,
    names: HashMap<Slot, NodeId>,
    next: NodeId,
    /// Changes of nodes without a number. There must be none.
    missed: usize,
}

/// The recorders of this process, by the devices that they show.
static RECORDERS: Mutex<Vec<(u64, Weak<EventLog>)>> = Mutex::new(Vec::new());

impl Recorder {
    /// Mounts an empty disk on a folder. `None` if this machine cannot mount: then the skipped test is reported.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn mounted_on(test: &str, folder: &Path) -> Option<Recorder> {
        let dir = TempDir::with_prefix("sshome-recorder-").unwrap();
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let top = HashMap::from([(fs::metadata(&backing).unwrap().ino(), TOP)]);
        let log =
            Arc::new(EventLog(Mutex::new(LogState { nodes: top, next: TOP + 1, ..LogState::default() })));
        let mount =
            FuseMount::new(test, "recorder", &backing, folder.to_owned(), Arc::clone(&log) as Arc<_>)?;
        let device = fs::metadata(mount.path()).unwrap().dev();
        recorders().push((device, Arc::downgrade(&log)));
        observe_syncfs(record_syncfs);
        Some(Recorder { _mount: mount, _dir: dir, log })
    }

    /// Records an event that is not the disk's.
    pub fn record(&self, event: Event) {
        self.log.state().events.push(event);
    }

    /// The events so far.
    ///
    /// # Panics
    /// If a change was missed.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        let mut state = self.log.state();
        assert_eq!(state.missed, 0, "changes were not recorded");
        std::mem::take(&mut state.events)
    }
}

fn recorders() -> MutexGuard<'static, Vec<(u64, Weak<EventLog>)>> {
    RECORDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record_syncfs(device: u64, phase: SyncfsPhase) {
    let mut recorders = recorders();
    recorders.retain(|(_, log)| log.strong_count() > 0);
    let log = recorders.iter().find(|(other, _)| *other == device).and_then(|(_, log)| log.upgrade());
    if let Some(log) = log {
        log.state().events.push(match phase {
            SyncfsPhase::Begins => Event::SyncfsBegins,
            SyncfsPhase::Succeeded => Event::SyncfsSucceeded,
        });
    }
}

impl EventLog {
    fn state(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for EventLog {
    fn changed(&self, change: Change<'_>) {
        let mut state = self.state();
        match state.event(change) {
            Some(event) => state.events.push(event),
            None => state.missed += 1,
        }
    }
}

impl LogState {
    fn slot(&self, parent: u64, name: &OsStr) -> Option<Slot> {
        Some(Slot { directory: *self.nodes.get(&parent)?, name: name.to_owned() })
    }

    fn event(&mut self, change: Change<'_>) -> Option<Event> {
        let node = |inode: u64| self.nodes.get(&inode).copied();
        Some(match change {
            Change::Create { parent, name, inode, kind } => {
                let slot = self.slot(parent, name)?;
                let node = self.next;
                self.next += 1;
                self.nodes.insert(inode, node);
                self.names.insert(slot.clone(), node);
                let kind = match kind {
                    NewEntry::File(mode) => Kind::File(mode & 0o7777),
                    NewEntry::Directory(mode) => Kind::Directory(mode & 0o7777),
                    NewEntry::Link(target) => Kind::Link(target.to_owned()),
                };
                Event::Create(slot, node, kind)
            }
            Change::Link { inode, parent, name } => {
                let (slot, node) = (self.slot(parent, name)?, node(inode)?);
                self.names.insert(slot.clone(), node);
                Event::Link(slot, node)
            }
            Change::Remove { parent, name } => {
                let slot = self.slot(parent, name)?;
                let node = self.names.remove(&slot)?;
                Event::Remove(slot, node)
            }
            Change::Rename { parent, name, new_parent, new_name } => {
                let (from, to) = (self.slot(parent, name)?, self.slot(new_parent, new_name)?);
                let node = self.names.remove(&from)?;
                let replaced = self.names.insert(to.clone(), node);
                Event::Rename { node, from, to, replaced }
            }
            Change::Write { inode, offset, data } => Event::Write(node(inode)?, offset, data.into()),
            Change::SetLength { inode, length } => Event::SetLength(node(inode)?, length),
            Change::SetMode { inode, mode } => Event::SetMode(node(inode)?, mode),
            Change::SetModified { inode, time } => Event::SetModified(node(inode)?, time),
            Change::SetXattr { inode, name, value } => {
                Event::SetXattr(node(inode)?, name.to_owned(), value.map(<[u8]>::to_vec))
            }
            Change::SyncFile { inode } => Event::SyncFile(node(inode)?),
            Change::SyncDirectory { inode } => Event::SyncDirectory(node(inode)?),
        })
    }
}
