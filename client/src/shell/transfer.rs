//! `get` and `put`.

use super::event::{OperationKind, OutputEvent};
use super::failure_text::one_line_per_cause;
use super::flag::{ALL_LETTER, JOBS_LETTER};
use super::invocation::Invocation;
use super::stream_usage::is_stream;
use super::tilde;
use super::words::Word;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::messages::warn;
use crate::names;
use crate::ssh::Connection;
use crate::transfer::{
    self, CappedList, Failure, ProgressDisplay, TransferContext, TransferOptions, TransferSummary,
};
use sshome_wire::display::Size;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Shell {
    pub(super) async fn get(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if is_stream(invocation) {
            return self.get_stream(invocation).await;
        }
        let (sources, target) = sources_and_target(&invocation.operands);
        let target = match target {
            Some(word) => self.local_target(word)?,
            None => self.local.clone(),
        };
        if sources.len() > 1 && !target.is_dir() {
            let target = names::shown(&target);
            return Err(ShellError::Failed(format!(
                "{target} is not a directory: with several sources the target must be one"
            )));
        }
        let mut paths = Vec::new();
        for path in self.remote_paths(sources).await? {
            paths.push(self.conversation.absolute(&path).map_err(ConversationError::from)?);
        }
        let (progress, options) = (self.watch(OperationKind::Get), self.options(invocation));
        let context = self.context(&progress);
        let begun = Instant::now();
        let summary = transfer::get(context, &paths, &target, options).await?;
        self.report(&summary, begun.elapsed())
    }

    pub(super) async fn put(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if is_stream(invocation) {
            return self.put_stream(invocation).await;
        }
        let (sources, target) = sources_and_target(&invocation.operands);
        let target = match target {
            Some(word) => {
                self.conversation.absolute(&self.remote_path(word)).map_err(ConversationError::from)?
            }
            // The current directory, even if it was removed meanwhile: no file may get its name.
            None => self.conversation.absolute(b".").map_err(ConversationError::from)?,
        };
        if sources.len() > 1 {
            self.directory(target.as_bytes()).await?;
        }
        let paths = self.local_paths(sources).await?;
        let (progress, options) = (self.watch(OperationKind::Put), self.options(invocation));
        let context = self.context(&progress);
        let begun = Instant::now();
        let summary = transfer::put(context, &paths, &target, options).await?;
        self.report(&summary, begun.elapsed())
    }

    /// The local path that a word means as the target of a transfer. A `~` in the program's arguments was expanded by the
    /// other shell.
    pub(super) fn local_target(&self, word: &Word) -> Result<PathBuf, ShellError> {
        match self.arguments {
            true => self.local_path(&word.bytes()),
            false => self.local_path(&tilde::expand(word)?.bytes()),
        }
    }

    pub(super) fn context<'a>(&'a mut self, progress: &'a ProgressDisplay) -> TransferContext<'a> {
        TransferContext {
            conversation: &mut self.conversation,
            cancel: &self.cancel,
            progress,
            reconnect: self.connection.as_mut().map(|connection| connection as _),
        }
    }

    fn options(&self, invocation: &Invocation) -> TransferOptions {
        TransferOptions {
            recursive: invocation.has('r'),
            preserve: invocation.has('p'),
            follow: invocation.has('L'),
            all: invocation.has(ALL_LETTER),
            force: invocation.has('f') || self.batch,
            delta: invocation.delta(),
            // Invalid values were refused when the line was parsed.
            jobs: invocation.value(JOBS_LETTER).and_then(|jobs| jobs.parse().ok()).unwrap_or(self.jobs),
            ..TransferOptions::default()
        }
    }

    /// The progress bars or the observer of a transfer.
    pub(super) fn watch(&self, direction: OperationKind) -> ProgressDisplay {
        if let Some(job) = &self.job {
            return ProgressDisplay::new(false).quiet(true).observed_by(Arc::clone(job) as _);
        }
        let drawn = self.progress && std::io::stderr().is_terminal();
        let verbose = self.connection.as_ref().is_some_and(Connection::is_verbose);
        let progress = ProgressDisplay::new(drawn).quiet(self.out.is_quiet()).verbose(verbose);
        match self.out.observer(direction) {
            Some(observer) => progress.observed_by(observer),
            None => progress,
        }
    }

    pub(super) fn toggle_progress(&mut self) -> Result<(), ShellError> {
        self.progress = !self.progress;
        self.out.say(if self.progress { "progress is shown\n" } else { "progress is not shown\n" })
    }

    /// Reports what was skipped, and what failed.
    pub(super) fn report_exceptions(
        &self,
        skipped: &CappedList<Failure>,
        failures: &CappedList<Failure>,
    ) -> Result<(), ShellError> {
        for Failure { what, why, .. } in skipped.iter() {
            warn(format_args!("{what}: {why}"));
            self.out.event(&OutputEvent::Skipped { what, message: why })?;
        }
        warn_more(skipped.more(), "entries that were skipped");
        for (failure, text) in failures.iter().zip(one_line_per_cause(failures)) {
            self.out.not_transferred(failure, text.as_deref());
        }
        self.out.not_listed(failures.more());
        Ok(())
    }

    pub(super) fn report(&self, summary: &TransferSummary, elapsed: Duration) -> Result<(), ShellError> {
        self.out.count_spared(summary);
        self.report_exceptions(&summary.skipped, &summary.failures)?;
        for saved in summary.saved_as.iter() {
            let short = |path: &Path| names::shown(path.strip_prefix(&self.local).unwrap_or(path));
            let (wanted, saved) = (short(&saved.wanted), short(&saved.saved));
            self.out.note(&format!("saved as {saved}: {wanted} has other content\n"))?;
        }
        warn_more(summary.saved_as.more(), "files that were saved under new names");
        if !self.out.is_quiet() {
            for resumed in summary.resumed.iter() {
                self.out.note(&format!("{resumed}\n"))?;
            }
            warn_more(summary.resumed.more(), "files that were resumed");
            self.out.note(&line(summary, elapsed))?;
        }
        if summary.failures.is_empty() { Ok(()) } else { Err(ShellError::Reported) }
    }
}

