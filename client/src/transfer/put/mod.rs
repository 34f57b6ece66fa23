//! Files from the local disk to the server.
//!
//! A thread walks over the sources, reads and hashes them and makes messages of frames
//! ([`walk`], [`reader`]); here they are sent without waiting for answers, which are heard as they
//! come.

mod reader;
mod walk;

use super::{Context, Done, Failure, Options, Summary, path_bytes, remote_is_directory};
use crate::conversation::{ConversationError, encoded, unexpected};
use bytes::Bytes;
use reader::{Asked, Manner, Message};
use sshome_wire::{Frame, RemotePath, Reply, Status};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use walk::Walk;

/// How many messages may be read ahead.
const QUEUE: usize = 4;

/// How many requests may be in one message; the server publishes small files in groups of such a size.
const MAX_REQUESTS: usize = 1000;

/// Stores files, and with `recursive` directories.
///
/// An existing directory as target takes them under their own names; several sources need one.
/// Any other target is the new name.
///
/// # Errors
/// If nothing could be begun (`Refused`, `Local`), the transfer was interrupted (`Cancelled`; what was
/// answered by then stays) or the connection is gone. One file's failure is in the summary.
pub async fn put(
    mut ctx: Context<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    options: Options,
) -> Result<Summary, ConversationError> {
    let done = run(&mut ctx, sources, target, options).await;
    ctx.progress.finish();
    if let Err(ConversationError::Cancelled | ConversationError::Local(_)) = done {
        ctx.conversation.abandon(&mut |_| {}).await?;
    }
    done
}

async fn run(
    ctx: &mut Context<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    options: Options,
) -> Result<Summary, ConversationError> {
    let into_directory = remote_is_directory(ctx, target).await?;
    if sources.len() > 1 && !into_directory {
        return Err(ConversationError::Local(format!(
            "{target}: several files need a directory that exists"
        )));
    }
    let mut summary = Summary::default();
    let mut named = Vec::new();
    for source in sources {
        let to = match into_directory {
            true => base_name(source).and_then(|name| target.join(&name).map_err(|error| error.to_string())),
            false => Ok(target.clone()),
        };
        match to {
            Ok(to) => named.push((source.clone(), to)),
            Err(why) => summary.failures.push(Failure::of(path_bytes(source), why)),
        }
    }
    let manner = Manner {
        max_frame: ctx.conversation.max_frame(),
        max_requests: MAX_REQUESTS.min(ctx.conversation.max_outstanding()),
        preserve: options.preserve,
        settled: Arc::new(AtomicU64::new(0)),
    };
    measure(ctx, &named, options).await?;
    let (out, messages) = mpsc::channel(QUEUE);
    let settled = Arc::clone(&manner.settled);
    let walk = Walk::new(named, options.recursive);
    let reader = tokio::task::spawn_blocking(move || reader::read(walk, manner, out));
    let asked = VecDeque::new();
    let mut sending = Sending { messages, asked, open: Open::No, settled, summary };
    sending.run(ctx).await?;
    reader.await.map_err(|error| {
        ConversationError::Local(format!("the thread that reads files has failed: {error}"))
    })?;
    Ok(sending.summary)
}

/// Tells the progress how much there is, where somebody sees it.
async fn measure(
    ctx: &Context<'_>,
    sources: &[(PathBuf, RemotePath)],
    options: Options,
) -> Result<(), ConversationError> {
    if ctx.progress.is_shown() {
        let sources = sources.to_vec();
        let measured = tokio::task::spawn_blocking(move || walk::measure(sources, options.recursive)).await;
        let (files, bytes) = measured.map_err(|error| ConversationError::Local(error.to_string()))?;
        ctx.progress.begin(files, Some(bytes));
    }
    Ok(())
}

/// The name that a source has in the directory that it is put into: its own, or that of the
/// directory that `.` and the like stand for.
fn base_name(source: &Path) -> Result<Vec<u8>, String> {
    if let Some(name) = source.file_name() {
        return Ok(name.as_encoded_bytes().to_vec());
    }
    let whole = source.canonicalize().map_err(|error| format!("cannot read it: {error}"))?;
    let name = whole.file_name().ok_or("it has no name of its own; say which name it is to have")?;
    Ok(name.as_encoded_bytes().to_vec())
}

/// The file that comes in pieces, if one is under way.
enum Open {
    /// None is.
    No,
    /// Its end has not been sent, and no answer has come.
    Sending,
    /// The server has refused it; the rest of it is not sent.
    Refused,
}

struct Sending {
    messages: mpsc::Receiver<Message>,
    /// What has no answer yet, in order.
    asked: VecDeque<Asked>,
    open: Open,
    /// How many files in pieces are done with; the reader looks at it.
    settled: Arc<AtomicU64>,
    summary: Summary,
}

