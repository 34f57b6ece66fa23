//! Files from the server to the local disk.
//!
//! First a plan is made from what the server lists ([`plan`], [`tree`]); then the local directories are made,
//! and files whose content is here already are taken out ([`prepare`]); then the rest is asked for
//! ahead and received in order ([`fetch`]), by connections that share the list ([`download`]), and written ([`writer`], [`sink`]), checked and published
//! ([`publish`], [`store`]) by another thread. A large file that is cut stays as a part, which the
//! next get goes on with ([`part`]). Links are made last ([`links`]).

mod claims;
mod download;
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

use super::reconnect::Retries;
use super::{
    Context, Failure, Jobs, MAX_LINKS, Options, Summary, Transfer, blocking, path_bytes, remote_is_directory,
};
use crate::conversation::ConversationError;
use download::Download;
use plan::Plan;
use sshome_wire::display::Escaped;
use sshome_wire::{Payload, RemotePath, Reply, Request};
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
    ctx: Context<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: Options,
) -> Result<Summary, ConversationError> {
    super::run(ctx, Get { sources, target, options }, options.jobs).await
}

struct Get<'a> {
    sources: &'a [RemotePath],
    target: &'a Path,
    options: Options,
}

impl Transfer for Get<'_> {
    type Work = Download;

    async fn begin(
        &self,
        ctx: &mut Context<'_>,
        retries: &mut Retries,
    ) -> Result<Download, ConversationError> {
        let Get { sources, target, options } = *self;
        if sources.len() > 1 && !target.is_dir() {
            let target = Escaped(path_bytes(target));
            return Err(ConversationError::Local(format!(
                "{target}: several files need a directory that exists"
            )));
        }
        let make_plan =
            async |ctx: &mut Context<'_>, _: &mut Retries| make_plan(ctx, sources, target, options).await;
        let mut plan = retries.persist(ctx, make_plan).await?;
        let mut summary = Summary::default();
        summary.skipped.append(&mut plan.skipped);
        summary.failures.append(&mut plan.failures);
        let plan = Arc::new(plan);
        let preparing = Arc::clone(&plan);
        let mut prepared = blocking(move || prepare::prepare(&preparing)).await?;
        summary.failures.append(&mut prepared.failures);
        let unchanged =
            async |ctx: &mut Context<'_>, _: &mut Retries| prepare::unchanged(ctx, &plan, &prepared).await;
        let same = retries.persist(ctx, unchanged).await?;
        summary.unchanged += same.len() as u64;
        let left: Vec<usize> = prepared.files.into_iter().filter(|number| !same.contains(number)).collect();
        let known = download::find_parts(ctx, &plan, &left).await?;
        let download = Download::new(plan, options, left, known, prepared.made, summary);
        ctx.progress.begin(download.load.files, download.bytes);
        Ok(download)
    }

    async fn end(
        &self,
        ctx: &mut Context<'_>,
        _: &mut Retries,
        work: &Download,
        carried: Result<(), ConversationError>,
    ) -> Result<Summary, ConversationError> {
        let (plan, options, mut summary) = (Arc::clone(&work.plan), self.options, work.summary());
        if carried.is_ok() && !plan.links.is_empty() {
            let (plan, claims, observer) =
                (Arc::clone(&plan), Arc::clone(&work.claims), ctx.progress.observer());
            summary.add(blocking(move || links::make(&plan, options, claims, observer)).await?);
        }
        if options.preserve {
            let made = work.made.clone();
            summary = blocking(move || {
                Store::new(plan).set_modes(&made, &mut summary);
                summary
            })
            .await?;
        }
        carried.map(|()| summary)
    }
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
    if options.jobs != Jobs::ONE {
        ask_sizes(ctx, &mut plan).await?;
    }
    Ok(plan)
}

/// Asks how long the files are that no listing has told of: where there are several, that decides about
/// the connections. What the server refuses here it refuses again when the file is asked for.
async fn ask_sizes(ctx: &mut Context<'_>, plan: &mut Plan) -> Result<(), ConversationError> {
    if plan.files.len() < 2 {
        return Ok(());
    }
    let asked: Vec<(usize, RemotePath)> = plan
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.size.is_none())
        .filter_map(|(number, file)| Some((number, plan.remote(file).ok()?)))
        .collect();
    let stat =
        |(_, path): &(usize, RemotePath)| Request::Stat { path: path.as_bytes().to_vec(), follow: true };
    let mut each = |index: usize, reply: Reply| {
        let file = asked.get(index).and_then(|(number, _)| plan.files.get_mut(*number));
        if let (Some(file), Payload::Stat(entry)) = (file, reply.payload) {
            file.size = Some(entry.size);
        }
    };
    ctx.conversation.ask_all(asked.iter().map(stat), ctx.interrupt, &mut each).await
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
