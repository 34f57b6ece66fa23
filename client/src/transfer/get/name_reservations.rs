//! Name reservations: local names that planned files of a get need, so that a file saved as `NAME.new` after a name
//! conflict does not take one.

use super::plan::{Plan, PlannedDirectory};
use crate::transfer::{Failure, names, path_bytes};
use sshome_wire::display::Escaped;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A name in a local directory. The directory is identified by the first of the plan's places that leads to it.
type Name = (usize, Box<[u8]>);

/// Planned names of the form `NAME.new`, which other files must not take.
#[derive(Debug, Default)]
pub(super) struct NameReservations {
    directories: Vec<usize>,
    beside: HashSet<Name>,
}

impl NameReservations {
    /// The reservations of a plan.
    pub(super) fn of(plan: &Plan) -> NameReservations {
        let mut reservations =
            NameReservations { directories: directories(&plan.places), beside: HashSet::new() };
        let files = plan.files.iter().map(|file| (file.place, file.local_name()));
        let links = plan.links.iter().map(|link| (link.place, link.name.as_slice()));
        for (place, name) in files.chain(links).filter(|(_, name)| names::is_beside(name)) {
            reservations.beside.insert(key(&reservations.directories, place, name));
        }
        reservations
    }

    /// Whether no planned file has this name.
    pub(super) fn is_free(&self, place: usize, name: &[u8]) -> bool {
        !self.beside.contains(&key(&self.directories, place, name))
    }
}

/// Refuses each file and link whose local name belongs to an earlier one of the plan, as cp does: the last one would
/// replace the others.
pub(super) fn refuse_duplicates(plan: &mut Plan) {
    let Plan { places, files, links, failures, .. } = plan;
    let directories = directories(places);
    let mut taken: HashSet<Name> = HashSet::new();
    let mut is_first = |place: usize, remote: &[u8], local: &[u8]| {
        let is_first = taken.insert(key(&directories, place, local));
        if let Some(place) = places.get(place).filter(|_| !is_first) {
            let path = place.path(local);
            let why = format!("will not overwrite just-created {}", Escaped(path_bytes(&path)));
            failures.push(Failure::of(&[place.remote.as_bytes(), b"/", remote].concat(), why));
        }
        is_first
    };
    files.retain(|file| is_first(file.place, &file.name, file.local_name()));
    links.retain(|link| is_first(link.place, &link.name, &link.name));
}

/// For each place, the first one that is the same local directory.
fn directories(places: &[PlannedDirectory]) -> Vec<usize> {
    let mut first: HashMap<(&Path, &[Vec<u8>]), usize> = HashMap::new();
    let places = places.iter().enumerate();
    places
        .map(|(number, place)| *first.entry((place.base.as_path(), place.below.as_slice())).or_insert(number))
        .collect()
}

fn key(directories: &[usize], place: usize, name: &[u8]) -> Name {
    (directories.get(place).copied().unwrap_or(place), name.into())
}
