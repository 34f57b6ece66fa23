//! The sources that the user named: files for the plan, and directories to list.

use super::pending::PendingDirectory;
use super::plan::{self, Plan, PlannedDirectory};
use super::resolve_links::{self, LinkTarget};
use super::walk::DownloadWalk;
use crate::conversation::ConversationError;
use crate::transfer::{
    Failure, IS_DIRECTORY, Jobs, MAX_LINKS, NAMED_TWICE, TransferContext, TransferOptions, names, path_bytes,
};
use sshome_wire::display::Escaped;
use sshome_wire::{Payload, RemotePath, Reply, Request};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A walk through the sources of a get for a local target.
///
/// # Errors
/// Those of the conversation. Refusals are in the first plan.
pub(super) async fn walk(
    ctx: &mut TransferContext<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: TransferOptions,
) -> Result<DownloadWalk, ConversationError> {
    let (mut plan, mut tops) = (Plan::default(), Vec::new());
    let mut before = HashSet::new();
    for source in sources {
        if !before.insert(source) {
            plan.skipped.push(Failure::of(source.as_bytes(), NAMED_TWICE));
        } else if options.recursive {
            tops.extend(add_source(ctx, &mut plan, source, target, (options, sources.len() == 1)).await?);
        } else {
            add_file(&mut plan, source, target, options);
        }
    }
    if options.jobs != Jobs::ONE {
        ask_sizes(ctx, &mut plan).await?;
    }
    let files = plan.files.iter().map(|file| plan.local(file));
    let batch_entries = match overlap(files.chain(tops.iter().map(PlannedDirectory::local)).collect()) {
        // Several files with the same name can only be told apart if all are known.
        true => usize::MAX,
        false => options.batch_entries,
    };
    let tops = tops.into_iter().map(PendingDirectory::top).collect();
    Ok(DownloadWalk::new(plan, tops, options.follow, batch_entries))
}

/// Whether two of the paths are equal, or one is below the other.
fn overlap(mut paths: Vec<PathBuf>) -> bool {
    // When sorted, a path is directly followed by those below it.
    paths.sort_unstable();
    paths.windows(2).any(|two| matches!(two, [above, below] if below.starts_with(above)))
}

/// Adds a source that may be a directory. A directory is listed later.
async fn add_source(
    ctx: &mut TransferContext<'_>,
    plan: &mut Plan,
    source: &RemotePath,
    target: &Path,
    (options, is_only): (TransferOptions, bool),
) -> Result<Option<PlannedDirectory>, ConversationError> {
    // A link that the user named is always followed, unlike one in a tree.
    let resolved = match is_only {
        true => resolve_links::resolve_and_list(ctx, source).await?,
        false => resolve_links::resolve(ctx, source).await?,
    };
    match resolved {
        LinkTarget::Directory(remote, attributes) => {
            let (base, below) = tree_target(source.file_name().or(remote.file_name()), target);
            return Ok(Some(PlannedDirectory {
                remote,
                base,
                below,
                attributes: Some(attributes),
                link_parents: Arc::default(),
            }));
        }
        LinkTarget::File(size) => {
            let number = plan.files.len();
            add_file(plan, source, target, options);
            if let Some(file) = plan.files.get_mut(number) {
                file.size = Some(size);
            }
        }
        // The error is reported when it is requested.
        LinkTarget::Special | LinkTarget::Missing => add_file(plan, source, target, options),
        LinkTarget::Refused(reply) => {
            plan.failures.push(Failure::refused(source.as_bytes(), reply.status, &reply.message));
        }
    }
    Ok(None)
}

/// The local path of a tree: in an existing directory, or else a new name. The top of the home has no name: its entries
/// are stored in the target itself.
fn tree_target(name: Option<&[u8]>, target: &Path) -> (PathBuf, Vec<Vec<u8>>) {
    if target.is_dir() {
        return (target.to_owned(), name.map(<[u8]>::to_vec).into_iter().collect());
    }
    let (base, name) = split(target);
    (base, vec![name])
}

fn add_file(plan: &mut Plan, source: &RemotePath, target: &Path, options: TransferOptions) {
    if source.file_name().is_none() {
        return plan.fail(source.as_bytes(), IS_DIRECTORY);
    }
    if names_directory(target) && !target.is_dir() {
        let target = Escaped(path_bytes(target));
        return plan.fail(source.as_bytes(), format!("the local directory {target} does not exist"));
    }
    let target = match source.file_name() {
        Some(name) if target.is_dir() => {
            if let Err(why) = names::check(name) {
                return plan.fail(source.as_bytes(), why);
            }
            target.join(plan::as_os_path(name))
        }
        _ => target.to_owned(),
    };
    // With `force` the target of a link is replaced. A dangling link is treated in the same way.
    let target = if options.force { behind_links(target) } else { target };
    let (base, name) = split(&target);
    plan.add_file(source, base, &name);
}

/// Whether a local path is spelled as that of a directory.
fn names_directory(path: &Path) -> bool {
    let end = path_bytes(path).rsplit(|byte| std::path::is_separator(char::from(*byte))).next();
    matches!(end, Some(b"" | b"." | b".."))
}

/// The parent of a local path, and its name.
fn split(path: &Path) -> (PathBuf, Vec<u8>) {
    let base = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    (base, path.file_name().unwrap_or_default().as_encoded_bytes().to_vec())
}

/// The target of a path, with links followed.
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

/// Requests the lengths of files that no listing had: they decide the number of connections. Refusals are ignored: the get
/// is refused as well.
async fn ask_sizes(ctx: &mut TransferContext<'_>, plan: &mut Plan) -> Result<(), ConversationError> {
    let asked: Vec<(usize, RemotePath)> = plan
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.size.is_none())
        .filter_map(|(number, file)| Some((number, plan.remote(file).ok()?)))
        .collect();
    let stat =
        |(_, path): &(usize, RemotePath)| Request::Stat { path: path.as_bytes().to_vec(), follow: true };
    if asked.is_empty() {
        return Ok(());
    }
    let mut each = |index: usize, reply: Reply| {
        let file = asked.get(index).and_then(|(number, _)| plan.files.get_mut(*number));
        if let (Some(file), Payload::Stat(entry)) = (file, reply.payload) {
            file.size = Some(entry.size);
        }
    };
    ctx.conversation.ask_all(asked.iter().map(stat), ctx.cancel, &mut each).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_with_one_target_overlap() {
        let overlap = |paths: &[&str]| overlap(paths.iter().map(PathBuf::from).collect());
        assert!(overlap(&["/in/t", "/in/a", "/in/t"]) && overlap(&["/in/t", "/in"]));
        assert!(overlap(&["/in/t", "/in/t-1", "/in/t/x"]));
        assert!(!overlap(&["/in/t", "/in/t-1", "/in/ta"]) && !overlap(&["/in"]));
    }
}
