//! The local commands: `lcd`, `lls`, `lmkdir`, `lpwd` and `!`.

use super::event::{NameFields, OutputEvent, Side};
use super::failures::Failures;
use super::invocation::Invocation;
use super::ls::Page;
use super::remote::PREVIOUS_DIRECTORY;
use super::tilde::{self, home_directory};
use super::words::Word;
use super::{Shell, ShellError};
use crate::names;
#[cfg(unix)]
use crate::terminal::{Modes, Resume};
use crate::transfer::mtime;
use sshome_wire::display::Escaped;
use sshome_wire::{Entry, FileKind};
use std::fs::Metadata;
use std::io;
#[cfg(unix)]
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::Ordering;

impl Shell {
    pub(super) fn lpwd(&self) -> Result<(), ShellError> {
        let path = names::bytes(self.local.as_os_str());
        let event = OutputEvent::Directory { side: Side::Local, name: NameFields::new(&path) };
        self.out.show(&event, || format!("{}\n", names::shown(&self.local)))
    }

    pub(super) fn lcd(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let operand = invocation.operands.first();
        let is_back = operand.is_some_and(|word| word.bytes() == PREVIOUS_DIRECTORY);
        let target = match operand {
            Some(_) if is_back => self
                .previous_local
                .clone()
                .ok_or_else(|| ShellError::Failed("there is no previous local directory yet".to_owned()))?,
            Some(word) => self.local_path(&tilde::expand(word)?.bytes())?,
            None => home_directory()?,
        };
        let failed = |error| failed(&target, &error);
        let target = target.canonicalize().map_err(failed)?;
        // It must be readable as well.
        std::fs::read_dir(&target).map_err(failed)?;
        self.previous_local = Some(std::mem::replace(&mut self.local, target));
        if is_back { self.lpwd() } else { Ok(()) }
    }

    pub(super) fn lmkdir(&self, invocation: &Invocation) -> Result<(), ShellError> {
        let mut failures = Failures::new(&self.out);
        for word in &invocation.operands {
            let path = self.local_path(&tilde::expand(word)?.bytes())?;
            let parents = invocation.has('p');
            let made = if parents { std::fs::create_dir_all(&path) } else { std::fs::create_dir(&path) };
            failures.pass(made.map_err(|error| failed(&path, &error)))?;
        }
        failures.verdict()
    }

    pub(super) async fn lls(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let mut paths = match invocation.operands.as_slice() {
            [] => vec![self.local.clone()],
            words => self.local_paths(words).await?,
        };
        let mut page = Page::new(&self.out, Side::Local, invocation, paths.len() > 1);
        let mut failures = Failures::new(&self.out);
        let itself = invocation.has('d');
        let is_directory =
            |path: &PathBuf| !itself && path.metadata().is_ok_and(|metadata| metadata.is_dir());
        let mut ahead: Vec<PathBuf> = paths.extract_if(.., |path| is_directory(path)).collect();
        let mut files = Vec::new();
        for path in paths {
            match entry(&path, self.relative(&path)) {
                Ok(entry) => files.push(entry),
                Err(error) => failures.pass(Err(failed(&path, &error)))?,
            }
        }
        page.files(files)?;
        // The next directory is taken from the end.
        ahead.reverse();
        while let Some(path) = ahead.pop() {
            match read_directory(&path) {
                Ok(entries) => {
                    let mut below: Vec<_> = page.below(&entries).filter_map(names::path).collect();
                    below.sort_by(|a, b| b.cmp(a));
                    ahead.extend(below.iter().map(|name| path.join(name)));
                    page.directory(&self.relative(&path), entries)?;
                }
                Err(error) => failures.pass(Err(failed(&path, &error)))?,
            }
        }
        failures.verdict()
    }

