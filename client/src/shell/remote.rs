//! The commands that need one request each.

use super::command::Verb;
use super::error::unexpected_reply;
use super::event::{NameFields, OperationKind, OutputEvent, Side};
use super::event_observer::EventObserver;
use super::failures::Failures;
use super::flag::{PARTIAL_LETTER, VERIFY_LETTER};
use super::invocation::Invocation;
use super::listing::{View, full_time, mode};
use super::words::Word;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::transfer::line_style;
use indicatif::{ProgressBar, ProgressDrawTarget};
use sshome_wire::display::Escaped;
use sshome_wire::{Entry, FileKind, Hashed, Payload, Progress, Reply, Request, Status};
use std::collections::HashSet;
use std::fmt::Write;

/// The operand of `cd` and `lcd` for the previous directory.
pub(super) const PREVIOUS_DIRECTORY: &[u8] = b"-";

impl Shell {
    pub(super) async fn pwd(&mut self) -> Result<(), ShellError> {
        match self.request(Request::Pwd).await?.payload {
            Payload::Path(path) => {
                let event = OutputEvent::Directory { side: Side::Remote, name: NameFields::new(&path) };
                self.out.show(&event, || format!("{}\n", Escaped(&path)))
            }
            _ => Err(unexpected_reply("pwd")),
        }
    }

    pub(super) async fn cd(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let path = match invocation.operands.first() {
            None => b"/".to_vec(),
            Some(word) if word.bytes() == PREVIOUS_DIRECTORY => return self.cd_back().await,
            Some(word) => match self.bookmarked(word)? {
                Some(directory) => directory,
                None => self.one_directory(word).await?,
            },
        };
        self.change_directory(path).await
    }

    /// The path of the directory that the operand of `cd` means.
    async fn one_directory(&mut self, word: &Word) -> Result<Vec<u8>, ShellError> {
        match self.remote_paths(std::slice::from_ref(word)).await?.as_slice() {
            [path] => Ok(path.clone()),
            _ => Err(ShellError::Failed(
                "cd takes one directory, and the pattern matches several names".to_owned(),
            )),
        }
    }

    async fn change_directory(&mut self, path: Vec<u8>) -> Result<(), ShellError> {
        let left = self.conversation.cwd().clone();
        self.request(Request::Cd { path }).await?;
        self.previous = Some(left);
        Ok(())
    }

    /// Changes to the previous directory, and prints it, as a shell does.
    async fn cd_back(&mut self) -> Result<(), ShellError> {
        let Some(previous) = &self.previous else {
            return Err(ShellError::Failed("there is no previous directory yet".to_owned()));
        };
        let path = previous.as_bytes().to_vec();
        self.change_directory(path).await?;
        self.pwd().await
    }

