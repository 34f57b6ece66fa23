//! Writes the state of a disk after a power cut into a folder.

use crate::content::content;
use crate::disk_model::DiskModel;
use crate::synced::Synced;
use rand::rngs::StdRng;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use sshome_e2e::recorder::{Event, Kind, NodeId, TOP};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The state that survives a cut after the last of these events.
pub(crate) struct Replay<'a> {
    events: &'a [Event],
    synced: Synced,
    names: HashMap<NodeId, BTreeMap<OsString, NodeId>>,
    attributes: HashMap<NodeId, Attributes>,
    /// The changes of each file's content, which survive as [`content`] says.
    changes: HashMap<NodeId, Vec<usize>>,
}

#[derive(Debug, Default)]
struct Attributes {
    kind: Option<Kind>,
    mode: Option<u32>,
    modified: Option<SystemTime>,
    xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl<'a> Replay<'a> {
    /// A disk of this model.
    pub(crate) fn new(model: DiskModel, events: &'a [Event], random: &mut StdRng) -> Replay<'a> {
        let synced = Synced::of(events);
        let survives = model.survivors(events, &synced, random);
        let (names, attributes, changes) = Default::default();
        let mut replay = Replay { events, synced, names, attributes, changes };
        for (at, event) in events.iter().enumerate() {
            if let Event::Write(node, ..) | Event::SetLength(node, _) = event {
                replay.changes.entry(*node).or_default().push(at);
            } else if survives[at] {
                replay.apply(event);
            }
        }
        replay
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(slot, node, kind) => {
                self.attributes.entry(*node).or_default().kind = Some(kind.clone());
                self.names.entry(slot.directory).or_default().insert(slot.name.clone(), *node);
            }
            Event::Link(slot, node) => {
                self.names.entry(slot.directory).or_default().insert(slot.name.clone(), *node);
            }
            Event::Remove(slot, _) => {
                self.names.entry(slot.directory).or_default().remove(&slot.name);
            }
            Event::Rename { node, from, to, .. } => {
                self.names.entry(from.directory).or_default().remove(&from.name);
                self.names.entry(to.directory).or_default().insert(to.name.clone(), *node);
            }
            Event::SetMode(node, mode) => self.attributes.entry(*node).or_default().mode = Some(*mode),
            Event::SetModified(node, time) => {
                self.attributes.entry(*node).or_default().modified = Some(*time);
            }
            Event::SetXattr(node, name, value) => {
                let xattrs = &mut self.attributes.entry(*node).or_default().xattrs;
                match value {
                    Some(value) => xattrs.insert(name.clone(), value.clone()),
                    None => xattrs.remove(name),
                };
            }
            _ => {}
        }
    }

    /// Writes all of it into an empty folder.
    pub(crate) fn write(&self, folder: &Path, random: &mut StdRng) {
        let mut written = HashMap::new();
        self.write_directory(TOP, folder, &mut written, random);
    }

    fn write_directory(
        &self,
        node: NodeId,
        folder: &Path,
        written: &mut HashMap<NodeId, PathBuf>,
        random: &mut StdRng,
    ) {
        for (name, node) in self.names.get(&node).into_iter().flatten() {
            let path = folder.join(name);
            let attributes = &self.attributes[node];
            match attributes.kind.as_ref().unwrap() {
                Kind::Link(target) => symlink(target, &path).unwrap(),
                Kind::Directory(mode) => {
                    fs::create_dir(&path).unwrap();
                    self.write_directory(*node, &path, written, random);
                    let mode = attributes.mode.unwrap_or(*mode);
                    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                }
                Kind::File(mode) => match written.get(node) {
                    Some(other) => fs::hard_link(other, &path).unwrap(),
                    None => {
                        let changes = self.changes.get(node).map_or(&[][..], Vec::as_slice);
                        let content = content(self.events, changes, self.synced.of_node(*node), random);
                        attributes.write_file(&path, &content, *mode);
                        written.insert(*node, path);
                    }
                },
            }
        }
    }
}

impl Attributes {
    fn write_file(&self, path: &Path, content: &[u8], mode: u32) {
        fs::write(path, content).unwrap();
        for (name, value) in &self.xattrs {
            match rustix::fs::setxattr(path, name, value, XattrFlags::empty()) {
                // The filesystem has no extended attributes.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        let file = File::open(path).unwrap();
        if let Some(time) = self.modified {
            file.set_modified(time).unwrap();
        }
        file.set_permissions(Permissions::from_mode(self.mode.unwrap_or(mode))).unwrap();
    }
}
