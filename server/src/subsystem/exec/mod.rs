//! `ssh USER@HOST COMMAND`: one command line, executed by the server itself. It starts neither a shell nor a program.
//! Words and quotes are parsed as in a shell, and a line that needs a shell is refused.
//!
//! [`run`] is the task that owns a channel. A `CommandTask` does the work of the command. It is synchronous, may block,
//! and runs in bounded work slices in the blocking pool.

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

use super::receive_buffer::{InputEnd, ReceiveBuffer};
use super::{BlockingPool, ChannelEnd, ChannelInput, ChannelOutput, Gone};
use crate::operations::{self, User};
use error::{EXIT_FAILURE, Error, Result};
use sshome_wire::display::Escaped;
use std::sync::Arc;
use std::time::Duration;
use task::{CommandIo, CommandTask, InputRead, OutputChunk, TaskState};
use tokio::time::timeout;

/// How long a refused scp client has to send its first byte.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(5);

/// The byte that a terminal sends for Ctrl-C, and the exit status of an interrupted program.
const INTERRUPT: (u8, u8) = (3, 130);

/// Runs one command line to its end. `terminal` is true if the client's side is a terminal.
pub async fn run(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    line: Vec<u8>,
    terminal: bool,
    pool: &BlockingPool,
) -> ChannelEnd {
    match serve(incoming, outgoing, user, &line, terminal, pool).await {
        Ok(0) => ChannelEnd::Well,
        Ok(status) => ChannelEnd::Failed(status),
        Err(ended) => ended,
    }
}

async fn serve(
    incoming: impl ChannelInput,
    outgoing: impl ChannelOutput,
    user: User,
    line: &[u8],
    terminal: bool,
    pool: &BlockingPool,
) -> std::result::Result<u8, ChannelEnd> {
    tracing::debug!(user = user.name(), line = %Escaped(line), "command");
    let mut input = ReceiveBuffer::new(incoming);
    let (permits, closed) = (user.slice_permits(), outgoing.closed());
    let mut work = RunningCommand::begin(user, line, terminal);
    if !work.reads && !terminal {
        // Unread input would stall the connection.
        input.ignore();
    }
    let mut ready = Vec::new();
    loop {
        let chunks = input.take();
        if terminal && chunks.iter().any(|chunk| chunk.contains(&INTERRUPT.0)) {
            return Ok(INTERRUPT.1);
        }
        if work.reads {
            work.io.input.push(chunks, input.end());
        }
        input.set_pending_bytes(work.io.input.len());
        // Complete input is processed to its end, even if the client has disconnected.
        let whole = work.reads && input.end() == Some(InputEnd::Eof);
        let scarce = outgoing.output_limit();
        if scarce.is_some() {
            send(&mut input, &outgoing, std::mem::take(&mut ready)).await?;
        }
        work.io.limit_output(scarce);
        let gone = closed.clone();
        let state = pool.run(Arc::clone(&permits), move || {
            let guard = work.user.audit().enter();
            // The client may have disconnected while the slice waited for its permit.
            let state = if gone.is_cancelled() && !whole { TaskState::Waiting } else { work.run_slice() };
            drop(guard);
            (work, state)
        });
        // While the slice runs, send the previous output, then receive only what there is room for.
        send(&mut input, &outgoing, std::mem::take(&mut ready)).await?;
        let state = input.during(false, state).await;
        let Ok(Some((returned, state))) = state else { return Err(ChannelEnd::Fault) };
        work = returned;
        ready = work.io.take();
        input.set_pending_bytes(work.io.input.len());
        let whole = work.reads && input.end() == Some(InputEnd::Eof);
        if (closed.is_cancelled() || input.is_gone()) && !whole {
            return Err(ChannelEnd::Gone);
        }
        match state {
            TaskState::Busy => {}
            TaskState::Waiting => {
                send(&mut input, &outgoing, std::mem::take(&mut ready)).await?;
                if !work.is_refused {
                    input.wait().await;
                } else if timeout(FIRST_BYTE_WITHIN, input.wait()).await.is_err() {
                    return Ok(EXIT_FAILURE);
                }
            }
            TaskState::Done(status) => {
                send(&mut input, &outgoing, std::mem::take(&mut ready)).await?;
                return Ok(status);
            }
        }
    }
}

/// Sends `chunks` and receives input meanwhile.
async fn send(
    input: &mut ReceiveBuffer<impl ChannelInput>,
    outgoing: &impl ChannelOutput,
    chunks: Vec<OutputChunk>,
) -> std::result::Result<(), ChannelEnd> {
    if chunks.is_empty() {
        return Ok(());
    }
    outgoing.hold(chunks.iter().map(OutputChunk::len).sum());
    let sends = async {
        for chunk in chunks {
            match chunk {
                OutputChunk::Output(bytes) => outgoing.send(bytes).await?,
                OutputChunk::Error(bytes) => outgoing.send_error(bytes).await?,
            }
        }
        Ok::<(), Gone>(())
    };
    let sent = input.during(true, sends).await;
    outgoing.hold(0);
    Ok(sent?)
}

impl From<Gone> for ChannelEnd {
    fn from(_: Gone) -> ChannelEnd {
        ChannelEnd::Gone
    }
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
    task: Result<Box<dyn CommandTask>>,
}

impl RunningCommand {
    fn begin(user: User, line: &[u8], terminal: bool) -> RunningCommand {
        let mut io = CommandIo::new(terminal);
        let mut reads = false;
        let task = shell_words::split(line).map_err(Error::from).and_then(|words| {
            let is_copy_id = copy_id::is_it(&words);
            let mut words = words.into_iter();
            let name = words.next().unwrap_or_default();
            let command = if is_copy_id { &copy_id::COMMAND } else { table::find(&name)? };
            io.named(command.name);
            let arguments = command.accepts.read(words.collect())?;
            if (command.changes)(&arguments) {
                user.require_write().map_err(|error| match error {
                    operations::Error::ReadOnly => Error::ReadOnly,
                    other => Error::Operation(other),
                })?;
            }
            reads = (command.reads)(&arguments);
            if reads && terminal {
                return Err(Error::Terminal);
            }
            (command.begin)(arguments)
        });
        let client_begins = task.is_err() && !terminal && scp::client_begins(line);
        let (reads, scp) = (reads || client_begins, scp::is_spoken(line));
        RunningCommand { user, io, reads, scp, client_begins, is_refused: false, task }
    }

    fn run_slice(&mut self) -> TaskState {
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

/// Reports the error of a command and ends it.
fn refuse(io: &mut CommandIo, error: &Error, scp: bool) -> TaskState {
    io.error(error);
    if !scp {
        return TaskState::Done(error.exit_status());
    }
    io.bytes(&scp::failure(error));
    TaskState::Done(EXIT_FAILURE)
}
