//! Which local names the files of one get take, so that none of them takes another's.

use super::plan::Plan;
use crate::transfer::names;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A name in a local directory, which is told by the first of the plan's places that leads there.
type Name = (usize, Box<[u8]>);

/// The names that the files of a get are planned to have, or have been given.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// For each place the first one that is the same local directory.
    directories: Vec<usize>,
    /// Those that one file could take as its `NAME.new`, and another one has already.
    new: HashSet<Name>,
    /// Whether two files may be meant for one name. Only then are all names worth to be remembered.
    crowded: bool,
    taken: HashSet<Name>,
}

impl Claims {
    /// The claims of a plan, before anything has arrived.
    pub(super) fn of(plan: &Plan) -> Claims {
        let mut first: HashMap<(&Path, &[Vec<u8>]), usize> = HashMap::new();
        let mut directories = Vec::with_capacity(plan.places.len());
        for (number, place) in plan.places.iter().enumerate() {
            let (base, below) = (place.base.as_path(), place.below.as_slice());
            directories.push(*first.entry((base, below)).or_insert(number));
        }
        let mut claims = Claims { crowded: false, directories, new: HashSet::new(), taken: HashSet::new() };
        claims.crowded = first.len() < plan.places.len();
        let files = plan.files.iter().map(|file| (file.place, file.local_name()));
        let links = plan.links.iter().map(|link| (link.place, link.name.as_slice()));
        for (place, name) in files.chain(links).filter(|(_, name)| names::is_new(name)) {
            claims.new.insert(claims.key(place, name));
        }
        claims
    }

    /// Whether a name may be used for a file that cannot have its own.
    pub(super) fn is_free(&self, place: usize, new: &[u8]) -> bool {
        !self.new.contains(&self.key(place, new))
    }

    /// Whether another file of this get has been given this name.
    pub(super) fn is_taken(&self, place: usize, name: &[u8]) -> bool {
        self.crowded && self.taken.contains(&self.key(place, name))
    }

    /// A file has been given this name.
    pub(super) fn take(&mut self, place: usize, name: &[u8]) {
        let key = self.key(place, name);
        if names::is_new(name) {
            self.new.insert(key.clone());
        }
        if self.crowded {
            self.taken.insert(key);
        }
    }

    fn key(&self, place: usize, name: &[u8]) -> Name {
        (self.directories.get(place).copied().unwrap_or(place), name.into())
    }
}
