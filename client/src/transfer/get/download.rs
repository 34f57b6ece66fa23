//! The work of a get, which its connections share.

use super::fetch::{self, FetchResult};
use super::folders::UnfinishedDirectories;
use super::local_part::{self, LocalPart};
use super::local_version;
use super::name_reservations::NameReservations;
use super::plan::Plan;
use super::split::{self, SplitDownloads};
use super::store::Store;
use crate::conversation::ConversationError;
use crate::transfer::delta::{DeltaLimits, OldVersion};
use crate::transfer::jobs::Load;
use crate::transfer::parallel::{SharedWork, available_cores};
use crate::transfer::pool::{WorkPool, WorkShare};
use crate::transfer::retries::Retries;
use crate::transfer::{TransferContext, TransferOptions, TransferSummary, blocking};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

/// Files by their numbers in the plan.
pub(super) type FileNumbers = vec::IntoIter<usize>;

/// The files to download, and the results so far.
pub(in crate::transfer) struct DownloadWork {
    pub(super) plan: Arc<Plan>,
    pub(super) options: TransferOptions,
    /// Large files that the connections fetch together.
    pub(super) split: SplitDownloads,
    /// Other files that were not requested yet.
    files: Arc<WorkPool<FileNumbers>>,
    /// Directories of trees, by their numbers in the plan, and the modes that they get once they are filled.
    pub(super) folders: Vec<(usize, Option<u32>)>,
    pub(super) reservations: Arc<NameReservations>,
    /// The local disk is full.
    pub(super) full: Arc<AtomicBool>,
    pub(in crate::transfer) load: Load,
    /// The total in bytes, if the lengths of all files are known.
    pub(in crate::transfer) bytes: Option<u64>,
    /// The partial downloads of files that were not requested yet.
    known: Mutex<HashMap<usize, LocalPart>>,
    /// Files whose delta has failed: they are requested as a whole.
    whole: Mutex<HashSet<usize>>,
    summary: Mutex<TransferSummary>,
}

impl DownloadWork {
    /// The files of a plan that are to be downloaded, with the partial downloads that can be resumed. `summary` has the
    /// results of the others.
    ///
    /// # Errors
    /// If the thread that reads partial downloads failed.
    pub(super) async fn prepare(
        ctx: &TransferContext<'_>,
        plan: Arc<Plan>,
        options: TransferOptions,
        files: Vec<usize>,
        folders: Vec<(usize, Option<u32>)>,
        summary: TransferSummary,
    ) -> Result<DownloadWork, ConversationError> {
        let cores = available_cores();
        let may_split = ctx.reconnect.is_some()
            && ctx.conversation.has_ranges()
            && options.jobs.may_divide_files(ctx.conversation.is_local(), cores);
        let size = |number: &usize| plan.files.get(*number).and_then(|file| file.size);
        let sizes = || files.iter().map(size);
        let and = |load: Load, bytes: u64| match may_split {
            true => load.and_divided(bytes, options.split_bytes),
            false => load.and(bytes),
        };
        let load = sizes().map(Option::unwrap_or_default).fold(Load::default(), and);
        let bytes = sizes().all(|size| size.is_some()).then_some(load.bytes);
        let connections = options.jobs.connections(load, cores);
        let delta = options.delta.limits(ctx.conversation);
        let is_split = |number: &usize| {
            let is_long = size(number).is_some_and(|size| size >= options.split_bytes);
            // The difference to an old version is likely to be less than a share of the file.
            may_split
                && connections > 1
                && is_long
                && !(delta.is_some() && local_version::is_there(&plan, *number))
        };
        let (divided, whole): (Vec<usize>, Vec<usize>) = files.iter().partition(|number| is_split(number));
        let known = find_parts(ctx, &plan, &whole).await?;
        Ok(DownloadWork {
            bytes,
            load,
            reservations: Arc::new(NameReservations::of(&plan)),
            split: SplitDownloads::new(&plan, &divided, connections),
            plan,
            options,
            files: Arc::new(WorkPool::new(whole.into_iter())),
            folders,
            full: Arc::default(),
            known: Mutex::new(known),
            whole: Mutex::default(),
            summary: Mutex::new(summary),
        })
    }

