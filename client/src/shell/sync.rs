//! `push`, `pull` and `check`.

use super::event::OperationKind;
use super::flag::{
    BACKUP_DIR_LETTER, DELETE_EXCLUDED_LETTER, DELETE_LETTER, EXCLUDE_FROM_LETTER, EXCLUDE_LETTER,
    EXISTING_LETTER, FAST_LETTER, IGNORE_EXISTING_LETTER, INCLUDE_LETTER, JOBS_LETTER, MAX_DELETE_LETTER,
    MAX_SIZE_LETTER, MIN_SIZE_LETTER, WATCH_LETTER,
};
use super::invocation::Invocation;
use super::transfer::trusted_words;
use super::{Shell, ShellError, ShellOutput, value};
use crate::conversation::ConversationError;
use crate::messages::warn;
use crate::names;
use crate::transfer::{
    self, DeleteOptions, DifferenceKind, FileComparison, Filter, FilterRules, FinishedFile, FinishedLink,
    Observer, ProgressDisplay, Retry, SyncAction, SyncChange, SyncOptions, TreeDifference, TreeWatcher,
    WatchedChanges,
};
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clocks that differ by more are reported.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);

impl Shell {
    pub(super) async fn push(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let Some((target, sources)) = invocation.operands.split_last() else { return Ok(()) };
        let target = self.remote_path(target);
        let into_directory = target.ends_with(b"/");
        let target = self.conversation.absolute(&target).map_err(ConversationError::from)?;
        let mut options = self.sync_options(invocation)?;
        if let Some(directory) = invocation.value(BACKUP_DIR_LETTER) {
            let directory = self.conversation.absolute(directory.as_bytes());
            options.remote_backup = Some(directory.map_err(ConversationError::from)?);
        }
        let (options, notice) = options.permitted(&self.conversation)?;
        if let Some(notice) = notice {
            warn(notice);
        }
        self.warn_of_clocks(&options);
        let sources = self.local_paths(sources).await?;
        if invocation.has(WATCH_LETTER) {
            return self.push_on(&sources, (&target, into_directory), &options, invocation.has('i')).await;
        }
        let progress = self.sync_progress(OperationKind::Push, invocation.has('i') || options.dry_run);
        let begun = Instant::now();
        let context = self.context(&progress);
        let summary = transfer::push(context, &sources, &target, into_directory, &options).await?;
        self.out.count_unchanged(summary.unchanged, summary.trusted);
        self.report(&summary, begun.elapsed())
    }

