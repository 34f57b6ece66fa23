//! The progress bar of a transfer on a terminal, and the observers of its events.

use super::bar::{line_style, style};
use super::loss_lines::LossLines;
use super::reconnect::Retry;
use crate::messages::fitted;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{Digest, Status};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Smaller files of a multi-file transfer have no line of their own.
const OWN_LINE_BYTES: u64 = 8 << 20;

/// Redraws per second.
const REDRAWS_PER_SECOND: u8 = 10;

/// Receives the events of a transfer. It is called from several threads and must be quick.
pub trait Observer: Debug + Send + Sync {
    /// A transfer begins, of so many files and, where it is known, bytes.
    fn begin(&self, files: u64, bytes: Option<u64>);
    /// So many more files and bytes of it have been found.
    fn grow(&self, files: u64, bytes: Option<u64>);
    /// So many more bytes are through.
    fn advance(&self, bytes: u64);
    /// A file of this path on the server has begun, and so many bytes of it are there already: they count
    /// as through. 0 where what was there differs.
    fn resume_at(&self, remote: &[u8], offset: u64);
    /// So many bytes that were through, or were there, have to go again after a lost connection.
    fn rewind(&self, bytes: u64);
    /// A file is done with: verified, durable and under its name.
    fn done(&self, file: &FinishedFile<'_>);
    /// A symbolic link is made, or was there already.
    fn linked(&self, link: &FinishedLink<'_>);
    /// A connection is lost, and is about to be made again.
    fn retry(&self, retry: &Retry<'_>);
}

/// A file that is done with.
#[derive(Clone, Copy, Debug)]
pub struct FinishedFile<'a> {
    /// Its path on the server.
    pub remote: &'a [u8],
    /// Where it is on this side, where a get saved it.
    pub local: Option<&'a Path>,
    /// Its length in bytes.
    pub size: u64,
    /// The BLAKE3 of the whole file.
    pub digest: Option<Digest>,
    /// How many of its bytes were there from an earlier transfer, or an earlier connection of this one.
    pub resumed_at: u64,
    /// 204; or 202 for one that was there already and was not transferred.
    pub status: Status,
}

/// A symbolic link that is done with.
#[derive(Clone, Copy, Debug)]
pub struct FinishedLink<'a> {
    /// Its path on the server.
    pub remote: &'a [u8],
    /// Where it is on this side, where a get made it.
    pub local: Option<&'a Path>,
    /// What stands in it.
    pub target: &'a [u8],
    /// 204; or 202 for one that was there already.
    pub status: Status,
}

/// Shows how far a transfer has come: a line for a large file and, where there are several files,
/// one for all of them, with rate and time left. On standard error, and only on a terminal.
/// Clones are the same lines.
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

/// What all connections of a transfer have in common.
#[derive(Debug, Default)]
struct Total {
    line: Option<ProgressBar>,
    files: u64,
    files_done: u64,
}

/// What each connection of a transfer has for itself.
#[derive(Debug, Default)]
struct Own {
    file: Option<ProgressBar>,
    check: Option<ProgressBar>,
    retry: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// Draws on standard error if `terminal` says that it is one, else never draws anything.
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

    /// The same, but what is only worth knowing is kept quiet.
    #[must_use]
    pub fn quiet(self, quiet: bool) -> ProgressDisplay {
        ProgressDisplay { quiet, ..self }
    }

    /// The same, and says also what only somebody who looks closely wants to know.
    #[must_use]
    pub fn verbose(self, verbose: bool) -> ProgressDisplay {
        ProgressDisplay { verbose, ..self }
    }

    /// The same, and tells somebody besides.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> ProgressDisplay {
        ProgressDisplay { observer: Some(observer), ..self }
    }

    /// The same transfer over another connection: the total is shared, the files have lines of their own.
    #[must_use]
    pub(super) fn beside(&self) -> ProgressDisplay {
        ProgressDisplay { own: Arc::default(), losses: self.losses.beside(), ..self.clone() }
    }

    /// Who else is told.
    pub(super) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.clone()
    }

    /// Prints a line above the progress, without disturbing it; `line` is safe to show.
    pub fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        // Where nobody can hear it, it is lost, and nothing else is.
        let _ = self.lines.suspend(|| writeln!(std::io::stderr(), "{}", fitted(line)));
    }

    /// The same, for those who look closely.
    pub(super) fn detail(&self, line: &str) {
        if self.verbose {
            self.say(line);
        }
    }

    /// Whether anybody sees or hears it; if not, nobody needs to count for it.
    pub(super) fn is_shown(&self) -> bool {
        self.shown || self.observer.is_some()
    }

    /// A transfer begins, of so many files and, where it is known, bytes.
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

    /// So many more files of the transfer have been found, and so many bytes.
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

    /// A stream begins, or begins again; nobody need know its length.
    pub(super) fn begin_stream(&self, name: &[u8], size: Option<u64>) {
        self.with(|_, own| {
            let line = self.line(size);
            line.set_message(Escaped(name).to_string());
            own.file = Some(line);
        });
    }

    /// So many more bytes are through.
    pub(super) fn advance(&self, bytes: u64) {
        if let Some(observer) = &self.observer {
            observer.advance(bytes);
        }
        self.with(|total, own| {
            let lines = [&total.line, &own.file];
            lines.into_iter().flatten().for_each(|line| line.inc(bytes));
        });
    }

    /// So many bytes of the file that has begun are there already. They do not count for the rate.
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

    /// So many bytes that were through have to go again, and what was under way is under way no more.
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

    /// So much of a part of so many bytes has been compared.
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

    /// The part that was compared is compared.
    pub(super) fn end_check(&self) {
        self.with(|_, own| clear(&mut own.check));
    }

    /// The connection is lost, and is about to be made again.
    pub(super) fn begin_retry(&self, retry: &Retry<'_>) {
        if let Some(observer) = &self.observer {
            observer.retry(retry);
        }
        let Retry { why, pause, attempt, attempts } = retry;
        let pause = pause.as_secs_f32();
        let words = format!("connection lost; trying again in {pause} s ({attempt} of {attempts}): {why}");
        // A link that is lost is lost to all connections, and is one line.
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

    /// The connection has been made again, or not.
    pub(super) fn end_retry(&self) {
        self.with(|_, own| clear(&mut own.retry));
    }

    /// The file that began last is through, or failed.
    pub(super) fn end_file(&self) {
        self.with(|total, own| {
            clear(&mut own.file);
            total.files_done += 1;
            if let Some(line) = &total.line {
                line.set_message(total_words(total.files_done, total.files));
            }
        });
    }

    /// This connection has nothing more to do: its lines go.
    pub(super) fn leave(&self) {
        self.with(|_, own| {
            let Own { file, check, retry } = own;
            [file, check, retry].into_iter().for_each(clear);
        });
    }

    /// The transfer is over: the lines go.
    pub(super) fn finish(&self) {
        self.leave();
        self.with(|total, _| {
            clear(&mut total.line);
            *total = Total::default();
        });
        // A terminal that is gone is no failure of the transfer.
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