    /// Adds the directories of its trees, which were made to be filled.
    pub(super) fn add_folders(&self, folders: &mut UnfinishedDirectories) {
        let folder = |(number, mode): &(usize, Option<u32>)| Some((self.plan.places.get(*number)?, *mode));
        folders.add(self.folders.iter().filter_map(folder));
    }

    /// Takes the results so far.
    pub(super) fn summary(&self) -> TransferSummary {
        std::mem::take(&mut *lock(&self.summary))
    }

    /// Whether a delta may be requested of a file, as far as its size is concerned.
    pub(super) fn allows_delta(&self, number: usize, limits: DeltaLimits) -> bool {
        let Some(file) = self.plan.files.get(number).filter(|file| !file.is_new) else { return false };
        // A file of unknown size was named: its old version is described if it is long enough.
        file.size.is_none_or(|size| limits.allow(size, OldVersion::Exists))
            && !lock(&self.whole).contains(&number)
    }

    /// Removes the partial files of divided files that have nothing to be resumed.
    ///
    /// # Errors
    /// If the thread that removes them failed.
    pub(super) async fn clear_parts(&self) -> Result<(), ConversationError> {
        let useless = self.split.close_parts();
        if useless.is_empty() {
            return Ok(());
        }
        let plan = Arc::clone(&self.plan);
        let remove = move || {
            let mut store = Store::new(Arc::clone(&plan));
            for (number, part) in useless {
                let place = plan.files.get(number).map(|file| file.place);
                if let Some(Ok(directory)) = place.map(|place| store.directory(place)) {
                    directory.clear(&part);
                }
            }
        };
        blocking(remove).await
    }

    /// Takes the partial download of a file that is about to be requested.
    pub(super) fn known(&self, number: usize) -> Option<LocalPart> {
        lock(&self.known).remove(&number)
    }
}

/// Finds the partial downloads that can be resumed.
async fn find_parts(
    ctx: &TransferContext<'_>,
    plan: &Arc<Plan>,
    files: &[usize],
) -> Result<HashMap<usize, LocalPart>, ConversationError> {
    let files: Vec<usize> =
        files.iter().copied().filter(|number| local_part::may_have(plan, *number)).collect();
    if files.is_empty() {
        return Ok(HashMap::new());
    }
    let (plan, cancel, progress) = (Arc::clone(plan), ctx.cancel.clone(), ctx.progress.clone());
    blocking(move || local_part::find(&plan, files.into_iter(), &cancel, &progress)).await
}

impl SharedWork for DownloadWork {
    type Share = WorkShare<FileNumbers>;

    fn load(&self) -> Load {
        self.load
    }

    fn is_done(&self) -> bool {
        self.files.is_empty() && self.split.is_finished()
    }

    fn share(&self) -> WorkShare<FileNumbers> {
        WorkShare::new(&self.files)
    }

    async fn run(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        share: &WorkShare<FileNumbers>,
    ) -> Result<(), ConversationError> {
        let FetchResult { summary, left, whole, ended } =
            fetch::fetch(ctx, self, share, &mut retries.reached).await?;
        lock(&self.summary).add(summary);
        if matches!(ended, Err(ConversationError::Lost(_))) {
            // Files without a known partial download start from the beginning.
            let found = find_parts(ctx, &self.plan, &left).await;
            lock(&self.known).extend(found.unwrap_or_default());
        }
        share.keep(whole.iter().copied().chain(left));
        lock(&self.whole).extend(whole);
        ended?;
        if self.split.is_finished() {
            return Ok(());
        }
        let FetchResult { summary, ended, .. } = split::fetch(ctx, self, share, &mut retries.reached).await?;
        lock(&self.summary).add(summary);
        ended
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