    /// Pushes directories, and then what changes in them, until it is cancelled.
    async fn push_on(
        &mut self,
        sources: &[PathBuf],
        target: (&RemotePath, bool),
        options: &SyncOptions,
        itemize: bool,
    ) -> Result<(), ShellError> {
        if options.dry_run || sources.iter().any(|source| !source.is_dir()) {
            let text = "--watch needs directories, and cannot be combined with --dry-run";
            return Err(ShellError::Failed(text.to_owned()));
        }
        // What changes during the first push is noticed, too.
        let mut watcher = TreeWatcher::begin(sources).map_err(ShellError::Failed)?;
        let mut changes = WatchedChanges::Everything;
        loop {
            let connection = self.conversation.number();
            let progress = self.sync_progress(OperationKind::Push, itemize);
            let begun = Instant::now();
            let context = self.context(&progress);
            let summary = transfer::push_changes(context, sources, target, options, &changes).await?;
            self.out.count_unchanged(summary.unchanged, summary.trusted);
            if changes == WatchedChanges::Everything || !summary.is_empty() {
                match self.report(&summary, begun.elapsed()) {
                    // What failed is tried again when it changes, or with everything.
                    Ok(()) | Err(ShellError::Reported) => {}
                    Err(error) => return Err(error),
                }
            }
            // While the connection was lost, somebody else may have changed the destination.
            changes = match self.conversation.number() == connection {
                false => WatchedChanges::Everything,
                true => tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return Err(ConversationError::Cancelled.into()),
                    changes = watcher.next() => changes,
                },
            };
        }
    }

    pub(super) async fn pull(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let Some((target, sources)) = invocation.operands.split_last() else { return Ok(()) };
        let into_directory = target.bytes().ends_with(b"/");
        let target = self.local_target(target)?;
        let mut options = self.sync_options(invocation)?;
        if let Some(directory) = invocation.value(BACKUP_DIR_LETTER) {
            options.local_backup = Some(self.local_path(directory.as_bytes())?);
        }
        self.warn_of_clocks(&options);
        let mut paths = Vec::new();
        for path in self.remote_paths(sources).await? {
            paths.push(self.conversation.absolute(&path).map_err(ConversationError::from)?);
        }
        let progress = self.sync_progress(OperationKind::Pull, invocation.has('i') || options.dry_run);
        let begun = Instant::now();
        let context = self.context(&progress);
        let summary = transfer::pull(context, &paths, &target, into_directory, &options).await?;
        self.out.count_unchanged(summary.unchanged, summary.trusted);
        self.report(&summary, begun.elapsed())
    }

    pub(super) async fn check(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let [local, remote] = invocation.operands.as_slice() else { return Ok(()) };
        let local = self.local_target(local)?;
        let remote =
            self.conversation.absolute(&self.remote_path(remote)).map_err(ConversationError::from)?;
        let compared = self.sync_options(invocation)?;
        let comparison = match invocation.has(FAST_LETTER) {
            true => compared.comparison,
            false => FileComparison::Contents,
        };
        let options = SyncOptions { comparison, ..compared };
        let progress = self.watch(OperationKind::Check);
        let progress = match self.out.is_for_programs() {
            true => progress,
            false => progress.observed_by(Arc::new(ItemizeObserver(self.out.clone()))),
        };
        let context = self.context(&progress);
        let summary = transfer::check(context, &local, &remote, &options).await?;
        self.out.count_unchanged(summary.same, summary.trusted);
        self.report_exceptions(&summary.skipped, &summary.failures)?;
        if !self.out.is_quiet() {
            let plural = |count: u64, one, many| format!("{count} {}", if count == 1 { one } else { many });
            let same = plural(summary.same, "file is", "files are");
            let differences = plural(summary.differences, "difference", "differences");
            let unfinished = match summary.unfinished {
                0 => String::new(),
                count => format!(", {count} not compared"),
            };
            let trusted = trusted_words(summary.trusted);
            self.out.note(&format!("{same} the same, {differences}{unfinished}{trusted}\n"))?;
        }
        match summary.differences == 0 && summary.unfinished == 0 && summary.failures.is_empty() {
            true => Ok(()),
            false => Err(ShellError::Reported),
        }
    }

    /// With `--update`, the later of two times decides: warns if the clocks disagree.
    fn warn_of_clocks(&self, options: &SyncOptions) {
        let difference = self.conversation.clock_difference().unwrap_or_default();
        if options.update && difference > MAX_CLOCK_DIFFERENCE {
            warn(format_args!(
                "the clocks of this machine and of the server differ by {} s: --update may keep the older of two files",
                difference.as_secs()
            ));
        }
    }

    fn sync_options(&self, invocation: &Invocation) -> Result<SyncOptions, ShellError> {
        let number = |flag| invocation.value(flag).and_then(|value| value.parse().ok());
        let deletes = invocation.has(DELETE_LETTER) || invocation.has(DELETE_EXCLUDED_LETTER);
        if !deletes && invocation.has(MAX_DELETE_LETTER) {
            return Err(ShellError::Failed("--max-delete needs --delete".to_owned()));
        }
        let size = |flag| invocation.value(flag).and_then(|value| value::scaled_size(value).ok());
        let delete = deletes.then(|| DeleteOptions {
            excluded: invocation.has(DELETE_EXCLUDED_LETTER),
            max: number(MAX_DELETE_LETTER),
        });
        Ok(SyncOptions {
            filter: self.filter(invocation)?,
            comparison: match invocation.has('c') {
                true => FileComparison::StoredDigests,
                false => FileComparison::Times,
            },
            dry_run: invocation.has('n'),
            existing: invocation.has(EXISTING_LETTER),
            ignore_existing: invocation.has(IGNORE_EXISTING_LETTER),
            update: invocation.has('u'),
            min_size: size(MIN_SIZE_LETTER),
            max_size: size(MAX_SIZE_LETTER),
            delete,
            delta: invocation.delta(),
            // Invalid values were refused when the line was parsed.
            jobs: invocation.value(JOBS_LETTER).and_then(|jobs| jobs.parse().ok()).unwrap_or(self.jobs),
            ..SyncOptions::default()
        })
    }

    fn filter(&self, invocation: &Invocation) -> Result<Filter, ShellError> {
        let mut rules = FilterRules::default();
        for (flag, value) in invocation.values() {
            match flag {
                EXCLUDE_LETTER => rules.exclude(value),
                INCLUDE_LETTER => rules.include(value),
                EXCLUDE_FROM_LETTER => {
                    let path = self.local_path(value.as_bytes())?;
                    let text = std::fs::read_to_string(&path).map_err(|error| {
                        ShellError::Failed(format!(
                            "{}: cannot read the patterns: {error}",
                            names::shown(&path)
                        ))
                    })?;
                    rules.add_lines(&text);
                }
                _ => {}
            }
        }
        rules.build().map_err(|error| ShellError::Failed(error.to_string()))
    }

    /// The progress of a synchronisation. With `itemize` people get a line for each change.
    fn sync_progress(&self, direction: OperationKind, itemize: bool) -> ProgressDisplay {
        match itemize && !self.out.is_for_programs() {
            true => ProgressDisplay::new(false)
                .quiet(self.out.is_quiet())
                .observed_by(Arc::new(ItemizeObserver(self.out.clone()))),
            false => self.watch(direction),
        }
    }
}

