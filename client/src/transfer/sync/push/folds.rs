//! Names that differ locally and are one on a server whose disk ignores case or normalises names.

use super::super::alike::alike;
use super::super::compare::Differences;
use super::super::delete::parent;
use super::pair::ComparedPair;
use crate::conversation::ConversationError;
use crate::transfer::names::unguessable_part;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext, path_bytes};
use sshome_wire::display::Escaped;
use sshome_wire::{Entry, RemotePath, Reply, Request, Status};
use std::collections::{BTreeSet, HashMap};

/// A name that the server takes for another: the number of its pair, and both names.
type Folded = HashMap<(usize, Vec<u8>), Vec<u8>>;

/// Of new names of one directory that the server takes for the same, the second fails before its data is sent; so does one
/// that the server takes for another that it has. Only names that look alike are tried, with empty directories in one of
/// their own beside the target.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn distinguish(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    compared: &mut [ComparedPair],
    target: &RemotePath,
) -> Result<(), ConversationError> {
    let numbered = compared.iter().enumerate();
    let groups: Vec<_> = numbered
        .flat_map(|(number, one)| one.alike.iter().map(move |group| (number, group.clone())))
        .collect();
    if groups.is_empty() {
        return Ok(());
    }
    let beside = parent(target).unwrap_or_else(RemotePath::root);
    let Ok(probe) = beside.join(&unguessable_part(b"names")) else { return Ok(()) };
    let find = async |ctx: &mut TransferContext<'_>, _: &mut Retries| folded(ctx, &groups, &probe).await;
    let folded = retries.persist(ctx, find).await?;
    for (number, ComparedPair { pair, differences, .. }) in compared.iter_mut().enumerate() {
        let mut failures = Vec::new();
        let mut is_own = |name: &Vec<u8>| match folded.get(&(number, name.clone())) {
            Some(other) => {
                let what = [path_bytes(&pair.local), b"/", name].concat();
                let other = Escaped(other);
                let why = format!("the server takes its name for that of {other}; rename one of them");
                failures.push(Failure::of(&what, why));
                false
            }
            None => true,
        };
        differences.transfer.retain(|one| one.exists || is_own(&one.entry.name));
        differences.directories.retain(|one| one.exists || is_own(&one.entry.name));
        differences.failures.extend(failures);
    }
    Ok(())
}

/// Groups of names of a directory that look alike, of which at least one is new. Those that the server has come first.
pub(super) fn groups(differences: &Differences, present: &[Entry]) -> Vec<Vec<Vec<u8>>> {
    let new = differences.transfer.iter().chain(&differences.directories).filter(|one| !one.exists);
    let new: BTreeSet<&[u8]> = new.map(|one| &*one.entry.name).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let present = present.iter().map(|entry| &*entry.name);
    let groups = alike(present.chain(new.iter().copied())).into_iter();
    let with_new = groups.filter(|group| group.iter().any(|name| new.contains(name)));
    with_new.map(|group| group.into_iter().map(<[u8]>::to_vec).collect()).collect()
}

/// Tries the names of each group. What cannot be tried is taken for different names.
async fn folded(
    ctx: &mut TransferContext<'_>,
    groups: &[(usize, Vec<Vec<u8>>)],
    probe: &RemotePath,
) -> Result<Folded, ConversationError> {
    let mut folded = Folded::new();
    let make =
        |path: &RemotePath| Request::Mkdir { path: path.as_bytes().to_vec(), parents: false, mode: None };
    let remove = |path: &RemotePath| Request::Rmdir { path: path.as_bytes().to_vec() };
    match ctx.conversation.request(make(probe), ctx.cancel).await {
        Ok(_) => {}
        Err(ConversationError::Refused(_)) => return Ok(folded),
        Err(error) => return Err(error),
    }
    for (number, group) in groups {
        let paths: Vec<RemotePath> = group.iter().filter_map(|name| probe.join(name).ok()).collect();
        let mut each = |index: usize, reply: Reply| {
            if reply.status == Status::DirectoryExists
                && let (Some(name), Some(first)) = (group.get(index), group.first())
            {
                folded.insert((*number, name.clone()), first.clone());
            }
        };
        ctx.conversation.ask_all(paths.iter().map(make), ctx.cancel, &mut each).await?;
        ctx.conversation.ask_all(paths.iter().map(remove), ctx.cancel, &mut |_, _| {}).await?;
    }
    ctx.conversation.ask_all([remove(probe)].into_iter(), ctx.cancel, &mut |_, _| {}).await?;
    Ok(folded)
}
