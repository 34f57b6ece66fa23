//! Setting attributes.

use super::failure::AtPath;
use super::node::NodeBody;
use super::tree::{Tree, account};
use crate::{Cause, Ctx, EntryChange, SetAttributes, StoreError, StoreResult};
use sshome_wire::RemotePath;

/// Sets attributes of the file at a path, except its size. Returns its path.
pub(super) fn set(
    tree: &mut Tree,
    ctx: &Ctx,
    path: &RemotePath,
    follow: bool,
    wanted: &SetAttributes,
) -> StoreResult<RemotePath> {
    let (id, location) = tree.entry(path, follow).of_file(path)?;
    let canonical = |tree: &Tree| match &location {
        Some(location) => tree.canonical(location).ok(),
        None => tree.path_of(id).ok(),
    };
    let info = tree.info(id).of_file(path)?;
    ctx.check_change(EntryChange::SetAttributes, &info, &|| canonical(tree)).of_file(path)?;
    check_owner(wanted, path)?;
    // The home itself stays writable for its owner, the server.
    let least = if id == tree.top() { 0o700 } else { 0 };
    let node = tree.node_mut(id).of_file(path)?;
    if let Some(mode) = wanted.mode.map(|mode| mode | least) {
        match &mut node.body {
            // A link has no mode: ignored if times are set as well.
            NodeBody::Symlink(_) if wanted.times.is_some() => {}
            NodeBody::Symlink(_) => return Err(Cause::Unsupported).of_file(path),
            NodeBody::Directory(directory) => {
                directory.deferred_mode = None;
                node.set_mode(mode);
            }
            NodeBody::File(_) => node.set_mode(mode),
        }
    }
    wanted.times.into_iter().for_each(|times| node.set_times(times));
    Ok(canonical(tree).unwrap_or_else(|| path.clone()))
}

/// Fails if only owner or group are to be set, and one differs. Otherwise they are ignored, since many clients always
/// send them.
pub(super) fn check_owner(wanted: &SetAttributes, path: &RemotePath) -> StoreResult<()> {
    let Some((owner, group)) = wanted.owner else { return Ok(()) };
    let (own, own_group) = account();
    let differs = [(owner, own), (group, own_group)].into_iter().any(|(id, own)| id != own && id != u32::MAX);
    if differs && wanted.is_owner_only() { Err(StoreError::Owner(path.clone())) } else { Ok(()) }
}
