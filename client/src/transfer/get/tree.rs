//! Adds the recursive listing of a directory to the plan.

use super::pending::PendingDirectory;
use super::plan::{DirectoryAttributes, Plan, PlanCheckpoint, PlannedDirectory, PlannedFile, PlannedLink};
use crate::transfer::{Failure, names};
use sshome_wire::{Entries, Entry, FileKind};
use std::collections::HashMap;
use std::sync::Arc;

/// A listing that arrives directory by directory, and that may be truncated.
#[derive(Debug)]
pub(super) struct TreeListing {
    /// Directories that were named and not listed, by their paths below the top.
    unlisted: HashMap<Vec<u8>, Unlisted>,
    current: ArrivingDirectory,
}

#[derive(Debug)]
struct Unlisted {
    /// The number of its parent.
    parent: usize,
    attributes: DirectoryAttributes,
}

/// The directory whose entries are arriving.
#[derive(Debug)]
struct ArrivingDirectory {
    relative: Vec<u8>,
    /// The end of the plan before it: its own number is the next.
    before: PlanCheckpoint,
    /// Its state before; `None` for the top.
    was: Option<Unlisted>,
}

impl TreeListing {
    /// Begins the listing of a directory.
    pub(super) fn begin(plan: &mut Plan, top: PlannedDirectory) -> TreeListing {
        let before = plan.mark();
        plan.places.push(top);
        TreeListing {
            unlisted: HashMap::new(),
            current: ArrivingDirectory { relative: Vec::new(), before, was: None },
        }
    }

    /// Adds the entries of one frame.
    pub(super) fn add(&mut self, plan: &mut Plan, entries: Entries) {
        if entries.directory != self.current.relative && !self.enter(plan, entries.directory) {
            // Either the server invented it, or its own entry was refused, which was reported.
            return;
        }
        for entry in entries.entries {
            self.add_entry(plan, entry);
        }
    }

    /// Whether only entries of the top itself have arrived.
    pub(super) fn is_at_top(&self) -> bool {
        self.current.was.is_none()
    }

    /// Ends a complete listing. Directories that could not be read are in the plan as empty ones.
    pub(super) fn finish(self, plan: &mut Plan) {
        for (name, Unlisted { parent, attributes }) in in_order(self.unlisted) {
            if let Some(Ok(place)) = plan.places.get(parent).map(|parent| parent.child(&name, attributes)) {
                plan.places.push(place);
            }
        }
    }

    /// Truncates the listing. The current directory may be incomplete, so it is removed from the plan. Returns the
    /// directories that remain to be listed, the next one last; `None` if that is the whole tree.
    pub(super) fn truncate(self, plan: &mut Plan) -> Option<Vec<PendingDirectory>> {
        let TreeListing { mut unlisted, current: ArrivingDirectory { relative, before, was } } = self;
        plan.back_to(&before);
        unlisted.retain(|_, unlisted| unlisted.parent < before.places);
        unlisted.insert(relative, was?);
        let mut left = Vec::with_capacity(unlisted.len());
        let mut within: Option<(usize, Arc<PlannedDirectory>)> = None;
        for (name, Unlisted { parent, attributes }) in in_order(unlisted) {
            let same = within.take().filter(|(number, _)| *number == parent).map(|(_, place)| place);
            let Some(place) = same.or_else(|| plan.places.get(parent).cloned().map(Arc::new)) else {
                continue;
            };
            left.push(PendingDirectory::child(Arc::clone(&place), name, attributes));
            within = Some((parent, place));
        }
        Some(left)
    }

    /// Begins with the entries of the next directory, if it was announced.
    fn enter(&mut self, plan: &mut Plan, relative: Vec<u8>) -> bool {
        let Some(was) = self.unlisted.remove(&relative) else { return false };
        let before = plan.mark();
        let place = plan.places.get(was.parent).map(|parent| parent.child(last(&relative), was.attributes));
        let Some(Ok(place)) = place else { return false };
        plan.places.push(place);
        self.current = ArrivingDirectory { relative, before, was: Some(was) };
        true
    }

    fn add_entry(&mut self, plan: &mut Plan, entry: Entry) {
        let place = self.current.before.places;
        let Some(parent) = plan.places.get(place) else { return };
        let shown = || [parent.remote.as_bytes(), b"/", &entry.name].concat();
        if let Err(why) = names::check(&entry.name) {
            let shown = shown();
            return plan.fail(&shown, why);
        }
        match entry.kind {
            FileKind::File => {
                let name = entry.name.into_boxed_slice();
                let size = Some(entry.size);
                plan.files.push(PlannedFile { place, name, rename: None, size, is_new: false });
            }
            FileKind::Directory => {
                if let Err(error) = parent.remote.join(&entry.name) {
                    let shown = shown();
                    return plan.fail(&shown, error.to_string());
                }
                let attributes = DirectoryAttributes::of(&entry);
                let relative = match self.current.relative.as_slice() {
                    [] => entry.name,
                    directory => [directory, b"/", &entry.name].concat(),
                };
                self.unlisted.insert(relative, Unlisted { parent: place, attributes });
            }
            FileKind::Symlink => {
                let (name, target) = (entry.name, entry.target);
                plan.links.push(PlannedLink { place, name, target, is_new: false });
            }
            FileKind::Special => {
                let skipped = Failure::of(&shown(), "it is not a regular file");
                plan.skipped.push(skipped);
            }
        }
    }
}

