//! `edit`: get, the user's editor, and put if the file changed. An edit is never lost: what is not stored stays in a
//! local file, whose path is printed.

use super::error::unexpected_reply;
use super::invocation::Invocation;
use super::stream::report_failures;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::messages::warn;
use crate::names;
use crate::transfer::{self, ProgressDisplay, TransferOptions};
use sshome_wire::display::Escaped;
use sshome_wire::{Digest, FileKind, Payload, RemotePath, Request, Status};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs if neither VISUAL nor EDITOR is set.
const DEFAULT_EDITOR: &str = "vi";

/// The name of a local copy if that on the server cannot be used.
const OTHER_NAME: &str = "file";

/// A local copy in a directory of its own, which only its owner can enter.
struct LocalCopy {
    directory: PathBuf,
    file: PathBuf,
}

impl LocalCopy {
    fn create(name: &[u8]) -> io::Result<LocalCopy> {
        let directory = std::env::temp_dir().join(format!("sshome-edit-{:016x}", rand::random::<u64>()));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory)?;
        // The ending tells the editor the language. No name controls the editor's screen.
        let is_plain = Escaped(name).to_string().as_bytes() == name;
        let name = names::path(name).filter(|_| is_plain).unwrap_or_else(|| OTHER_NAME.into());
        Ok(LocalCopy { file: directory.join(name), directory })
    }

    /// The digest of its content; `None` if it does not exist.
    fn digest(&self) -> io::Result<Option<Digest>> {
        let mut hasher = blake3::Hasher::new();
        match fs::File::open(&self.file) {
            Ok(file) => hasher.update_reader(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Digest(*hasher.finalize().as_bytes())))
    }

    fn remove(self) {
        // An editor may have left its own files there: those are kept as well.
        let _ = fs::remove_file(&self.file);
        let _ = fs::remove_dir(&self.directory);
    }
}

impl Shell {
    pub(super) async fn edit(&mut self, invocation: &Invocation) -> Result<(), ShellError> {
        let [path] = &self.remote_paths(&invocation.operands).await?[..] else {
            return Err(ShellError::Failed(
                "edit takes one file, and the pattern matches several".to_owned(),
            ));
        };
        let remote = self.conversation.absolute(path).map_err(ConversationError::from)?;
        let failed = |error| ShellError::Failed(format!("no local copy can be made: {error}"));
        let copy = LocalCopy::create(remote.file_name().unwrap_or_default()).map_err(failed)?;
        let before = match self.fetch_copy(&remote, &copy).await {
            Ok(before) => before,
            Err(error) => {
                copy.remove();
                return Err(error);
            }
        };
        match self.edit_copy(&remote, &copy, before).await {
            Ok(()) => {
                copy.remove();
                Ok(())
            }
            // Nothing was edited, or the editor has removed it.
            Err(error) if copy.digest().is_ok_and(|after| after.is_none() || after == before) => {
                copy.remove();
                Err(error)
            }
            Err(error) => {
                self.out.failed(&error);
                warn(format_args!("your edit is kept in {}", names::shown(&copy.file)));
                // A lost connection has to be noticed.
                if error.is_fatal() { Err(error) } else { Err(ShellError::Reported) }
            }
        }
    }

    /// Fetches the file. The digest is that of its content; `None` if it does not exist yet.
    async fn fetch_copy(
        &mut self,
        remote: &RemotePath,
        copy: &LocalCopy,
    ) -> Result<Option<Digest>, ShellError> {
        let path = remote.as_bytes().to_vec();
        match self.request(Request::Stat { path, follow: true }).await {
            Ok(reply) => match reply.payload {
                Payload::Stat(entry) if entry.kind == FileKind::File => {}
                Payload::Stat(_) => {
                    let path = Escaped(remote.as_bytes());
                    return Err(ShellError::Failed(format!(
                        "{path} is not a file: only files can be edited"
                    )));
                }
                _ => return Err(unexpected_reply("stat")),
            },
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let progress = ProgressDisplay::new(false).quiet(self.out.is_quiet());
        let options = TransferOptions { force: true, ..TransferOptions::default() };
        let sources = [remote.clone()];
        let summary = transfer::get(self.context(&progress), &sources, &copy.file, options).await?;
        report_failures(&self.out, &summary)?;
        copy.digest().map_err(|error| local(&copy.file, &error))
    }

    /// Runs the editor, and stores the file if it changed and the server's copy did not.
    async fn edit_copy(
        &mut self,
        remote: &RemotePath,
        copy: &LocalCopy,
        before: Option<Digest>,
    ) -> Result<(), ShellError> {
        let status = self.run_local(editor(&copy.file)).await?;
        let after = copy.digest().map_err(|error| local(&copy.file, &error))?;
        if !status.success() {
            return Err(ShellError::Failed(format!("the editor ended with {status}; nothing was stored")));
        }
        match after {
            after if after == before => return self.out.note("unchanged\n"),
            None => {
                return Err(ShellError::Failed("the editor removed the file; nothing was stored".to_owned()));
            }
            Some(_) => {}
        }
        if self.digest_on_server(remote).await? != before {
            let path = Escaped(remote.as_bytes());
            return Err(ShellError::Failed(format!(
                "{path} changed on the server meanwhile; nothing was stored: compare both files, then put yours"
            )));
        }
        let progress = ProgressDisplay::new(false).quiet(self.out.is_quiet());
        let sources = [copy.file.clone()];
        let options = TransferOptions::default();
        let summary = transfer::put(self.context(&progress), &sources, remote, options).await?;
        report_failures(&self.out, &summary)?;
        self.out.note(&format!("stored {}\n", Escaped(remote.as_bytes())))
    }

    /// The digest of the content that the server has now; `None` if there is no file.
    async fn digest_on_server(&mut self, remote: &RemotePath) -> Result<Option<Digest>, ShellError> {
        let request = Request::Hash { path: remote.as_bytes().to_vec(), verify: false };
        match self.request(request).await {
            Ok(reply) => match reply.payload {
                Payload::Hash(hashed) => Ok(Some(hashed.digest)),
                _ => Err(unexpected_reply("hash")),
            },
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The command that edits a file. As in git, the variable may have options, and the shell reads it.
fn editor(file: &Path) -> Command {
    let set = |name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| DEFAULT_EDITOR.to_owned());
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg("sshome").arg(file);
    command
}

fn local(file: &Path, error: &io::Error) -> ShellError {
    ShellError::Failed(format!("{}: {error}", names::shown(file)))
}

fn is_missing(error: &ShellError) -> bool {
    matches!(
        error,
        ShellError::Conversation(ConversationError::Refused(reply)) if reply.status == Status::NoSuchFile
    )
}
