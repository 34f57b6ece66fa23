//! The work of a get, which its connections share.

use super::fetch::{self, FetchResult};
use super::local_part::{self, LocalPart};
use super::name_reservations::NameReservations;
use super::plan::Plan;
use crate::conversation::ConversationError;
use crate::transfer::delta::{DeltaLimits, OldVersion};
use crate::transfer::jobs::Load;
use crate::transfer::parallel::SharedWork;
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
    /// Files that were not requested yet.
    files: Arc<WorkPool<FileNumbers>>,
    /// Directories of trees, by their numbers in the plan, and whether they were opened to be filled.
    pub(super) folders: Vec<(usize, bool)>,
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
    /// The files of a plan that are to be downloaded. `summary` has the results of the others.
    pub(super) fn new(
        plan: Arc<Plan>,
        options: TransferOptions,
        files: Vec<usize>,
        known: HashMap<usize, LocalPart>,
        folders: Vec<(usize, bool)>,
        summary: TransferSummary,
    ) -> DownloadWork {
        let sizes = || files.iter().filter_map(|number| plan.files.get(*number)).map(|file| file.size);
        let load = sizes().map(Option::unwrap_or_default).fold(Load::default(), Load::and);
        DownloadWork {
            bytes: sizes().all(|size| size.is_some()).then_some(load.bytes),
            load,
            reservations: Arc::new(NameReservations::of(&plan)),
            plan,
            options,
            files: Arc::new(WorkPool::new(files.into_iter())),
            folders,
            full: Arc::default(),
            known: Mutex::new(known),
            whole: Mutex::default(),
            summary: Mutex::new(summary),
        }
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

    /// Takes the partial download of a file that is about to be requested.
    pub(super) fn known(&self, number: usize) -> Option<LocalPart> {
        lock(&self.known).remove(&number)
    }
}

/// Finds the partial downloads that can be resumed.
pub(super) async fn find_parts(
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
        self.files.is_empty()
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
        ended
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
