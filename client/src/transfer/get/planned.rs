//! Downloads that a comparison has found.

use super::download::DownloadWork;
use super::plan::Plan;
use super::prepare::unusable_because;
use super::store::Store;
use crate::conversation::ConversationError;
use crate::transfer::{Failure, TransferContext, TransferOptions, TransferSummary, blocking};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// The directories of a plan, ready to be filled.
#[derive(Default)]
struct PreparedDirectories {
    /// Directories of trees, by their numbers in the plan, and the modes that they get once they are filled.
    folders: Vec<(usize, Option<u32>)>,
    /// Directories in which nothing can be stored.
    unusable: HashSet<usize>,
    failures: Vec<Failure>,
}

impl DownloadWork {
    /// The download of all files of a plan, after its directories were made. `new` says for each of them whether it does not
    /// exist yet. `summary` has the results of other files.
    ///
    /// # Errors
    /// If the thread that makes the directories failed. Their failures are in the summary.
    pub(in crate::transfer) async fn planned(
        ctx: &TransferContext<'_>,
        mut plan: Plan,
        new: Vec<bool>,
        options: TransferOptions,
        mut summary: TransferSummary,
    ) -> Result<DownloadWork, ConversationError> {
        let links = std::mem::take(&mut plan.links);
        let mut plan = Arc::new(plan);
        let preparing = Arc::clone(&plan);
        let PreparedDirectories { folders, unusable, failures } =
            blocking(move || make_directories(&preparing, &new)).await?;
        summary.failures.extend(failures);
        if let Some(plan) = Arc::get_mut(&mut plan) {
            plan.links = links.into_iter().filter(|link| !unusable.contains(&link.place)).collect();
        }
        let usable = plan.files.iter().enumerate().filter(|(_, file)| !unusable.contains(&file.place));
        let files: Vec<usize> = usable.map(|(number, _)| number).collect();
        DownloadWork::prepare(ctx, plan, options, files, folders, summary).await
    }
}

fn make_directories(plan: &Arc<Plan>, new: &[bool]) -> PreparedDirectories {
    let (mut store, mut prepared) = (Store::new(Arc::clone(plan)), PreparedDirectories::default());
    let mut without = HashSet::new();
    for (number, place) in plan.places.iter().enumerate() {
        let local = place.local();
        // The failure of its parent was reported.
        let is_told = local.parent().is_some_and(|above| without.contains(above));
        let final_mode = match new.get(number) {
            _ if is_told => Err(io::ErrorKind::NotFound.into()),
            Some(true) => store.make_new(number),
            _ => store.directory(number).and_then(|directory| match place.attributes {
                Some(_) => directory.open_to_change(),
                None => Ok(None),
            }),
        };
        match final_mode {
            // Files that the user named are in a directory that is not part of a tree.
            Ok(_) if place.attributes.is_none() => {}
            Ok(final_mode) => prepared.folders.push((number, final_mode)),
            Err(error) => {
                if !is_told {
                    prepared.failures.extend(unusable_because(plan, number, &error));
                }
                prepared.unusable.insert(number);
                without.insert(local);
            }
        }
    }
    if let (Err(error), Some(first)) = (store.sync_names(), plan.places.first()) {
        let why = format!("cannot sync the directories: {error}");
        prepared.failures.push(Failure::of(first.remote.as_bytes(), why));
    }
    prepared
}
