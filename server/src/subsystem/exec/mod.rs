//! `ssh USER@HOST COMMAND`: one command line, done by the server itself. There is no shell, and
//! nothing is started: the line is read as a shell would read its words and quotes, and what would
//! need a shell is refused.
//!
//! [`run`] is the one task that owns a channel. What the command does is the business of a `Task`,
//! which is synchronous and runs where blocking is allowed, a bounded turn at a time.

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

use super::receive_buffer::{End, Inbox};
use super::{Ended, Gone, Incoming, Outgoing, Threads};
use crate::operations::{self, User};
use error::{Error, PARTLY, Result};
use sshome_wire::display::Escaped;
use std::sync::Arc;
use task::{Chunk, Io, Task, Turn};

/// What a terminal sends for Ctrl-C, and the exit status of a program that it ends.
const INTERRUPT: (u8, u8) = (3, 130);

/// Runs one command line to its end. `terminal` says that the client shows what it gets as it is.
pub async fn run(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    user: User,
    line: Vec<u8>,
    terminal: bool,
    threads: &Threads,
) -> Ended {
    match serve(incoming, outgoing, user, &line, terminal, threads).await {
        Ok(0) => Ended::Well,
        Ok(status) => Ended::Failed(status),
        Err(ended) => ended,
    }
}

async fn serve(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    user: User,
    line: &[u8],
    terminal: bool,
    threads: &Threads,
) -> std::result::Result<u8, Ended> {
    tracing::debug!(user = user.name(), line = %Escaped(line), "command");
    let mut inbox = Inbox::new(incoming);
    let (turns, closed) = (user.turns(), outgoing.closed());
    let mut work = Work::begin(user, line, terminal);
    if !work.reads && !terminal {
        // Or what nobody reads would stop the connection.
        inbox.ignore();
    }
    let mut ready = Vec::new();
    loop {
        let chunks = inbox.take();
        if terminal && chunks.iter().any(|chunk| chunk.contains(&INTERRUPT.0)) {
            return Ok(INTERRUPT.1);
        }
        if work.reads {
            work.io.input.push(chunks, inbox.end());
        }
        inbox.set_backlog(work.io.input.len());
        // What has come whole is worth going on with, though nobody hears of it.
        let whole = work.reads && inbox.end() == Some(End::Eof);
        let scarce = outgoing.output_limit();
        if scarce.is_some() {
            send(&mut inbox, &outgoing, std::mem::take(&mut ready)).await?;
        }
        work.io.limit_output(scarce);
        let gone = closed.clone();
        let turn = threads.run(Arc::clone(&turns), move || {
            let at_work = work.user.audit().at_work();
            // It may have waited for its share for long.
            let turn = if gone.is_cancelled() && !whole { Turn::Waiting } else { work.turn() };
            drop(at_work);
            (work, turn)
        });
        // While the turn runs: what there is to send, and after that only what there is room for is
        // taken in.
        send(&mut inbox, &outgoing, std::mem::take(&mut ready)).await?;
        let turn = inbox.during(false, turn).await;
        let Ok(Some((returned, turn))) = turn else { return Err(Ended::Fault) };
        work = returned;
        ready = work.io.take();
        inbox.set_backlog(work.io.input.len());
        let whole = work.reads && inbox.end() == Some(End::Eof);
        if (closed.is_cancelled() || inbox.is_gone()) && !whole {
            return Err(Ended::Gone);
        }
        match turn {
            Turn::Busy => {}
            Turn::Waiting => {
                send(&mut inbox, &outgoing, std::mem::take(&mut ready)).await?;
                inbox.wait().await;
            }
            Turn::Done(status) => {
                send(&mut inbox, &outgoing, std::mem::take(&mut ready)).await?;
                return Ok(status);
            }
        }
    }
}

/// Sends, and takes in whatever the client sends meanwhile.
async fn send(
    inbox: &mut Inbox<impl Incoming>,
    outgoing: &impl Outgoing,
    chunks: Vec<Chunk>,
) -> std::result::Result<(), Ended> {
    if chunks.is_empty() {
        return Ok(());
    }
    outgoing.hold(chunks.iter().map(Chunk::len).sum());
    let sends = async {
        for chunk in chunks {
            match chunk {
                Chunk::Output(bytes) => outgoing.send(bytes).await?,
                Chunk::Error(bytes) => outgoing.send_error(bytes).await?,
            }
        }
        Ok::<(), Gone>(())
    };
    let sent = inbox.during(true, sends).await;
    outgoing.hold(0);
    Ok(sent?)
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Ended {
        Ended::Gone
    }
}

/// A command, and what it works between.
struct Work {
    user: User,
    io: Io,
    /// Whether it reads its input.
    reads: bool,
    /// Whether the client speaks scp's protocol: many show and heed only errors that they are told in it.
    scp: bool,
    task: Result<Box<dyn Task>>,
}

impl Work {
    fn begin(user: User, line: &[u8], terminal: bool) -> Work {
        let mut io = Io::new(terminal);
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
        Work { user, io, reads, scp: scp::is_spoken(line), task }
    }

    fn turn(&mut self) -> Turn {
        match &mut self.task {
            Ok(task) => {
                let turn = task.turn(&self.user, &mut self.io);
                turn.unwrap_or_else(|error| refuse(&mut self.io, &error, self.scp))
            }
            Err(error) => {
                tracing::debug!(user = self.user.name(), %error, "refused");
                refuse(&mut self.io, error, self.scp)
            }
        }
    }
}

/// Says why a command is not done, and with which exit status it ends.
fn refuse(io: &mut Io, error: &Error, scp: bool) -> Turn {
    io.error(error);
    if !scp {
        return Turn::Done(error.exit_status());
    }
    io.bytes(&scp::failure(error));
    Turn::Done(PARTLY)
}