/// Prints a line for each change, and for each difference. The format is stable: the action, a space, and the path at the destination, with a slash
/// at the end of a directory.
#[derive(Debug)]
struct ItemizeObserver(ShellOutput);

impl Observer for ItemizeObserver {
    fn begin(&self, _: u64, _: Option<u64>) {}
    fn grow(&self, _: u64, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn resume_at(&self, _: &[u8], _: u64) {}
    fn rewind(&self, _: u64) {}
    fn done(&self, _: &FinishedFile<'_>) {}
    fn linked(&self, _: &FinishedLink<'_>) {}
    fn retry(&self, _: &Retry<'_>) {}

    fn changes(&self, change: &SyncChange<'_>) {
        let slash = if change.is_directory { "/" } else { "" };
        let path = change.local.map_or_else(|| Escaped(change.path).to_string(), names::shown);
        // A closed output is noticed with the summary.
        let _ = self.0.print(format!("{} {path}{slash}\n", word(change.action)).as_bytes());
    }

    fn differs(&self, difference: &TreeDifference<'_>) {
        let TreeDifference { kind, path, is_directory } = *difference;
        let slash = if is_directory { "/" } else { "" };
        // As above.
        let _ = self.0.print(format!("{} {}{slash}\n", difference_word(kind), Escaped(path)).as_bytes());
    }
}

/// The word for a difference, in lines and in events.
pub(super) fn difference_word(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::OnlyLocal => "only-local",
        DifferenceKind::OnlyRemote => "only-remote",
        DifferenceKind::Differs => "differs",
    }
}

/// The word for an action, in lines and in events.
pub(super) fn word(action: SyncAction) -> &'static str {
    match action {
        SyncAction::Create => "create",
        SyncAction::Update => "update",
        SyncAction::Delete => "delete",
    }
}