/// Directories in an order that puts those inside the last one found last, so that a tree is walked depth first and few
/// directories wait.
fn in_order(unlisted: HashMap<Vec<u8>, Unlisted>) -> Vec<(Box<[u8]>, Unlisted)> {
    let named = unlisted.into_iter().map(|(relative, of)| (last(&relative).into(), of));
    let mut named: Vec<(Box<[u8]>, Unlisted)> = named.collect();
    named.sort_unstable_by(|(a, one), (b, other)| one.parent.cmp(&other.parent).then_with(|| b.cmp(a)));
    named
}

/// The last component of a path.
fn last(relative: &[u8]) -> &[u8] {
    relative.rsplit(|byte| *byte == b'/').next().unwrap_or(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{RemotePath, Time};

    fn entry(name: &[u8], kind: FileKind) -> Entry {
        let mtime = Time::default();
        Entry { name: name.to_vec(), kind, size: 3, mtime, mode: 0o755, links: 1, target: Vec::new() }
    }

    fn entries(directory: &[u8], entries: Vec<Entry>) -> Entries {
        Entries { directory: directory.to_vec(), entries }
    }

    fn begin(plan: &mut Plan, remote: &[u8], below: Vec<Vec<u8>>) -> TreeListing {
        let remote = RemotePath::root().join(remote).unwrap();
        let place = PlannedDirectory {
            remote,
            base: "/tmp".into(),
            below,
            attributes: None,
            link_parents: Arc::default(),
        };
        TreeListing::begin(plan, place)
    }

    #[test]
    fn a_listing_becomes_a_plan_of_directories_and_files() {
        let mut plan = Plan::default();
        let mut tree = begin(&mut plan, b"/www", vec![b"site".to_vec()]);
        tree.add(
            &mut plan,
            entries(b"", vec![entry(b"a", FileKind::File), entry(b"d", FileKind::Directory)]),
        );
        tree.add(&mut plan, entries(b"", vec![entry(b"unreadable", FileKind::Directory)]));
        let below = vec![entry(b"\xff", FileKind::File), entry(b"l", FileKind::Symlink)];
        tree.add(&mut plan, entries(b"d", below));
        tree.finish(&mut plan);
        let below: Vec<_> = plan.places.iter().map(|place| place.below.join(&b'/')).collect();
        assert_eq!(below, [&b"site"[..], b"site/d", b"site/unreadable"]);
        let remote = plan.files.iter().map(|file| plan.remote(file).unwrap()).collect::<Vec<_>>();
        assert_eq!(remote[0].as_bytes(), b"/www/a");
        assert_eq!(remote[1].as_bytes(), b"/www/d/\xff");
        assert_eq!((plan.links.len(), plan.failures.len()), (1, 0));
        assert_eq!((plan.links[0].place, plan.links[0].name.as_slice()), (1, &b"l"[..]));
    }

    #[test]
    fn a_truncated_listing_drops_its_last_directory_and_keeps_unlisted_ones() {
        let mut plan = Plan::default();
        let mut tree = begin(&mut plan, b"/", vec![]);
        let directories = |names: [&[u8]; 3]| names.map(|name| entry(name, FileKind::Directory)).to_vec();
        tree.add(&mut plan, entries(b"", directories([b"b", b"c", b"a"])));
        tree.add(&mut plan, entries(b"a", directories([b"z", b"y", b"x"])));
        tree.add(&mut plan, entries(b"a/x", vec![entry(b"whole", FileKind::File)]));
        tree.add(
            &mut plan,
            entries(b"a/y", vec![entry(b"f", FileKind::File), entry(b"d", FileKind::Directory)]),
        );
        assert!(!tree.is_at_top());
        let left = tree.truncate(&mut plan).unwrap();
        let left: Vec<_> = left.iter().map(|one| one.place().unwrap().remote.to_string()).collect();
        assert_eq!(left, ["/c", "/b", "/a/z", "/a/y"]);
        assert_eq!((plan.places.len(), plan.files.len()), (3, 1));
        // If only the top has arrived, it alone is listed again.
        let mut tree = begin(&mut plan, b"/other", vec![]);
        tree.add(&mut plan, entries(b"", vec![entry(b"f", FileKind::File)]));
        assert!(tree.is_at_top() && tree.truncate(&mut plan).is_none());
        assert_eq!((plan.places.len(), plan.files.len()), (3, 1));
    }

    #[test]
    fn names_that_lead_out_are_refused_and_their_directories_have_no_place() {
        let mut plan = Plan::default();
        let mut tree = begin(&mut plan, b"/", vec![]);
        let bad: [&[u8]; 7] = [b"..", b"../x", b"/etc", b"", b".", b"a\0", b".x.sshome-part"];
        let hostile = |kind| bad.iter().map(|name| entry(name, kind)).collect::<Vec<_>>();
        tree.add(&mut plan, entries(b"", hostile(FileKind::File)));
        tree.add(&mut plan, entries(b"", hostile(FileKind::Directory)));
        tree.add(&mut plan, entries(b"..", vec![entry(b"passwd", FileKind::File)]));
        tree.add(&mut plan, entries(b"/etc", vec![entry(b"passwd", FileKind::File)]));
        tree.finish(&mut plan);
        assert_eq!((plan.places.len(), plan.files.len(), plan.failures.len()), (1, 0, 14));
    }
}
