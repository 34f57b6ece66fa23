//! Prepares the local disk for a get: makes directories, and finds existing files.

use super::plan::{Plan, PlannedDirectory, PlannedFile};
use super::publish::appeared;
use super::store::Store;
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::local::LocalEntry;
use crate::transfer::{Failure, IS_DIRECTORY, TransferContext};
use sshome_wire::{FileKind, Payload, Request};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

/// The result of the preparation.
#[derive(Debug, Default)]
pub(super) struct PreparedPlan {
    /// Files that may be downloaded, by their numbers in the plan.
    pub(super) files: Vec<usize>,
    /// Those of them with an existing local file, with its length in bytes.
    pub(super) existing: HashMap<usize, u64>,
    /// Files whose local names are directories, by their numbers in the plan.
    directories: Vec<usize>,
    /// Directories of trees, by their numbers in the plan, and the modes that they get once they are filled.
    pub(super) folders: Vec<(usize, Option<u32>)>,
    /// Directories in which nothing can be stored, by their numbers in the plan. The failures have the reasons.
    pub(super) unusable: HashSet<usize>,
    pub(super) failures: Vec<Failure>,
}

/// Makes the plan's directories and looks for existing files. With `preserve` the directories are made accessible to be
/// filled.
pub(super) fn prepare(plan: &Arc<Plan>, preserve: bool) -> PreparedPlan {
    let mut store = Store::new(Arc::clone(plan));
    let mut prepared = PreparedPlan::default();
    make_directories(plan, &mut store, &mut prepared, preserve);
    for (number, file) in plan.files.iter().enumerate() {
        if prepared.unusable.contains(&file.place) {
            continue;
        }
        match look(&mut store, plan, file) {
            Ok(Some(LocalEntry::Directory)) => {
                prepared.directories.push(number);
                continue;
            }
            Ok(Some(LocalEntry::File { size, .. })) => {
                prepared.existing.insert(number, size);
            }
            // Errors are reported when the file is written.
            Ok(_) | Err(_) => {}
        }
        prepared.files.push(number);
    }
    if let Err(error) = store.sync_names() {
        let why = format!("cannot sync the directories: {error}");
        prepared.failures.extend(plan.places.first().map(|place| Failure::of(place.remote.as_bytes(), why)));
    }
    prepared
}

fn make_directories(plan: &Plan, store: &mut Store, prepared: &mut PreparedPlan, preserve: bool) {
    let mut unusable = HashSet::new();
    for (number, place) in plan.places.iter().enumerate() {
        let local = place.local();
        // The failure of its parent was reported.
        let is_told =
            place.attributes.is_some() && local.parent().is_some_and(|above| unusable.contains(above));
        let made = if is_told { Err(io::ErrorKind::NotFound.into()) } else { store.make(number, preserve) };
        match made {
            // A directory that the user named is not part of a tree.
            Ok(_) if place.below.is_empty() => {}
            Ok(final_mode) => prepared.folders.push((number, final_mode)),
            Err(error) => {
                if !is_told {
                    prepared.failures.extend(unusable_because(plan, number, &error));
                }
                prepared.unusable.insert(number);
                unusable.insert(local);
            }
        }
    }
}

/// The failures that follow from a local directory in which nothing can be stored: of a tree as a whole, or of the
/// files that were named one by one.
pub(super) fn unusable_because(plan: &Plan, number: usize, error: &io::Error) -> Vec<Failure> {
    let Some(place) = plan.places.get(number) else { return Vec::new() };
    let why = why_unusable(place, error);
    if place.attributes.is_some() {
        return vec![Failure::of(place.remote.as_bytes(), format!("{why}; nothing in it was fetched"))];
    }
    let files = plan.files.iter().enumerate().filter(|(_, file)| file.place == number);
    files.map(|(file, _)| plan.failure(file, why.as_str())).collect()
}

/// Why nothing can be stored in a local directory.
fn why_unusable(place: &PlannedDirectory, error: &io::Error) -> String {
    let directory = names::shown(&place.local());
    match error.kind() {
        io::ErrorKind::NotADirectory => {
            format!("{directory} exists locally and is not a directory")
        }
        io::ErrorKind::AlreadyExists => appeared(place.below.last().map_or(b"", |name| name)),
        io::ErrorKind::NotFound if !place.base.is_dir() => {
            format!("the local directory {} does not exist", names::shown(&place.base))
        }
        _ => format!("cannot create or open the local directory {directory}: {error}"),
    }
}

/// The failures of the files whose local names are directories, with the remedy: the source may be a directory, too.
pub(super) async fn in_the_way(
    ctx: &mut TransferContext<'_>,
    plan: &Plan,
    prepared: &PreparedPlan,
) -> Result<Vec<Failure>, ConversationError> {
    let why = "a local directory has this name; move it away, or get the file under another name";
    let numbers = || prepared.directories.iter();
    let mut failures: Vec<Failure> = numbers().map(|number| plan.failure(*number, why)).collect();
    let asked: Vec<(usize, u64)> = numbers().copied().zip(0..).collect();
    let stat = |path| Request::Stat { path, follow: true };
    each_answer(ctx, plan, &asked, stat, |payload, (number, at)| {
        let failure = usize::try_from(at).ok().and_then(|at| failures.get_mut(at));
        if let (Payload::Stat(entry), Some(failure)) = (payload, failure)
            && entry.kind == FileKind::Directory
        {
            *failure = plan.failure(number, IS_DIRECTORY);
        }
    })
    .await?;
    Ok(failures)
}

/// Sends one request for each of many files. Refusals are not reported: the server refuses the get as well, and that is
/// reported.
pub(super) async fn each_answer(
    ctx: &mut TransferContext<'_>,
    plan: &Plan,
    files: &[(usize, u64)],
    request: fn(Vec<u8>) -> Request,
    mut each: impl FnMut(Payload, (usize, u64)) + Send,
) -> Result<(), ConversationError> {
    let path = |number: usize| plan.files.get(number).map(|file| remote(plan, file)).unwrap_or_default();
    let requests = files.iter().map(|(number, _)| request(path(*number)));
    let mut answer = |index: usize, reply: sshome_wire::Reply| {
        if let Some(of) = files.get(index) {
            each(reply.payload, *of);
        }
    };
    ctx.conversation.ask_all(requests, ctx.cancel, &mut answer).await
}

fn look(store: &mut Store, plan: &Plan, file: &PlannedFile) -> io::Result<Option<LocalEntry>> {
    store.directory(file.place)?.look(file.local_name(), follows(plan, file))
}

/// Whether a link is followed: one that the user named is, one in a tree is not.
pub(super) fn follows(plan: &Plan, file: &PlannedFile) -> bool {
    plan.places.get(file.place).is_some_and(|place| place.below.is_empty())
}

pub(super) fn remote(plan: &Plan, file: &PlannedFile) -> Vec<u8> {
    plan.remote(file).map(|path| path.as_bytes().to_vec()).unwrap_or_default()
}
