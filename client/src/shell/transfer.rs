//! `get` and `put`.

use super::command::{Invocation, JOBS};
use super::event::{Direction, Event};
use super::words::Word;
use super::{Shell, ShellError, local, stream};
use crate::conversation::ConversationError;
use crate::messages::tell;
use crate::names;
use crate::ssh::Connection;
use crate::transfer::{self, Context, Failure, Options, Progress, Summary};
use sshome_wire::Status;
use sshome_wire::display::Size;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Up to so many failures of one cause are told by a line each.
const MAX_LINES_PER_CAUSE: u64 = 3;

impl Shell {
    pub(super) async fn get(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if stream::is_stream(invocation) {
            return self.get_stream(invocation).await;
        }
        let (sources, target) = sources_and_target(&invocation.operands);
        let target = match target {
            Some(word) if self.arguments => self.local_path(&word.bytes())?,
            Some(word) => self.local_path(&local::at_home(word)?.bytes())?,
            None => self.local.clone(),
        };
        if sources.len() > 1 && !target.is_dir() {
            let target = names::shown(&target);
            return Err(ShellError::Failed(format!(
                "{target} is no directory: with several names the last must be one"
            )));
        }
        let mut paths = Vec::new();
        for path in self.remote_paths(sources).await? {
            paths.push(self.conversation.absolute(&path).map_err(ConversationError::from)?);
        }
        let (progress, options) = (self.watch(Direction::Get), self.options(invocation));
        let context = self.context(&progress);
        let begun = Instant::now();
        let summary = transfer::get(context, &paths, &target, options).await?;
        self.report(&summary, begun.elapsed())
    }

    pub(super) async fn put(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if stream::is_stream(invocation) {
            return self.put_stream(invocation).await;
        }
        let (sources, target) = sources_and_target(&invocation.operands);
        let target = match target {
            Some(word) => self.conversation.absolute(&word.bytes()).map_err(ConversationError::from)?,
            // A directory, also if it is gone meanwhile: no file may get its name.
            None => self.conversation.absolute(b".").map_err(ConversationError::from)?,
        };
        if sources.len() > 1 {
            self.directory(target.as_bytes()).await?;
        }
        let paths = self.local_paths(sources).await?;
        let (progress, options) = (self.watch(Direction::Put), self.options(invocation));
        let context = self.context(&progress);
        let begun = Instant::now();
        let summary = transfer::put(context, &paths, &target, options).await?;
        self.report(&summary, begun.elapsed())
    }

    pub(super) fn context<'a>(&'a mut self, progress: &'a Progress) -> Context<'a> {
        Context {
            conversation: &mut self.conversation,
            interrupt: &self.interrupt,
            progress,
            reconnect: self.connection.as_mut().map(|connection| connection as _),
        }
    }

    fn options(&self, invocation: &Invocation) -> Options {
        Options {
            recursive: invocation.has('r'),
            preserve: invocation.has('p'),
            follow: invocation.has('L'),
            force: invocation.has('f') || self.batch,
            // What cannot be read was refused with the line.
            jobs: invocation.value(JOBS).and_then(|jobs| jobs.parse().ok()).unwrap_or(self.jobs),
            portion: Options::PORTION,
        }
    }

    /// Whoever wants to know how a transfer goes.
    pub(super) fn watch(&self, direction: Direction) -> Progress {
        let drawn = self.progress && std::io::stderr().is_terminal();
        let verbose = self.connection.as_ref().is_some_and(Connection::is_verbose);
        let progress = Progress::new(drawn).quiet(self.out.is_quiet()).verbose(verbose);
        match self.out.observer(direction) {
            Some(observer) => progress.observed_by(observer),
            None => progress,
        }
    }

    pub(super) fn toggle_progress(&mut self) -> Result<(), ShellError> {
        self.progress = !self.progress;
        self.out.say(if self.progress { "progress is shown\n" } else { "progress is not shown\n" })
    }

    pub(super) fn report(&self, summary: &Summary, elapsed: Duration) -> Result<(), ShellError> {
        for Failure { what, why, .. } in summary.skipped.iter() {
            tell(format_args!("{what}: {why}"));
            self.out.event(&Event::Skipped { what, message: why })?;
        }
        tell_more(summary.skipped.more(), "special files, which were left out");
        for (failure, text) in summary.failures.iter().zip(one_line_per_cause(&summary.failures)) {
            self.out.not_transferred(failure, text.as_deref());
        }
        self.out.not_listed(summary.failures.more());
        for saved in summary.saved_as.iter() {
            let short = |path: &Path| names::shown(path.strip_prefix(&self.local).unwrap_or(path));
            let (wanted, saved) = (short(&saved.wanted), short(&saved.saved));
            self.out.note(&format!("saved as {saved}: {wanted} has other content\n"))?;
        }
        tell_more(summary.saved_as.more(), "files that were saved beside others");
        if !self.out.is_quiet() {
            for resumed in summary.resumed.iter() {
                self.out.note(&format!("{resumed}\n"))?;
            }
            tell_more(summary.resumed.more(), "files that were resumed");
            self.out.note(&line(summary, elapsed))?;
        }
        if summary.failures.is_empty() { Ok(()) } else { Err(ShellError::Reported) }
    }
}

/// Says that there is more of what was told one by one.
fn tell_more(count: u64, of_what: &str) {
    if count > 0 {
        tell(format_args!("and {count} more {of_what}"));
    }
}

/// The last of several operands is where to.
fn sources_and_target(operands: &[Word]) -> (&[Word], Option<&Word>) {
    match operands.split_last() {
        Some((target, sources)) if !sources.is_empty() => (sources, Some(target)),
        _ => (operands, None),
    }
}

