//! The output of a command as the input of a local command: `COMMAND | LOCAL COMMAND`, and the pager of `less`.

use super::invocation::Invocation;
use super::{Flow, Shell, ShellError};
use crate::conversation::ConversationError;
use crate::messages::end_line;
use crate::names;
#[cfg(unix)]
use crate::terminal::{Hold, Modes, Resume};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Runs if PAGER is not set.
const DEFAULT_PAGER: &str = "less";

/// A local command that reads what another command writes. It starts with the first byte, or when it is told to.
#[derive(Clone)]
pub(super) struct LocalCommand(Arc<Mutex<LocalState>>);

enum LocalState {
    /// It was not needed yet.
    Waiting(Command),
    Running(LocalProcess),
    /// It could not be started, or its end was awaited.
    Ended,
}

struct LocalProcess {
    child: Child,
    /// Kept until the end, so that the keys of the terminal belong to the command.
    #[cfg(unix)]
    hold: io::Result<Hold>,
    /// `None` once it reads no more.
    input: Option<Arc<Mutex<ChildStdin>>>,
}

impl LocalCommand {
    /// A command line for the user's shell, in the local directory.
    pub(super) fn line(line: &[u8], directory: &Path) -> LocalCommand {
        let mut command = Command::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()));
        command.arg("-c").arg(names::path(line).unwrap_or_default()).current_dir(directory);
        LocalCommand::new(command)
    }

    /// The pager of `less`. Files from a server are untrusted, so `less` runs no preprocessor on them (LESSSECURE).
    pub(super) fn pager() -> LocalCommand {
        let pager = std::env::var_os("PAGER").filter(|pager| !pager.is_empty());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(pager.unwrap_or_else(|| DEFAULT_PAGER.into())).env("LESSSECURE", "1");
        LocalCommand::new(command)
    }

    fn new(command: Command) -> LocalCommand {
        LocalCommand(Arc::new(Mutex::new(LocalState::Waiting(command))))
    }

    fn state(&self) -> MutexGuard<'_, LocalState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, unless it was started before. Blocks while somebody else holds the terminal.
    fn start(&self) -> io::Result<()> {
        let mut state = self.state();
        let LocalState::Waiting(command) = &mut *state else { return Ok(()) };
        #[cfg(unix)]
        let hold = crate::terminal::hold(Modes::Program, Resume::Nothing);
        match command.stdin(Stdio::piped()).spawn() {
            Ok(mut child) => {
                let input = child.stdin.take().map(|stdin| Arc::new(Mutex::new(stdin)));
                *state = LocalState::Running(LocalProcess {
                    child,
                    #[cfg(unix)]
                    hold,
                    input,
                });
                Ok(())
            }
            Err(error) => {
                *state = LocalState::Ended;
                Err(error)
            }
        }
    }

    /// Writes to its input. Blocks until it reads.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.start()?;
        // The state is not locked meanwhile: the command may never read.
        let input = match &*self.state() {
            LocalState::Running(running) => running.input.clone(),
            _ => None,
        };
        let input = input.ok_or(io::ErrorKind::BrokenPipe)?;
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        input.write_all(bytes)
    }

    /// Ends its input and waits for its end; `None` if it was never started. Blocks.
    fn wait(&self) -> io::Result<Option<ExitStatus>> {
        let ended = std::mem::replace(&mut *self.state(), LocalState::Ended);
        let LocalState::Running(mut running) = ended else { return Ok(None) };
        drop(running.input.take());
        let status = running.child.wait()?;
        #[cfg(unix)]
        if let Ok(hold) = &running.hold
            && std::os::unix::process::ExitStatusExt::signal(&status) == Some(signal_hook::consts::SIGQUIT)
        {
            hold.await_quit();
        }
        Ok(Some(status))
    }
}

impl std::fmt::Debug for LocalCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalCommand")
    }
}

