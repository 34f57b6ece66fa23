//! Files from the server to the local disk.
//!
//! First a plan is made from what the server lists ([`plan`], [`tree`]); then the local directories are made,
//! and files whose content is here already are taken out ([`prepare`]); then the rest is asked for
//! ahead and received in order ([`fetch`]), and written ([`writer`], [`sink`]), checked and published
//! ([`publish`], [`store`]) by another thread. A large file that is cut stays as a part, which the
//! next get goes on with ([`part`]). Links are made last ([`links`]).

mod claims;
mod fetch;
mod links;
mod part;
mod plan;
mod prepare;
mod publish;
mod sink;
mod store;
mod tree;
mod writer;

use super::reconnect::{Reached, Retries};
use super::{Context, Failure, MAX_LINKS, Options, Summary, path_bytes, remote_is_directory};
use crate::conversation::ConversationError;
use claims::Claims;
use fetch::Fetch;
use plan::Plan;
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;

/// Fetches files, and with `recursive` directories.
///
/// An existing directory as target takes them under their own names; several sources need one.
/// Any other target is the new name. A file that is there already is left alone if it has the same
/// content; a different one stays, and the new one becomes `NAME.new`, unless `force` replaces it.
///
/// A lost connection is taken up again if the context says how. A large file that was cut, now or by an
/// earlier get, goes on after the blocks that agree with the server's.
///
/// # Errors
/// If nothing could be begun (`Refused`, `Local`), the transfer was interrupted (`Cancelled`; what was
/// whole by then stays) or the connection is gone. One file's failure is in the summary.
pub async fn get(
    mut ctx: Context<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: Options,
) -> Result<Summary, ConversationError> {
    let done = run(&mut ctx, sources, target, options).await;
    ctx.finish(done).await
}

async fn run(
    ctx: &mut Context<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: Options,
) -> Result<Summary, ConversationError> {
    let into_directory = target.is_dir();
    if sources.len() > 1 && !into_directory {
        let target = Escaped(path_bytes(target));
        return Err(ConversationError::Local(format!(
            "{target}: several files need a directory that exists"
        )));
    }
    let mut retries = Retries::default();
    let mut plan = loop {
        match make_plan(ctx, sources, target, options).await {
            Err(ConversationError::Lost(why)) => retries.recover(ctx, why, Reached::default()).await?,
            other => break other?,
        }
    };
    let mut summary = Summary::default();
    summary.skipped.append(&mut plan.skipped);
    summary.failures.append(&mut plan.failures);
    let plan = Arc::new(plan);
    let preparing = Arc::clone(&plan);
    let mut prepared = blocking(move || prepare::prepare(&preparing)).await?;
    summary.failures.append(&mut prepared.failures);
    let same = loop {
        match prepare::unchanged(ctx, &plan, &prepared).await {
            Err(ConversationError::Lost(why)) => retries.recover(ctx, why, Reached::default()).await?,
            other => break other?,
        }
    };
    summary.unchanged += same.len() as u64;
    let left: VecDeque<usize> = prepared.files.into_iter().filter(|number| !same.contains(number)).collect();
    let mut sizes = left.iter().filter_map(|number| plan.files.get(*number)).map(|file| file.size);
    let total = sizes.try_fold(0, |sum: u64, size| Some(sum.saturating_add(size?)));
    ctx.progress.begin(left.len() as u64, total);
    let (claims, reached) = (Claims::of(&plan), Reached::default());
    let mut work = Fetch { plan: Arc::clone(&plan), options, left, claims, summary, reached };
    let fetched = loop {
        match fetch::fetch(ctx, &mut work).await {
            Err(ConversationError::Lost(why)) => match retries.recover(ctx, why, work.reached).await {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            other => break other,
        }
    };
    let Fetch { mut summary, claims, .. } = work;
    if fetched.is_ok() && !plan.links.is_empty() {
        let plan = Arc::clone(&plan);
        summary.add(blocking(move || links::make(&plan, options, claims)).await?);
    }
    if options.preserve {
        summary = blocking(move || {
            Store::new(plan).set_modes(&prepared.made, &mut summary);
            summary
        })
        .await?;
    }
    fetched.map(|()| summary)
}

async fn make_plan(
    ctx: &mut Context<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: Options,
) -> Result<Plan, ConversationError> {
    let mut plan = Plan::default();
    for source in sources {
        if options.recursive {
            add_source(ctx, &mut plan, source, target, options).await?;
        } else {
            add_file(&mut plan, source, target, options);
        }
    }
    Ok(plan)
}

/// Adds a source that may be a directory, with all that is in it.
async fn add_source(
    ctx: &mut Context<'_>,
    plan: &mut Plan,
    source: &RemotePath,
    target: &Path,
    options: Options,
) -> Result<(), ConversationError> {
    match remote_is_directory(ctx, source).await {
        Err(ConversationError::Refused(reply)) => {
            plan.failures.push(Failure::refused(source.as_bytes(), reply.status, &reply.message));
        }
        Err(error) => return Err(error),
        Ok(true) => tree::add_tree(ctx, plan, source, target, options).await?,
        Ok(false) => add_file(plan, source, target, options),
    }
    Ok(())
}

fn add_file(plan: &mut Plan, source: &RemotePath, target: &Path, options: Options) {
    let target = match source.file_name() {
        Some(name) if target.is_dir() => {
            if let Err(why) = super::names::check(name) {
                return plan.fail(source.as_bytes(), why);
            }
            target.join(plan::as_os_path(name))
        }
        _ => target.to_owned(),
    };
    // With force a link's own target is what is replaced. A link that leads nowhere is as good as that.
    let target = if options.force { behind_links(target) } else { target };
    let (base, name) = split(&target);
    plan.add_file(source, base, &name);
}

/// The directory that a local path is in, and its name there.
fn split(path: &Path) -> (PathBuf, Vec<u8>) {
    let base = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    (base, path.file_name().unwrap_or_default().as_encoded_bytes().to_vec())
}

/// What a path leads to once it is no link.
fn behind_links(mut path: PathBuf) -> PathBuf {
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&path) else { break };
        path = match path.parent() {
            Some(parent) => parent.join(next),
            None => next,
        };
    }
    path
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConversationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ConversationError::Local(format!("a thread at work on files has failed: {error}")))
}