/// The line for each failure; `None` if it has the cause of an earlier one that many share.
fn one_line_per_cause(failures: &[Failure]) -> Vec<Option<String>> {
    let mut counts: HashMap<_, u64> = HashMap::new();
    failures.iter().for_each(|failure| *counts.entry(cause(failure)).or_default() += 1);
    let line = |failure| match counts.get_mut(&cause(failure)).map(|count| (*count, count)) {
        Some((0, _)) => None,
        Some((many, count)) if many > MAX_LINES_PER_CAUSE => {
            *count = 0;
            Some(format!("{}; and {} more for the same reason", shown(failure), many - 1))
        }
        _ => Some(shown(failure)),
    };
    failures.iter().map(line).collect()
}

/// What failures of one cause have in common: all but their names and numbers.
fn cause(Failure { what, why, status }: &Failure) -> (Option<u16>, String) {
    let name = what.rsplit('/').next().filter(|name| !name.is_empty());
    let why = without(&without(why, what), name.unwrap_or(what));
    (status.map(Status::code), why.replace(|c: char| c.is_ascii_digit(), ""))
}

/// A text without a name in it, where that is no part of another word.
fn without(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name).filter(|_| !name.is_empty()) {
        out.push_str(before);
        let is_part = before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        if is_part {
            out.push_str(name);
        }
        rest = after;
    }
    out + rest
}

pub(super) fn shown(failure: &Failure) -> String {
    let Failure { what, why, status } = failure;
    match status {
        // The server has no more to say than its status does.
        Some(status) if why == status.words() => status.explain(what),
        Some(status) if why.contains(what) => status.explain(why),
        Some(status) => format!("{what}: {}", status.explain(why)),
        None => format!("{what}: {why}"),
    }
}

/// One line: how many files, how much, how fast, and what needed nothing.
fn line(summary: &Summary, elapsed: Duration) -> String {
    let files = |count: u64| format!("{count} {}", if count == 1 { "file" } else { "files" });
    let seconds = elapsed.as_secs_f64();
    // Exact enough for people: a rate is shown with four digits.
    let rate = summary.bytes as f64 / seconds.max(0.001);
    let mut out = format!("{}, {} in {seconds:.1} s", files(summary.files), Size(summary.bytes));
    if summary.bytes > 0 {
        out.push_str(&format!(" ({}/s)", Size(rate as u64)));
    }
    let links = if summary.links == 1 { "link" } else { "links" };
    for (count, what) in
        [(summary.links, links), (summary.unchanged, "unchanged"), (summary.failures.count(), "failed")]
    {
        if count > 0 {
            out.push_str(&format!(", {count} {what}"));
        }
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let mut summary = Summary { files: 1, bytes: 3 << 20, ..Summary::default() };
        assert_eq!(line(&summary, Duration::from_millis(1500)), "1 file, 3.0 MiB in 1.5 s (2.0 MiB/s)\n");
        summary = Summary { unchanged: 2, ..Summary::default() };
        assert_eq!(line(&summary, Duration::ZERO), "0 files, 0 B in 0.0 s, 2 unchanged\n");
    }

    #[test]
    fn the_servers_words_stand_as_they_are() {
        let failure = |what: &str, why: &str, status| Failure { what: what.into(), why: why.into(), status };
        assert_eq!(shown(&failure("a", "no such file", Some(Status::NoSuchFile))), "no such file: a (402)");
        assert_eq!(
            shown(&failure("a", "a needs 3 B", Some(Status::QuotaExceeded))),
            "quota exceeded: a needs 3 B (405)"
        );
        assert_eq!(
            shown(&failure("b/c", "the quota is full", Some(Status::QuotaExceeded))),
            "b/c: quota exceeded: the quota is full (405)"
        );
        let changed = failure("/log", "it changed while it was read", Some(Status::Changed));
        assert_eq!(shown(&changed), "/log: it changed while it was read (410)");
        assert_eq!(shown(&failure("a", "disk full", None)), "a: disk full");
    }

    #[test]
    fn many_failures_of_one_cause_are_one_line() {
        let failure =
            |what: String, why: &str, status| Failure { what, why: why.into(), status: Some(status) };
        let mut failures: Vec<Failure> =
            (0..300).map(|n| failure(format!("/no/x/f{n}"), "/no", Status::NoSuchDirectory)).collect();
        failures.insert(7, failure("/a".into(), "disk full", Status::Failed));
        for n in 0..5 {
            let why = format!("q{n} needs {n} B, 3 B are left");
            failures.push(failure(format!("/q{n}"), &why, Status::QuotaExceeded));
        }
        let lines: Vec<String> = one_line_per_cause(&failures).into_iter().flatten().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("/no/x/f0: ") && lines[0].ends_with("; and 299 more for the same reason"));
        assert!(lines[1].contains("disk full") && lines[2].ends_with("; and 4 more for the same reason"));
        // A name that is a letter of the text changes nothing.
        let letters =
            ["a", "n", "c", "r"].map(|name| failure(name.into(), "cannot write it", Status::Failed));
        assert_eq!(one_line_per_cause(&letters).into_iter().flatten().count(), 1);
        // A few are told one by one.
        assert_eq!(one_line_per_cause(&failures[..3]).into_iter().flatten().count(), 3);
    }

    #[test]
    fn the_last_of_several_is_the_target() {
        let words = [Word::plain(b"a"), Word::plain(b"b"), Word::plain(b"c")];
        assert_eq!(sources_and_target(&words), (&words[..2], Some(&words[2])));
        assert_eq!(sources_and_target(&words[..1]), (&words[..1], None));
    }
}