impl Sending {
    async fn run(&mut self, ctx: &mut Context<'_>) -> Result<(), ConversationError> {
        loop {
            tokio::select! {
                biased;
                frame = ctx.conversation.receive(ctx.interrupt) => self.settle(ctx, frame?).await?,
                message = self.messages.recv() => match message {
                    Some(message) => self.take(ctx, message).await?,
                    None => break,
                },
            }
        }
        while !self.asked.is_empty() {
            let frame = ctx.conversation.receive(ctx.interrupt).await?;
            self.settle(ctx, frame).await?;
        }
        Ok(())
    }

    async fn take(&mut self, ctx: &mut Context<'_>, message: Message) -> Result<(), ConversationError> {
        match message {
            Message::Whole { bytes, asked } => {
                self.wait_for_room(ctx, asked.len()).await?;
                let count = asked.len();
                let length = asked.iter().filter_map(|asked| asked.size).sum();
                self.asked.extend(asked);
                ctx.conversation.send(bytes, count, ctx.interrupt).await?;
                ctx.progress.advance(length);
            }
            Message::First { bytes, asked } => {
                self.wait_for_room(ctx, 1).await?;
                ctx.progress.begin_file(asked.to.file_name().unwrap_or_default(), asked.size.unwrap_or(0));
                self.asked.push_back(asked);
                self.open = Open::Sending;
                ctx.conversation.send(bytes, 1, ctx.interrupt).await?;
            }
            Message::Piece { bytes, length } => {
                ctx.progress.advance(length);
                self.send_of_open(ctx, bytes).await?;
            }
            Message::Last { bytes, digest, failed } => {
                self.send_of_open(ctx, bytes).await?;
                if let (Open::Sending, Some(asked)) = (&self.open, self.asked.back_mut()) {
                    asked.failed = failed;
                    asked.digest = Some(digest);
                    self.settled.fetch_add(1, Ordering::Relaxed);
                }
                self.open = Open::No;
            }
            Message::Skipped(failure) => self.summary.skipped.push(failure),
            Message::Failed(failure) => self.summary.failures.push(failure),
        }
        Ok(())
    }

    async fn send_of_open(&mut self, ctx: &mut Context<'_>, bytes: Bytes) -> Result<(), ConversationError> {
        match self.open {
            Open::Sending => ctx.conversation.send(bytes, 0, ctx.interrupt).await,
            Open::Refused | Open::No => Ok(()),
        }
    }

    /// Waits until the server holds so few requests that it takes `more` of them.
    async fn wait_for_room(&mut self, ctx: &mut Context<'_>, more: usize) -> Result<(), ConversationError> {
        while ctx.conversation.outstanding() + more > ctx.conversation.max_outstanding() {
            let frame = ctx.conversation.receive(ctx.interrupt).await?;
            self.settle(ctx, frame).await?;
        }
        Ok(())
    }

    /// Hears an answer.
    async fn settle(&mut self, ctx: &mut Context<'_>, frame: Frame) -> Result<(), ConversationError> {
        let reply = match frame {
            Frame::Reply(reply) => reply,
            Frame::Progress(_) => return Ok(()),
            frame => return Err(unexpected(&frame)),
        };
        let Some(asked) = self.asked.pop_front() else { return Err(unexpected(&Frame::Reply(reply))) };
        let is_open = self.asked.is_empty() && matches!(self.open, Open::Sending);
        if is_open {
            // It was refused before its end: that is said now, and its space in the stream closed.
            self.open = Open::Refused;
            self.settled.fetch_add(1, Ordering::Relaxed);
            ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.interrupt).await?;
        }
        self.note(ctx, asked, &reply);
        match is_open && !reply.status.is_error() {
            true => Err(ConversationError::Protocol("it took a file before the file's end".into())),
            false => Ok(()),
        }
    }

    fn note(&mut self, ctx: &Context<'_>, asked: Asked, reply: &Reply) {
        let Asked { to, size, digest, failed } = asked;
        let fine = match size {
            Some(_) => !reply.status.is_error(),
            None => matches!(reply.status, Status::Done | Status::DirectoryExists),
        };
        if size.is_some() {
            ctx.progress.end_file();
        }
        if let Some(failure) = failed {
            self.summary.failures.push(failure);
        } else if !fine {
            self.summary.failures.push(Failure::refused(to.as_bytes(), reply.status, &reply.message));
        } else if let Some(size) = size {
            self.summary.files += 1;
            self.summary.bytes += size;
            if let Some(observer) = ctx.progress.observer() {
                let (remote, status) = (to.as_bytes(), reply.status);
                observer.done(&Done { remote, local: None, size, digest, resumed_at: 0, status });
            }
        }
    }
}