    pub(super) async fn mkdir(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let parents = invocation.has('p');
        let paths = invocation.operands.iter().map(|word| self.remote_path(word));
        let requests = paths.map(|path| Request::Mkdir { path, parents, mode: None }).collect();
        self.request_all(requests, |_, reply| match reply.status {
            Status::DirectoryExists if !parents => Err(ConversationError::Refused(reply).into()),
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn rm(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        if invocation.has(PARTIAL_LETTER) {
            return self.discard_parts(invocation).await;
        }
        let (recursive, force) = (invocation.has('r'), invocation.has('f'));
        let paths = match force {
            true => self.matching_paths(&invocation.operands).await?,
            false => self.remote_paths(&invocation.operands).await?,
        };
        let requests = paths.into_iter().map(|path| Request::Rm { path, recursive }).collect();
        let is_missing = |status| matches!(status, Status::NoSuchFile | Status::NoSuchDirectory);
        self.request_all_but(requests, |status| force && is_missing(status), |_, _| Ok(())).await
    }

    pub(super) async fn rmdir(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let paths = self.remote_paths(&invocation.operands).await?;
        let requests = paths.into_iter().map(|path| Request::Rmdir { path }).collect();
        self.request_all(requests, |_, _| Ok(())).await
    }

    pub(super) async fn link(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let [target, path] = invocation.operands.as_slice() else { return Ok(()) };
        if invocation.command.verb == Verb::Ln && !invocation.has('s') {
            let words = "ln makes symbolic links only: use ln -s, or cp to copy the file";
            return Err(ShellError::Failed(words.to_owned()));
        }
        // The target of a link is not expanded.
        self.request(Request::Symlink { path: self.remote_path(path), target: target.bytes() })
            .await
            .map(drop)
    }

    pub(super) async fn mv(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let mut failures = Failures::new(&self.out);
        let (sources, to) = self.sources_and_target(invocation, &mut failures).await?;
        let requests = sources.into_iter().map(|from| Request::Mv { from, to: to.clone() }).collect();
        self.request_all(requests, |_, _| Ok(())).await?;
        failures.verdict()
    }

    /// The `rename` of sftp: without patterns, and an existing directory is not moved into.
    pub(super) async fn rename(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let [from, to] = invocation.operands.as_slice() else { return Ok(()) };
        let (from, to) = (self.remote_path(from), self.remote_path(to));
        let keeps = invocation.has('l');
        let problem = match self.request(Request::Stat { path: to.clone(), follow: !keeps }).await {
            Ok(_) if keeps => Some("exists already"),
            Ok(Reply { payload: Payload::Stat(entry), .. }) if entry.kind == FileKind::Directory => {
                Some("is a directory: mv moves into it")
            }
            // A missing target is fine; other refusals apply to the rename as well.
            Ok(_) | Err(ShellError::Conversation(ConversationError::Refused(_))) => None,
            Err(error) => return Err(error),
        };
        match problem {
            Some(problem) => Err(ShellError::Failed(format!("{} {problem}", Escaped(&to)))),
            None => self.request(Request::Mv { from, to }).await.map(drop),
        }
    }

    pub(super) async fn cp(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let recursive = invocation.has('r');
        let mut failures = Failures::new(&self.out);
        let (sources, to) = self.sources_and_target(invocation, &mut failures).await?;
        for from in sources {
            let request = Request::Cp { from: from.clone(), to: to.clone(), recursive };
            failures.pass(self.long_request(request, OperationKind::Cp, &from).await.map(drop))?;
        }
        failures.verdict()
    }

    pub(super) async fn hash(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let verify = invocation.has(VERIFY_LETTER);
        let mut failures = Failures::new(&self.out);
        for path in self.remote_paths(&invocation.operands).await? {
            let request = Request::Hash { path: path.clone(), verify };
            let result = match self.long_request(request, OperationKind::Hash, &path).await {
                Ok(Reply { payload: Payload::Hash(hashed), .. }) => {
                    self.out.show(&OutputEvent::digest(&path, &hashed), || digest(&hashed, &path, verify))
                }
                Ok(_) => Err(unexpected_reply("hash")),
                Err(error) => Err(error),
            };
            failures.pass(result)?;
        }
        failures.verdict()
    }

    pub(super) async fn flush(&mut self) -> Result<(), ShellError> {
        self.request(Request::Sync).await.map(drop)
    }

    pub(super) async fn stat(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let follow = invocation.has('L');
        let paths = self.remote_paths(&invocation.operands).await?;
        let requests = paths.iter().map(|path| Request::Stat { path: path.clone(), follow }).collect();
        let (view, out) = (View::current(self.out.is_terminal()), self.out.clone());
        self.request_all(requests, |index, reply| match (reply.payload, paths.get(index)) {
            (Payload::Stat(entry), Some(path)) => {
                let gap = if index > 0 { "\n" } else { "" };
                let event = OutputEvent::entry(Side::Remote, path, &entry);
                out.show(&event, || format!("{gap}{}", fields(&entry, path, &view)))
            }
            _ => Err(unexpected_reply("stat")),
        })
        .await
    }

    /// The sources and the target of a rename or copy. Several sources need an existing directory. Those that would
    /// replace an earlier one there are failures.
    async fn sources_and_target(
        &mut self,
        invocation: &Invocation,
        failures: &mut Failures,
    ) -> Result<(Vec<Vec<u8>>, Vec<u8>), ShellError> {
        let Some((target, sources)) = invocation.operands.split_last() else { return Ok(Default::default()) };
        let target = self.remote_path(target);
        let sources = self.remote_paths(sources).await?;
        if sources.len() <= 1 {
            return Ok((sources, target));
        }
        self.directory(&target).await?;
        let (mut names, mut distinct) = (HashSet::new(), Vec::new());
        for source in sources {
            let path = self.conversation.absolute(&source).map_err(ConversationError::from)?;
            match path.file_name().is_none_or(|name| names.insert(name.to_vec())) {
                true => distinct.push(source),
                false => {
                    let (target, source) = (Escaped(&target), Escaped(&source));
                    let why = format!("{source}: will not overwrite what was just put into {target}");
                    failures.pass(Err(ShellError::Failed(why)))?;
                }
            }
        }
        Ok((distinct, target))
    }

    /// Checks that a path on the server is a directory.
    pub(super) async fn directory(&mut self, path: &[u8]) -> Result<(), ShellError> {
        match self.request(Request::Stat { path: path.to_vec(), follow: true }).await?.payload {
            Payload::Stat(entry) if entry.kind == FileKind::Directory => Ok(()),
            _ => {
                let path = Escaped(path);
                Err(ShellError::Failed(format!(
                    "{path} is not a directory: with several sources the target must be one"
                )))
            }
        }
    }

    /// Sends a request that takes long, and reports its progress.
    async fn long_request(
        &mut self,
        request: Request,
        direction: OperationKind,
        path: &[u8],
    ) -> Result<Reply, ShellError> {
        let what = if matches!(direction, OperationKind::Cp) { "copying" } else { "reading" };
        let watch = EventObserver::new(self.out.clone(), direction);
        let target = match self.progress {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(line_style())
            .with_message(format!("{what} {}", Escaped(path)));
        let mut step = |progress: Progress| {
            if progress.total > 0 && bar.length() != Some(progress.total) {
                bar.set_length(progress.total);
            }
            bar.set_position(progress.done);
            watch.reach(progress.done, progress.total);
        };
        let reply = self.conversation.request_with_progress(request, &self.cancel, &mut step).await;
        bar.finish_and_clear();
        Ok(reply?)
    }
}

/// A digest in the format of b3sum. If there was nothing to compare with, that is appended.
fn digest(hashed: &Hashed, path: &[u8], verify: bool) -> String {
    let verdict = match (verify, hashed.stored) {
        (false, _) => "",
        (true, Some(_)) => ": OK",
        (true, None) => ": no digest is stored to compare with",
    };
    format!("{}  {}{verdict}\n", hashed.digest, Escaped(path))
}

fn fields(entry: &Entry, path: &[u8], view: &View) -> String {
    let kind = match entry.kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symbolic link",
        FileKind::Special => "special file",
    };
    let mut out = format!("path      {}\nkind      {kind}\n", Escaped(path));
    // Here and below, writing into a String cannot fail.
    if entry.kind == FileKind::Symlink {
        let _ = writeln!(out, "target    {}", Escaped(&entry.target));
    }
    let _ = writeln!(out, "size      {}", entry.size);
    let _ = writeln!(out, "mode      {:04o} {}", entry.mode, mode(entry.kind, entry.mode));
    let _ = writeln!(out, "links     {}", entry.links);
    let _ = writeln!(out, "modified  {}", full_time(entry.mtime, &view.zone));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{Timestamp, tz::TimeZone};
    use sshome_wire::{Digest, Time};

    #[test]
    fn stat_prints_one_field_per_line() {
        let entry = Entry {
            name: b"l".to_vec(),
            kind: FileKind::Symlink,
            size: 3,
            mtime: Time { seconds: 60, nanoseconds: 0 },
            mode: 0o777,
            links: 1,
            target: b"a\nb".to_vec(),
        };
        let view = View { width: None, zone: TimeZone::UTC, now: Timestamp::UNIX_EPOCH, colors: None };
        assert_eq!(
            fields(&entry, b"/l", &view),
            "path      /l\nkind      symbolic link\ntarget    a\\x0ab\nsize      3\nmode      0777 lrwxrwxrwx\n\
             links     1\nmodified  1970-01-01 00:01:00 +0000\n"
        );
    }

    #[test]
    fn a_hash_without_a_stored_digest_is_not_called_verified() {
        let mut hashed = Hashed { digest: Digest([0xab; 32]), size: 1, stored: None };
        assert!(digest(&hashed, b"f", true).ends_with("f: no digest is stored to compare with\n"));
        hashed.stored = Some(hashed.digest);
        assert!(digest(&hashed, b"f", true).ends_with("f: OK\n"));
        assert_eq!(digest(&hashed, b"f", false), format!("{}  f\n", "ab".repeat(32)));
    }
}
