//! The progress bar of a transfer on a terminal.

use super::bar::{line_style, style};
use super::loss_lines::LossLines;
use super::observer::Observer;
use super::reconnect::Retry;
use crate::messages::fitted;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use sshome_wire::display::{Escaped, Size};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Smaller files of a multi-file transfer have no line of their own.
const OWN_LINE_BYTES: u64 = 8 << 20;

/// Redraws per second.
const REDRAWS_PER_SECOND: u8 = 10;

/// Shows the progress of a transfer on standard error, if that is a terminal: a line for each large file and, with
/// several files, one for all of them, with rate and remaining time. Clones share the lines.
#[derive(Clone, Debug)]
pub struct ProgressDisplay {
    lines: MultiProgress,
    shown: bool,
    quiet: bool,
    verbose: bool,
    total: Arc<Mutex<Total>>,
    own: Arc<Mutex<Own>>,
    losses: LossLines,
    observer: Option<Arc<dyn Observer>>,
}

/// The state that all connections of a transfer share.
#[derive(Debug, Default)]
struct Total {
    line: Option<ProgressBar>,
    /// The line of a file that several connections fetch or send, with its name.
    shared: Option<(Vec<u8>, ProgressBar)>,
    files: u64,
    files_done: u64,
}

/// The state of one connection of a transfer.
#[derive(Debug, Default)]
struct Own {
    file: Option<ProgressBar>,
    check: Option<ProgressBar>,
    retry: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// Draws on standard error if `terminal` is set, and never otherwise.
    #[must_use]
    pub fn new(terminal: bool) -> ProgressDisplay {
        let target = match terminal {
            true => ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND),
            false => ProgressDrawTarget::hidden(),
        };
        let lines = MultiProgress::with_draw_target(target);
        let (total, own) = <(Arc<Mutex<Total>>, Arc<Mutex<Own>>)>::default();
        let losses = LossLines::default();
        ProgressDisplay {
            lines,
            shown: terminal,
            quiet: false,
            verbose: false,
            total,
            own,
            losses,
            observer: None,
        }
    }

    /// The same, without notices.
    #[must_use]
    pub fn quiet(self, quiet: bool) -> ProgressDisplay {
        ProgressDisplay { quiet, ..self }
    }

    /// The same, with verbose notices.
    #[must_use]
    pub fn verbose(self, verbose: bool) -> ProgressDisplay {
        ProgressDisplay { verbose, ..self }
    }

    /// The same, with an observer.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> ProgressDisplay {
        ProgressDisplay { observer: Some(observer), ..self }
    }

    /// The progress of another connection of the same transfer: it shares the total, and has its own lines for files.
    #[must_use]
    pub(super) fn beside(&self) -> ProgressDisplay {
        ProgressDisplay { own: Arc::default(), losses: self.losses.beside(), ..self.clone() }
    }

    /// The observer, if there is one.
    pub(super) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.clone()
    }

    /// Lets the observer print something above the progress bars.
    pub(super) fn with_observer(&self, print: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = &self.observer {
            self.lines.suspend(|| print(&**observer));
        }
    }

    /// Prints a line above the progress bars. `line` must be safe to show.
    pub fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        // If standard error is closed, only the line is lost.
        let _ = self.lines.suspend(|| writeln!(std::io::stderr(), "{}", fitted(line)));
    }

    /// The same, if verbose.
    pub(super) fn detail(&self, line: &str) {
        if self.verbose {
            self.say(line);
        }
    }

    /// Whether there are progress bars or an observer. If not, nothing needs to be counted.
    pub(super) fn is_shown(&self) -> bool {
        self.shown || self.observer.is_some()
    }

    /// A transfer begins. `bytes` is `None` if the total is not known.
    pub(super) fn begin(&self, files: u64, bytes: Option<u64>) {
        if let Some(observer) = &self.observer {
            observer.begin(files, bytes);
        }
        self.with(|total, _| {
            total.files = files;
            if files > 1 {
                let line = self.line(bytes);
                line.set_message(total_words(0, files));
                total.line = Some(line);
            }
        });
    }

    /// More files and bytes of the transfer were found.
    pub(super) fn grow(&self, files: u64, bytes: Option<u64>) {
        if let Some(observer) = &self.observer {
            observer.grow(files, bytes);
        }
        self.with(|total, _| {
            total.files += files;
            if let Some(line) = &total.line {
                line.inc_length(bytes.unwrap_or(0));
                line.set_message(total_words(total.files_done, total.files));
            } else if total.files > 1 {
                total.line = Some(self.line(bytes));
            }
        });
    }

    /// A file begins.
    pub(super) fn begin_file(&self, name: &[u8], size: u64) {
        self.with(|total, own| {
            if total.files <= 1 || size >= OWN_LINE_BYTES {
                let line = self.line(Some(size));
                line.set_message(Escaped(name).to_string());
                own.file = Some(line);
            }
        });
    }

    /// A connection works on a file that others work on, too.
    pub(super) fn begin_shared_file(&self, name: &[u8], size: u64) {
        self.with(|total, own| {
            if total.shared.as_ref().is_none_or(|(shared, _)| shared != name) {
                let line = self.line(Some(size));
                line.set_message(Escaped(name).to_string());
                total.shared = Some((name.to_vec(), line));
            }
            own.file = total.shared.as_ref().map(|(_, line)| line.clone());
        });
    }

    /// The connection no longer works on that file. `bytes` of those that counted as transferred must be transferred again.
    pub(super) fn leave_shared_file(&self, bytes: u64) {
        self.rewind_shared(bytes);
        self.with(|_, own| own.file = None);
    }

    /// Bytes of that file that counted as transferred must be transferred again.
    pub(super) fn rewind_shared(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if let Some(observer) = &self.observer {
            observer.rewind(bytes);
        }
        self.with(|total, _| {
            let shared = total.shared.as_ref().map(|(_, line)| line);
            for line in total.line.iter().chain(shared) {
                line.set_position(line.position().saturating_sub(bytes));
            }
        });
    }

    /// A file that several connections work on is finished, or failed.
    pub(super) fn end_shared_file(&self) {
        self.with(|total, own| own.file = total.shared.take().map(|(_, line)| line).or(own.file.take()));
        self.end_file();
    }

    /// A stream begins, or begins again. Its length may be unknown.
    pub(super) fn begin_stream(&self, name: &[u8], size: Option<u64>) {
        self.with(|_, own| {
            let line = self.line(size);
            line.set_message(Escaped(name).to_string());
            own.file = Some(line);
        });
    }

    /// Bytes were transferred.
    pub(super) fn advance(&self, bytes: u64) {
        if let Some(observer) = &self.observer {
            observer.advance(bytes);
        }
        self.with(|total, own| {
            let lines = [&total.line, &own.file];
            lines.into_iter().flatten().for_each(|line| line.inc(bytes));
        });
    }

    /// The current file resumes after `offset` bytes. They do not count for the rate.
    pub(super) fn resume_at(&self, remote: &[u8], offset: u64) {
        if let Some(observer) = &self.observer {
            observer.resume_at(remote, offset);
        }
        self.with(|total, own| {
            for line in [&total.line, &own.file].into_iter().flatten() {
                line.inc(offset);
                line.reset_eta();
            }
            if let Some(line) = &own.file
                && offset > 0
            {
                line.set_message(format!("{}, resumed at {}", line.message(), Size(offset)));
            }
        });
    }

    /// Bytes that counted as transferred must be transferred again, and no file is in progress.
    pub(super) fn rewind(&self, bytes: u64) {
        if let Some(observer) = &self.observer {
            observer.rewind(bytes);
        }
        self.with(|total, own| {
            if let Some(line) = &total.line {
                line.set_position(line.position().saturating_sub(bytes));
            }
            clear(&mut own.file);
        });
    }

    /// `done` of `total` bytes of a partial file were compared.
    pub(super) fn check(&self, name: &[u8], done: u64, total: u64) {
        self.with(|_, own| {
            let line = own.check.get_or_insert_with(|| {
                let line = self.line(Some(total));
                line.set_message(format!("checking {}", Escaped(name)));
                line
            });
            line.set_position(done);
        });
    }

    /// The comparison of a partial file is finished.
    pub(super) fn end_check(&self) {
        self.with(|_, own| clear(&mut own.check));
    }

    /// The connection was lost; a retry follows.
    pub(super) fn begin_retry(&self, retry: &Retry<'_>) {
        self.announce("connection lost", retry);
    }

    /// The server is busy; a retry follows.
    pub(super) fn begin_pause(&self, retry: &Retry<'_>) {
        self.announce("the server is busy", retry);
    }

    fn announce(&self, what: &str, retry: &Retry<'_>) {
        if let Some(observer) = &self.observer {
            observer.retry(retry);
        }
        let Retry { why, pause, attempt, attempts } = retry;
        let pause = pause.as_secs_f32();
        let words = format!("{what}; trying again in {pause} s ({attempt} of {attempts}): {why}");
        // A network link is usually lost to all connections at once: that is reported once.
        if !self.losses.is_news(&words) {
            return;
        }
        if !self.shown {
            self.say(&format!("sshome: {words}"));
        }
        self.with(|_, own| {
            let line = self.lines.add(ProgressBar::no_length().with_style(style("{wide_msg}")));
            line.set_message(words);
            own.retry = Some(line);
        });
    }

    /// The retry succeeded or failed.
    pub(super) fn end_retry(&self) {
        self.with(|_, own| clear(&mut own.retry));
    }

    /// The current file is sent again later.
    pub(super) fn end_file_early(&self) {
        self.with(|_, own| clear(&mut own.file));
    }

    /// The current file is finished, or failed.
    pub(super) fn end_file(&self) {
        self.with(|total, own| {
            clear(&mut own.file);
            total.files_done += 1;
            if let Some(line) = &total.line {
                line.set_message(total_words(total.files_done, total.files));
            }
        });
    }

    /// A file that was finished is transferred again, `bytes` of which counted as transferred.
    pub(super) fn repeat_file(&self, bytes: u64) {
        self.rewind(bytes);
        self.with(|total, _| total.files_done = total.files_done.saturating_sub(1));
    }

    /// Removes the lines of this connection, which has no more work.
    pub(super) fn leave(&self) {
        self.with(|_, own| {
            let Own { file, check, retry } = own;
            [file, check, retry].into_iter().for_each(clear);
        });
    }

    /// Removes all lines at the end of the transfer.
    pub(super) fn finish(&self) {
        self.leave();
        self.with(|total, _| {
            clear(&mut total.line);
            *total = Total::default();
        });
        // A closed terminal is not a failure of the transfer.
        let _ = self.lines.clear();
    }

    fn with(&self, work: impl FnOnce(&mut Total, &mut Own)) {
        if self.shown {
            let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut total, &mut self.own.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn line(&self, bytes: Option<u64>) -> ProgressBar {
        let line = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
        self.lines.add(line.with_style(line_style()))
    }
}

fn clear(line: &mut Option<ProgressBar>) {
    if let Some(line) = line.take() {
        line.finish_and_clear();
    }
}

fn total_words(done: u64, files: u64) -> String {
    format!("{done} of {files} files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_without_a_terminal() {
        let progress = ProgressDisplay::new(false);
        progress.begin(3, None);
        progress.begin_file(b"a", 1 << 30);
        assert!(progress.total.lock().unwrap().line.is_none());
        progress.finish();
    }
}
