//! `ssh USER@HOST COMMAND`: one command line, executed by the server itself. It starts neither a shell nor a program.
//! Words and quotes are parsed as in a shell, and a line that needs a shell is refused.
//!
//! A `RunningCommand` is the protocol on the channel, for the channel loop. A `CommandTask` does the work of the command. It
//! is synchronous, may block, and runs in bounded work slices in the blocking pool.

mod arguments;
mod change;
mod checksums;
mod copy_id;
mod error;
mod inspect;
mod scp;
mod shell_words;
mod stream;
mod table;
mod task;

use super::channel_loop::{ChannelProtocol, Executors, OutputChunk, SliceOutcome, drive};
use super::receive_buffer::InputEnd;
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput};
use crate::service::{ChangeKind, User};
use bytes::Bytes;
use error::{EXIT_FAILURE, Error, Result};
use sshome_store::Wait;
use sshome_wire::display::Escaped;
use std::time::Duration;
use task::{CommandIo, CommandTask, InputRead, TaskState};
use tokio_util::sync::CancellationToken;

/// How long a refused scp client has to send its first byte.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(5);

/// The byte that a terminal sends for Ctrl-C, and the exit status of an interrupted program.
const INTERRUPT: (u8, u8) = (3, 130);

/// Runs one command line to its end. `terminal` is true if the client's side is a terminal. `stopping` ends it only while it
/// waits until the home is counted: a graceful shutdown waits for every other command.
pub async fn run(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    line: Vec<u8>,
    terminal: bool,
    stopping: CancellationToken,
    pool: &BlockingPool,
) -> ChannelEnd {
    tracing::debug!(user = user.name(), line = %Escaped(&line), "command");
    let executors = Executors { slice_permits: user.slice_permits(), pool, inline: None };
    let (command, closed) = (RunningCommand::begin(user, &line, terminal), outgoing.closed());
    drive(incoming, outgoing, command, executors, closed, stopping).await
}

/// A command with its input and output.
struct RunningCommand {
    user: User,
    io: CommandIo,
    /// Whether it reads its input.
    reads: bool,
    /// Whether the client speaks scp's protocol: many clients show only errors in that protocol.
    scp: bool,
    /// Whether a refused client sends a byte before it reads. If the channel is closed by then, some clients show
    /// the loss instead of the error.
    client_begins: bool,
    /// Whether the error is sent, and that byte is waited for.
    is_refused: bool,
    /// Whether the user has pressed Ctrl-C.
    is_interrupted: bool,
    /// What it changes that waits while the home is being counted.
    changes: Option<ChangeKind>,
    /// Whether it waits for the count.
    is_waiting: bool,
    task: Result<Box<dyn CommandTask>>,
}

impl RunningCommand {
    fn begin(user: User, line: &[u8], terminal: bool) -> RunningCommand {
        let mut io = CommandIo::new(terminal);
        let (mut reads, mut changes) = (false, None);
        let task = shell_words::split(line).map_err(Error::from).and_then(|words| {
            let is_copy_id = copy_id::is_it(&words);
            let mut words = words.into_iter();
            let name = words.next().unwrap_or_default();
            let command = if is_copy_id { &copy_id::COMMAND } else { table::find(&name)? };
            io.named(command.name);
            let arguments = command.accepts.read(words.collect())?;
            changes = (command.changes)(&arguments);
            reads = (command.reads)(&arguments);
            if reads && terminal {
                return Err(Error::Terminal);
            }
            (command.begin)(arguments)
        });
        let client_begins = task.is_err() && !terminal && scp::client_begins(line);
        let (reads, scp) = (reads || client_begins, scp::is_spoken(line));
        RunningCommand {
            user,
            io,
            reads,
            scp,
            client_begins,
            is_refused: false,
            is_interrupted: false,
            changes,
            is_waiting: false,
            task,
        }
    }

    fn work(&mut self) -> TaskState {
        match &mut self.task {
            Ok(task) => {
                let state = task.run_slice(&self.user, &mut self.io);
                state.unwrap_or_else(|error| refuse(&mut self.io, &error, self.scp))
            }
            Err(_) if self.is_refused => match self.io.input.read(1) {
                Ok(InputRead::Nothing) => TaskState::Waiting,
                _ => TaskState::Done(EXIT_FAILURE),
            },
            Err(error) => {
                tracing::debug!(user = self.user.name(), %error, "refused");
                let done = refuse(&mut self.io, error, self.scp);
                self.is_refused = self.client_begins;
                if self.is_refused { TaskState::Waiting } else { done }
            }
        }
    }
}

impl ChannelProtocol for RunningCommand {
    fn reads_input(&self) -> bool {
        // A terminal sends Ctrl-C.
        self.reads || self.io.terminal
    }

    fn push(&mut self, chunks: Vec<Bytes>) {
        self.is_interrupted |= self.io.terminal && chunks.iter().any(|chunk| chunk.contains(&INTERRUPT.0));
        if self.reads {
            self.io.input.push(chunks);
        }
    }

    fn end_input(&mut self, end: InputEnd) {
        self.io.input.end(end);
    }

    fn reads_to_end(&self) -> bool {
        self.reads
    }

    fn interrupted(&self) -> Option<ChannelEnd> {
        self.is_interrupted.then_some(ChannelEnd::Failed(INTERRUPT.1))
    }

    fn pending_bytes(&self) -> usize {
        self.io.input.len()
    }

    fn take_output(&mut self) -> Vec<OutputChunk> {
        self.io.take()
    }

    fn limit_output(&mut self, bytes: Option<usize>) {
        self.io.limit_output(bytes);
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        let changes = self.changes.filter(|_| self.task.is_ok());
        let wait = changes.and_then(|change| self.user.must_wait(change));
        self.is_waiting = wait.is_some();
        if let Some((wait, time)) = wait {
            return SliceOutcome::WaitFor(wait, time);
        }
        let guard = self.user.audit().enter();
        let state = self.work();
        drop(guard);
        match state {
            TaskState::Busy => SliceOutcome::InRequest,
            TaskState::Waiting if self.is_refused => {
                SliceOutcome::IdleFor(FIRST_BYTE_WITHIN, ChannelEnd::Failed(EXIT_FAILURE))
            }
            TaskState::Waiting => SliceOutcome::Idle,
            TaskState::Done(0) => SliceOutcome::Ended(ChannelEnd::Well),
            TaskState::Done(status) => SliceOutcome::Ended(ChannelEnd::Failed(status)),
        }
    }

    fn end_wait(&mut self, wait: &Wait) {
        self.user.end_wait(wait);
    }

    fn is_under_way(&self) -> bool {
        !self.is_waiting
    }
}

/// Reports the error of a command and ends it.
fn refuse(io: &mut CommandIo, error: &Error, scp: bool) -> TaskState {
    io.error(error);
    if !scp {
        return TaskState::Done(error.exit_status());
    }
    io.bytes(&scp::failure(error));
    TaskState::Done(EXIT_FAILURE)
}
