//! Symbolic links, made last: nothing of this get is written through them.

use super::name_reservations::NameReservations;
use super::plan::{Plan, PlannedLink};
use super::publish::{Publisher, place_new};
use super::write_error::written;
use crate::transfer::local::{LocalDirectory, LocalEntry};
use crate::transfer::{Failure, FinishedLink, Observer, SavedFile, TransferOptions, TransferSummary, names};
use sshome_wire::Status;
use sshome_wire::display::Escaped;
use std::io;
use std::sync::Arc;

/// Makes the plan's links with the targets that they have on the server. An existing link is not changed.
pub(super) fn make(
    plan: &Arc<Plan>,
    options: TransferOptions,
    reservations: Arc<NameReservations>,
    observer: Option<Arc<dyn Observer>>,
) -> TransferSummary {
    let mut publisher = Publisher::new(Arc::clone(plan), options, reservations, None);
    for link in &plan.links {
        let Some(place) = plan.places.get(link.place) else { continue };
        let path = [place.remote.as_bytes(), b"/", &link.name].concat();
        let wanted = place.path(&link.name);
        let (saved, status) = match make_one(&mut publisher, link) {
            Ok(LinkResult::Unchanged) => (None, Status::FileExists),
            Ok(LinkResult::New) => (None, Status::Done),
            Ok(LinkResult::Beside(name)) => (Some(place.path(&name)), Status::Done),
            Err(why) => {
                publisher.summary.failures.push(Failure::of(&path, why));
                continue;
            }
        };
        if let Some(observer) = &observer {
            let local = Some(saved.as_ref().unwrap_or(&wanted).as_path());
            observer.linked(&FinishedLink { remote: &path, local, target: &link.target, status });
        }
        publisher.summary.links += u64::from(status == Status::Done);
        publisher.summary.unchanged += u64::from(status == Status::FileExists);
        publisher.summary.saved_as.extend(saved.map(|saved| SavedFile { wanted, saved }));
    }
    let synced = publisher.store.sync_names();
    let mut summary = publisher.finish();
    if let Err(error) = synced {
        let failure = Failure::of(b"the links", written(&error));
        summary.failures.push(failure);
    }
    summary
}

enum LinkResult {
    New,
    Beside(Vec<u8>),
    Unchanged,
}

fn make_one(publisher: &mut Publisher, link: &PlannedLink) -> Result<LinkResult, String> {
    let directory = publisher.store.directory(link.place).map_err(|error| written(&error))?;
    if directory.read_link(&link.name).is_ok_and(|target| target == link.target) {
        return Ok(LinkResult::Unchanged);
    }
    let part = stage(&directory, link).map_err(|error| written(&error))?;
    let is_same = |name: &[u8]| directory.read_link(name).is_ok_and(|target| target == link.target);
    let placed = match link.is_new {
        true => place_new(&directory, &part, &link.name).map(|()| None),
        false => publisher
            .keep_one(&directory, (link.place, &link.name))
            .and_then(|()| publisher.sync_old())
            .and_then(|()| publisher.place(&directory, &part, link.place, &link.name, is_same)),
    };
    match placed {
        Ok(saved) if !is_same(saved.as_deref().unwrap_or(&link.name)) => Err(format!(
            "{} was replaced while it was made: another program writes to this directory",
            Escaped(saved.as_deref().unwrap_or(&link.name))
        )),
        Ok(saved) => {
            publisher.store.touched(&directory);
            Ok(saved.map_or(LinkResult::New, LinkResult::Beside))
        }
        Err(why) => {
            // The next get of this name removes what remains.
            let _ = directory.remove(&part);
            Err(why)
        }
    }
}

/// Makes the link under a name for unfinished files.
fn stage(directory: &LocalDirectory, link: &PlannedLink) -> io::Result<Vec<u8>> {
    for part in names::parts(&link.name) {
        if matches!(directory.look(&part, false), Ok(Some(LocalEntry::Other))) {
            // A link that a killed client left, or another user's, which cannot be removed.
            let _ = directory.remove(&part);
        }
        match directory.symlink(&link.target, &part) {
            Ok(()) => return Ok(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let part = names::unguessable_part(&link.name);
    directory.symlink(&link.target, &part).map(|()| part)
}