/// Reports the number of further items that were not listed.
fn warn_more(count: u64, of_what: &str) {
    if count > 0 {
        warn(format_args!("and {count} more {of_what}"));
    }
}

/// Splits operands into sources and a target: the last of several is the target.
fn sources_and_target(operands: &[Word]) -> (&[Word], Option<&Word>) {
    match operands.split_last() {
        Some((target, sources)) if !sources.is_empty() => (sources, Some(target)),
        _ => (operands, None),
    }
}

/// The summary line: number, size and rate of the files, and unchanged files.
fn line(summary: &TransferSummary, elapsed: Duration) -> String {
    let files = |count: u64| format!("{count} {}", if count == 1 { "file" } else { "files" });
    let seconds = elapsed.as_secs_f64();
    // The precision suffices: a rate is shown with four digits.
    let rate = summary.bytes as f64 / seconds.max(0.001);
    let mut out = format!("{}, {} in {seconds:.1} s", files(summary.files), Size(summary.bytes));
    if summary.bytes > 0 {
        out.push_str(&format!(" ({}/s)", Size(rate as u64)));
    }
    if summary.matched > 0 {
        out.push_str(&format!(", {} of it in old versions", Size(summary.matched)));
    }
    if summary.copied > 0 {
        out.push_str(&format!(", {} of it copied on the server", Size(summary.copied)));
    }
    let links = if summary.links == 1 { "link" } else { "links" };
    let counts = [
        (summary.links, links),
        (summary.unchanged, "unchanged"),
        (summary.deleted, "deleted"),
        (summary.failures.count(), "failed"),
    ];
    for (count, what) in counts {
        if count > 0 {
            out.push_str(&format!(", {count} {what}"));
        }
    }
    out.push_str(&trusted_words(summary.trusted));
    if summary.saved > 0 {
        out.push_str(&format!(", saved by compression: {}", Size(summary.saved)));
    }
    out + "\n"
}

/// The part of a summary line about files that the server did not read.
pub(super) fn trusted_words(files: u64) -> String {
    match files {
        0 => String::new(),
        files => format!(", {files} compared by the server's stored digests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let mut summary = TransferSummary { files: 1, bytes: 3 << 20, ..TransferSummary::default() };
        assert_eq!(line(&summary, Duration::from_millis(1500)), "1 file, 3.0 MiB in 1.5 s (2.0 MiB/s)\n");
        summary.matched = 2 << 20;
        let delta = "1 file, 3.0 MiB in 1.5 s (2.0 MiB/s), 2.0 MiB of it in old versions\n";
        assert_eq!(line(&summary, Duration::from_millis(1500)), delta);
        (summary.matched, summary.copied) = (0, 1 << 20);
        let copied = "1 file, 3.0 MiB in 1.5 s (2.0 MiB/s), 1.0 MiB of it copied on the server\n";
        assert_eq!(line(&summary, Duration::from_millis(1500)), copied);
        (summary.copied, summary.saved) = (0, 2 << 20);
        let text = line(&summary, Duration::from_secs(1));
        assert_eq!(text, "1 file, 3.0 MiB in 1.0 s (3.0 MiB/s), saved by compression: 2.0 MiB\n");
        summary = TransferSummary { unchanged: 2, ..TransferSummary::default() };
        assert_eq!(line(&summary, Duration::ZERO), "0 files, 0 B in 0.0 s, 2 unchanged\n");
        summary.trusted = 1;
        let trusted = "0 files, 0 B in 0.0 s, 2 unchanged, 1 compared by the server's stored digests\n";
        assert_eq!(line(&summary, Duration::ZERO), trusted);
    }

    #[test]
    fn the_last_of_several_is_the_target() {
        let words = [Word::plain(b"a"), Word::plain(b"b"), Word::plain(b"c")];
        assert_eq!(sources_and_target(&words), (&words[..2], Some(&words[2])));
        assert_eq!(sources_and_target(&words[..1]), (&words[..1], None));
    }
}
