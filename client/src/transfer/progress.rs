//! How far a transfer has come, on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{Digest, Status};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A file of fewer bytes than this has no line of its own where there are several.
const OWN_LINE: u64 = 8 << 20;

/// Times a second that lines are drawn.
const HERTZ: u8 = 10;

// `wide_msg` takes what is left of the terminal's width, and cuts the name to it.
const KNOWN: &str =
    "{wide_msg} {bar:12} {binary_bytes:>10} of {binary_total_bytes:>10} {binary_bytes_per_sec:>12} {eta:>4}";
const UNKNOWN: &str = "{wide_msg} {binary_bytes:>10} {binary_bytes_per_sec:>12}";

/// Somebody who hears how a transfer goes, besides who sees it on a terminal. It is told from several
/// threads, and should not take long.
pub trait Observer: Debug + Send + Sync {
    /// A transfer begins, of so many files and, where it is known, bytes.
    fn begin(&self, files: u64, bytes: Option<u64>);
    /// So many more bytes are through.
    fn advance(&self, bytes: u64);
    /// So many bytes of the file that has begun are there already, and count as through.
    fn resume_at(&self, offset: u64);
    /// So many bytes that were through, or were there, have to go again after a lost connection.
    fn rewind(&self, bytes: u64);
    /// A file is done with: verified, durable and under its name.
    fn done(&self, file: &Done<'_>);
}

/// A file that is done with.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
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

/// Shows how far a transfer has come: a line for a large file and, where there are several files,
/// one for all of them, with rate and time left. On standard error, and only on a terminal.
/// Clones are the same lines.
#[derive(Clone, Debug)]
pub struct Progress {
    lines: MultiProgress,
    shown: bool,
    quiet: bool,
    state: Arc<Mutex<State>>,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Debug, Default)]
struct State {
    total: Option<ProgressBar>,
    file: Option<ProgressBar>,
    check: Option<ProgressBar>,
    files: u64,
    files_done: u64,
}

impl Progress {
    /// Draws on standard error if `terminal` says that it is one, else never draws anything.
    #[must_use]
    pub fn new(terminal: bool) -> Progress {
        let target = match terminal {
            true => ProgressDrawTarget::stderr_with_hz(HERTZ),
            false => ProgressDrawTarget::hidden(),
        };
        let lines = MultiProgress::with_draw_target(target);
        Progress { lines, shown: terminal, quiet: false, state: Arc::default(), observer: None }
    }

    /// The same, but what is only worth knowing is kept quiet.
    #[must_use]
    pub fn quiet(self, quiet: bool) -> Progress {
        Progress { quiet, ..self }
    }

    /// The same, and tells somebody besides.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Progress {
        Progress { observer: Some(observer), ..self }
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
        let _ = self.lines.suspend(|| writeln!(std::io::stderr(), "{line}"));
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
        self.with(|state| {
            state.files = files;
            if files > 1 {
                let line = self.line(bytes);
                line.set_message(total_words(0, files));
                state.total = Some(line);
            }
        });
    }

    /// A file begins.
    pub(super) fn begin_file(&self, name: &[u8], size: u64) {
        self.with(|state| {
            if state.files <= 1 || size >= OWN_LINE {
                let line = self.line(Some(size));
                line.set_message(Escaped(name).to_string());
                state.file = Some(line);
            }
        });
    }

    /// A stream begins, or begins again; nobody need know its length.
    pub(super) fn begin_stream(&self, name: &[u8], size: Option<u64>) {
        self.with(|state| {
            let line = self.line(size);
            line.set_message(Escaped(name).to_string());
            state.file = Some(line);
        });
    }

    /// So many more bytes are through.
    pub(super) fn advance(&self, bytes: u64) {
        if let Some(observer) = &self.observer {
            observer.advance(bytes);
        }
        self.with(|state| {
            let lines = [&state.total, &state.file];
            lines.into_iter().flatten().for_each(|line| line.inc(bytes));
        });
    }

    /// So many bytes of the file that has begun are there already. They do not count for the rate.
    pub(super) fn resume_at(&self, offset: u64) {
        if let Some(observer) = &self.observer {
            observer.resume_at(offset);
        }
        self.with(|state| {
            for line in [&state.total, &state.file].into_iter().flatten() {
                line.inc(offset);
                line.reset_eta();
            }
            if let Some(line) = &state.file {
                line.set_message(format!("{}, resumed at {}", line.message(), Size(offset)));
            }
        });
    }

    /// So many bytes that were through have to go again, and what was under way is under way no more.
    pub(super) fn rewind(&self, bytes: u64) {
        if let Some(observer) = &self.observer {
            observer.rewind(bytes);
        }
        self.with(|state| {
            if let Some(line) = &state.total {
                line.set_position(line.position().saturating_sub(bytes));
            }
            if let Some(line) = state.file.take() {
                line.finish_and_clear();
            }
        });
    }

    /// So much of a part of so many bytes has been compared.
    pub(super) fn check(&self, name: &[u8], done: u64, total: u64) {
        self.with(|state| {
            let line = state.check.get_or_insert_with(|| {
                let line = self.line(Some(total));
                line.set_message(format!("checking {}", Escaped(name)));
                line
            });
            line.set_position(done);
        });
    }

    /// The part that was compared is compared.
    pub(super) fn end_check(&self) {
        self.with(end_check);
    }

    /// The file that began last is through, or failed.
    pub(super) fn end_file(&self) {
        self.with(|state| {
            if let Some(line) = state.file.take() {
                line.finish_and_clear();
            }
            state.files_done += 1;
            if let Some(line) = &state.total {
                line.set_message(total_words(state.files_done, state.files));
            }
        });
    }

    /// The transfer is over: the lines go.
    pub(super) fn finish(&self) {
        self.with(|state| {
            let lines = [state.total.take(), state.file.take(), state.check.take()];
            lines.into_iter().flatten().for_each(|line| line.finish_and_clear());
            *state = State::default();
        });
        // A terminal that is gone is no failure of the transfer.
        let _ = self.lines.clear();
    }

    fn with(&self, work: impl FnOnce(&mut State)) {
        if self.shown {
            work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn line(&self, bytes: Option<u64>) -> ProgressBar {
        let (line, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), KNOWN),
            None => (ProgressBar::no_length(), UNKNOWN),
        };
        // The templates are ours; `templates_are_understood` checks them.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.lines.add(line.with_style(style.progress_chars("##-")))
    }
}

fn end_check(state: &mut State) {
    if let Some(line) = state.check.take() {
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
    fn templates_are_understood() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn nothing_is_drawn_without_a_terminal() {
        let progress = Progress::new(false);
        progress.begin(3, None);
        progress.begin_file(b"a", 1 << 30);
        assert!(progress.state.lock().unwrap().total.is_none());
        progress.finish();
    }
}
