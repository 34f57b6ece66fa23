//! Files from the local disk to the server.
//!
//! A thread walks over the sources, reads and hashes them and makes messages of frames
//! ([`walk`], [`source`], [`reader`], [`message`]); another task sends them without waiting for answers, which are
//! heard as they come ([`sending`]). What has no answer when the connection is lost is done again on
//! the next one ([`work`]). Links that the server refuses may be there already ([`links`]).

mod links;
mod message;
mod reader;
mod sending;
mod source;
mod walk;
mod work;

use super::reconnect::{Reached, Retries};
use super::{Context, Failure, Options, Summary, path_bytes, remote_is_directory};
use crate::conversation::ConversationError;
use reader::Manner;
use sending::{Done, Sending};
use sshome_wire::RemotePath;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;
use walk::Walk;
use work::Work;

/// How many messages may be read ahead.
const QUEUE: usize = 4;

/// How many requests may be in one message; the server publishes small files in groups of such a size.
const MAX_REQUESTS: usize = 1000;

/// Stores files, and with `recursive` directories.
///
/// An existing directory as target takes them under their own names; several sources need one.
/// Any other target is the new name.
///
/// A lost connection is taken up again if the context says how: what the server has confirmed is not
/// sent again, and a large file goes on after the blocks that have arrived.
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
    ctx.finish(done).await
}

async fn run(
    ctx: &mut Context<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    options: Options,
) -> Result<Summary, ConversationError> {
    let mut retries = Retries::default();
    let into_directory = loop {
        match remote_is_directory(ctx, target).await {
            Err(ConversationError::Lost(why)) => retries.recover(ctx, why, Reached::default()).await?,
            other => break other?,
        }
    };
    if sources.len() > 1 && !into_directory {
        return Err(ConversationError::Local(format!(
            "{target}: several files need a directory that exists"
        )));
    }
    let mut done = Done::default();
    let mut named = Vec::new();
    for source in sources {
        let to = match into_directory {
            true => base_name(source).and_then(|name| target.join(&name).map_err(|error| error.to_string())),
            false => Ok(target.clone()),
        };
        match to {
            Ok(to) => named.push((source.clone(), to)),
            Err(why) => done.summary.failures.push(Failure::of(path_bytes(source), why)),
        }
    }
    measure(ctx, &named, options).await?;
    let mut work = Work::new(Walk::new(named, options));
    loop {
        let ahead = retries.careful(ctx.conversation.max_outstanding());
        let (rest, sent) = send(ctx, work, options, ahead, &mut done).await?;
        match sent {
            Err(ConversationError::Lost(why)) => retries.recover(ctx, why, done.reached).await?,
            other => {
                other?;
                break;
            }
        }
        work = rest;
        work.begin_again();
    }
    let Done { mut summary, reached, refused_links } = done;
    loop {
        match links::judge(ctx, &refused_links).await {
            Err(ConversationError::Lost(why)) => retries.recover(ctx, why, reached).await?,
            other => {
                let (unchanged, failures) = other?;
                summary.unchanged += unchanged;
                summary.failures.extend(failures);
                return Ok(summary);
            }
        }
    }
}

/// Sends what is left, on the connection that there is, `ahead` requests at once. Returns what is left then, and how it ended.
async fn send(
    ctx: &mut Context<'_>,
    work: Work,
    options: Options,
    ahead: usize,
    done: &mut Done,
) -> Result<(Work, Result<(), ConversationError>), ConversationError> {
    let settled = Arc::new(AtomicU64::new(0));
    let manner = Manner {
        max_frame: ctx.conversation.max_frame(),
        max_requests: MAX_REQUESTS.min(ahead),
        preserve: options.preserve,
        settled: Arc::clone(&settled),
        progress: ctx.progress.clone(),
    };
    let (out, messages) = mpsc::channel(QUEUE);
    let unsettled = work.unsettled();
    let reader = tokio::task::spawn_blocking(move || reader::read(work, manner, out));
    // When this returns, nobody listens to the reader any more, and it ends.
    let sent = Sending::new(messages, ahead, settled, unsettled, done).run(ctx).await;
    let failed = |error| ConversationError::Local(format!("the thread that reads files has failed: {error}"));
    Ok((reader.await.map_err(failed)?, sent))
}

/// Tells the progress how much there is, where somebody sees it.
async fn measure(
    ctx: &Context<'_>,
    sources: &[(PathBuf, RemotePath)],
    options: Options,
) -> Result<(), ConversationError> {
    if ctx.progress.is_shown() {
        let sources = sources.to_vec();
        let measured = tokio::task::spawn_blocking(move || walk::measure(sources, options)).await;
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
