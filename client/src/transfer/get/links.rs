//! Symbolic links, made last: nothing of this get is written through them.

use super::claims::Claims;
use super::plan::{Plan, PlannedLink};
use super::publish::Publisher;
use super::writer::written;
use crate::transfer::local::{Directory, Seen};
use crate::transfer::{Failure, Options, SavedAs, Summary, names};
use std::io;
use std::sync::Arc;

/// Makes the plan's links, each with the text that it has on the server. One that is there already
/// is left alone.
pub(super) fn make(plan: &Arc<Plan>, options: Options, claims: Claims) -> Summary {
    let mut publisher = Publisher::new(Arc::clone(plan), options, claims, None);
    for link in &plan.links {
        let Some(place) = plan.places.get(link.place) else { continue };
        match make_one(&mut publisher, link) {
            Ok(Made::Unchanged) => publisher.summary.unchanged += 1,
            Ok(Made::New) => publisher.summary.links += 1,
            Ok(Made::Beside(name)) => {
                publisher.summary.links += 1;
                let (wanted, saved) = (place.path(&link.name), place.path(&name));
                publisher.summary.saved_as.push(SavedAs { wanted, saved });
            }
            Err(why) => {
                let path = [place.remote.as_bytes(), b"/", &link.name].concat();
                publisher.summary.failures.push(Failure::of(&path, why));
            }
        }
    }
    let synced = publisher.store.sync_names();
    let (mut summary, _) = publisher.finish();
    if let Err(error) = synced {
        let failure = Failure::of(b"the links", written(&error));
        summary.failures.push(failure);
    }
    summary
}

enum Made {
    New,
    Beside(Vec<u8>),
    Unchanged,
}

fn make_one(publisher: &mut Publisher, link: &PlannedLink) -> Result<Made, String> {
    let directory = publisher.store.directory(link.place).map_err(|error| written(&error))?;
    if directory.read_link(&link.name).is_ok_and(|target| target == link.target) {
        return Ok(Made::Unchanged);
    }
    let part = stage(&directory, link).map_err(|error| written(&error))?;
    let placed = publisher.place(&directory, &part, link.place, &link.name);
    match placed {
        Ok(saved) => {
            publisher.store.touched(&directory);
            Ok(saved.map_or(Made::New, Made::Beside))
        }
        Err(why) => {
            let _ = directory.remove(&part);
            Err(why)
        }
    }
}

/// Makes the link under a name for unfinished files.
fn stage(directory: &Directory, link: &PlannedLink) -> io::Result<Vec<u8>> {
    let mut taken = io::ErrorKind::AlreadyExists.into();
    for part in names::parts(&link.name) {
        if matches!(directory.look(&part, false), Ok(Some(Seen::Other))) {
            // A link that a killed client has left.
            let _ = directory.remove(&part);
        }
        match directory.symlink(&link.target, &part) {
            Ok(()) => return Ok(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}