    pub(super) async fn other_shell(&self, invocation: &Invocation) -> Result<(), ShellError> {
        let words: Vec<Vec<u8>> = invocation.operands.iter().map(Word::bytes).collect();
        let mut command = if words.is_empty() {
            Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()))
        } else {
            let mut shell = Command::new("/bin/sh");
            let line = names::path(&words.join(&b' ')).unwrap_or_default();
            shell.arg("-c").arg(line);
            shell
        };
        command.current_dir(&self.local);
        if self.out.is_for_programs() {
            // Standard output is reserved for events.
            command.stdout(io::stderr());
        }
        let status = self.run_local(command).await?;
        if status.success() {
            return Ok(());
        }
        #[cfg(unix)]
        if self.is_prompt && status.signal() == Some(signal_hook::consts::SIGINT) {
            crate::messages::end_line();
        }
        Err(ShellError::Failed(format!("the command ended with {status}")))
    }

    /// Runs a local program, which has the terminal meanwhile.
    pub(super) async fn run_local(&self, mut command: Command) -> Result<ExitStatus, ShellError> {
        let run = move || {
            // Without a terminal there is no Ctrl-\.
            #[cfg(unix)]
            let hold = crate::terminal::hold(Modes::Program, Resume::Nothing);
            let status = command.status();
            #[cfg(unix)]
            if let (Ok(hold), Ok(status)) = (&hold, &status)
                && status.signal() == Some(signal_hook::consts::SIGQUIT)
            {
                hold.await_quit();
            }
            status
        };
        self.local_runs.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(run).await.map_err(io::Error::other);
        self.local_runs.store(false, Ordering::Relaxed);
        ended
            .and_then(|status| status)
            .map_err(|error| ShellError::Failed(format!("the command cannot be run: {error}")))
    }

    /// The local path of these bytes.
    pub(super) fn local_path(&self, path: &[u8]) -> Result<PathBuf, ShellError> {
        let found = names::path(path).map(|path| self.local.join(path));
        found.ok_or_else(|| {
            ShellError::Failed(format!("{}: this system does not allow such names", Escaped(path)))
        })
    }

    fn relative(&self, path: &Path) -> Vec<u8> {
        match path.strip_prefix(&self.local) {
            Ok(rest) if rest.as_os_str().is_empty() => b".".to_vec(),
            Ok(rest) => names::bytes(rest.as_os_str()),
            Err(_) => names::bytes(path.as_os_str()),
        }
    }
}

/// Names and kinds in a directory, for completion.
pub(super) fn read_directory(path: &Path) -> io::Result<Vec<Entry>> {
    let entries = std::fs::read_dir(path)?;
    Ok(entries
        .flatten()
        .filter_map(|found| entry(&found.path(), names::bytes(&found.file_name())).ok())
        .collect())
}

fn failed(path: &Path, error: &io::Error) -> ShellError {
    ShellError::Failed(format!("{}: {error}", names::shown(path)))
}

/// The entry of a local path, in the form of the server's. A link is not followed.
fn entry(path: &Path, name: Vec<u8>) -> io::Result<Entry> {
    let metadata = path.symlink_metadata()?;
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        kind if kind.is_file() => FileKind::File,
        _ => FileKind::Special,
    };
    let target = match kind {
        FileKind::Symlink => names::bytes(path.read_link()?.as_os_str()),
        _ => Vec::new(),
    };
    let (mode, links) = mode_and_links(&metadata);
    Ok(Entry { name, kind, size: metadata.len(), mtime: mtime(&metadata), mode, links, target })
}

#[cfg(unix)]
fn mode_and_links(metadata: &Metadata) -> (u32, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.mode() & 0o7777, metadata.nlink())
}

#[cfg(not(unix))]
fn mode_and_links(metadata: &Metadata) -> (u32, u64) {
    (if metadata.permissions().readonly() { 0o444 } else { 0o644 }, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn local_entries_have_type_mode_and_size() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "12345").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        let mut entries = read_directory(dir.path()).unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let told: Vec<_> = entries.iter().map(|entry| (entry.name.as_slice(), entry.kind)).collect();
        assert_eq!(
            told,
            [(&b"dir"[..], FileKind::Directory), (b"file", FileKind::File), (b"link", FileKind::Symlink)]
        );
        assert_eq!((entries[1].size, entries[2].target.as_slice()), (5, &b"nowhere"[..]));
        assert!(entries[1].mtime.seconds > 1_700_000_000);
    }
}