/// The output of a command that goes to a local command. Results wait in a queue, so that a pager that is not read to
/// its end delays nothing: the connection stays alive. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct PipeOutput {
    queue: mpsc::Sender<Vec<u8>>,
    local: LocalCommand,
    is_broken: Arc<AtomicBool>,
    /// Whether a person reads it in a pager, as on a terminal.
    pub(super) is_pager: bool,
}

impl PipeOutput {
    fn new(local: &LocalCommand, is_pager: bool) -> io::Result<(PipeOutput, JoinHandle<()>)> {
        let (queue, queued) = mpsc::channel::<Vec<u8>>();
        let is_broken = Arc::new(AtomicBool::new(false));
        let pipe = PipeOutput { queue, local: local.clone(), is_broken: Arc::clone(&is_broken), is_pager };
        let local = local.clone();
        let write = move || {
            for bytes in queued {
                if !is_broken.load(Ordering::Relaxed) && local.write_all(&bytes).is_err() {
                    is_broken.store(true, Ordering::Relaxed);
                }
            }
        };
        let writer = std::thread::Builder::new().name("pipe".to_owned()).spawn(write)?;
        Ok((pipe, writer))
    }

    /// Writes a result without waiting. An earlier result that was not read is an error.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_broken.load(Ordering::Relaxed) || self.queue.send(bytes.to_vec()).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

/// Writes the content of a file, and waits until it is read.
impl Write for PipeOutput {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.local.write_all(buffer).inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shell {
    /// Runs a command whose output a local command reads. Once the command has ended, Ctrl-C belongs to the local one,
    /// which is waited for, as in a shell.
    ///
    /// # Errors
    /// If the command fails, or a signal ends the local one. A local command that reads no more is no error.
    pub(super) async fn pipe(
        &mut self,
        invocation: &Invocation,
        local: LocalCommand,
        is_pager: bool,
    ) -> Result<Flow, ShellError> {
        let failed =
            |error: io::Error| ShellError::Failed(format!("the local command cannot be run: {error}"));
        if !is_pager {
            let local = local.clone();
            let starting = tokio::task::spawn_blocking(move || local.start());
            starting.await.map_err(io::Error::other).and_then(|started| started).map_err(failed)?;
        }
        let (pipe, writer) = PipeOutput::new(&local, is_pager).map_err(failed)?;
        let is_broken = Arc::clone(&pipe.is_broken);
        let piped = self.out.clone().piped(pipe);
        let (out, progress) =
            (std::mem::replace(&mut self.out, piped), std::mem::replace(&mut self.progress, false));
        let result = self.run(invocation).await;
        (self.out, self.progress) = (out, progress);
        if matches!(result, Err(ShellError::Abandoned)) {
            return result;
        }
        let wait = move || {
            // What was queued is written before the input ends. A panic there loses only output.
            let _ = writer.join();
            local.wait()
        };
        let status = tokio::task::spawn_blocking(wait).await;
        let status = status.map_err(io::Error::other).and_then(|status| status).map_err(failed)?;
        let ended = self.local_end(status);
        match result {
            Err(ShellError::Output(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(ShellError::Failed(format!("the local command cannot be written to: {error}")))
            }
            Err(ShellError::Output(_)) => ended.map(|()| Flow::Continue),
            Err(ShellError::Conversation(ConversationError::Cancelled))
                if is_broken.load(Ordering::Relaxed) =>
            {
                ended.map(|()| Flow::Continue)
            }
            Ok(flow) => ended.map(|()| flow),
            Err(error) => Err(error),
        }
    }

    /// Reports a signal that has ended a local command. Its exit code is its own affair: that of grep says that nothing
    /// matched.
    fn local_end(&self, status: Option<ExitStatus>) -> Result<(), ShellError> {
        #[cfg(unix)]
        if let Some(signal) = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status))
        {
            return match signal {
                signal_hook::consts::SIGPIPE => Ok(()),
                signal_hook::consts::SIGINT => {
                    end_line();
                    Err(ShellError::Reported)
                }
                signal => Err(ShellError::Failed(format!("signal {signal} ended the local command"))),
            };
        }
        #[cfg(not(unix))]
        let _ = status;
        Ok(())
    }
}
