//! Directories of the server become part of the plan, and the links in them as well.

use super::plan::{Place, Plan, PlannedLink};
use super::split;
use crate::conversation::ConversationError;
use crate::transfer::{Context, Failure, MAX_LINKS, Options, remote_entry};
use sshome_wire::{Entry, FileKind, RemotePath, Request};
use std::path::{Path, PathBuf};

/// How many links to directories are followed in one get: the server says how many there are.
const MOST_FOLLOWED: usize = 10_000;

/// Adds a directory with all that is in it, for a local target.
pub(super) async fn add_tree(
    ctx: &mut Context<'_>,
    plan: &mut Plan,
    source: &RemotePath,
    target: &Path,
    options: Options,
) -> Result<(), ConversationError> {
    let (base, below) = tree_target(source, target);
    let first_link = plan.links.len();
    // Unlike one in the tree, a link that the user named is always followed.
    let Some(real) = real_path(ctx, source.clone()).await? else {
        plan.fail(source.as_bytes(), "its links lead in a circle");
        return Ok(());
    };
    list(ctx, plan, &real, base, below).await?;
    if options.follow {
        let links = plan.links.split_off(first_link);
        let mut follow = Follow { links: to_follow(links, &[]), followed: 0 };
        follow.run(ctx, plan).await?;
    }
    Ok(())
}

/// Where a tree goes: into a directory that is there, or else to a new name. The home's top has no
/// name; what is in it goes into the target itself.
fn tree_target(source: &RemotePath, target: &Path) -> (PathBuf, Vec<Vec<u8>>) {
    if target.is_dir() {
        let name = source.file_name().map(<[u8]>::to_vec);
        return (target.to_owned(), name.into_iter().collect());
    }
    let (base, name) = split(target);
    (base, vec![name])
}

/// Adds what is in a directory, to become `below` in `base`.
async fn list(
    ctx: &mut Context<'_>,
    plan: &mut Plan,
    source: &RemotePath,
    base: PathBuf,
    below: Vec<Vec<u8>>,
) -> Result<(), ConversationError> {
    let mut tree = plan.add_tree(source, base, below);
    let listed = {
        let mut each = |entries| plan.add_entries(&mut tree, entries);
        ctx.conversation.list(source.as_bytes(), true, ctx.interrupt, &mut each).await
    };
    match listed {
        Ok(Entry { kind: FileKind::Directory, mode, .. }) => {
            if let Some(place) = plan.places.get_mut(tree.top) {
                place.mode = Some(mode);
            }
            Ok(())
        }
        Ok(_) => {
            plan.fail(source.as_bytes(), "it was a directory, and is none any more");
            Ok(())
        }
        Err(ConversationError::Refused(reply)) => {
            plan.failures.push(Failure::refused(source.as_bytes(), reply.status, &reply.message));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Links that are to be followed, with all that turns up in the directories that they lead to.
struct Follow {
    links: Vec<ToFollow>,
    followed: usize,
}

struct ToFollow {
    link: PlannedLink,
    /// The directories that followed links lie in, on the way to this one: to be in one of them again
    /// is to go in a circle.
    way: Vec<RemotePath>,
}

fn to_follow(links: Vec<PlannedLink>, way: &[RemotePath]) -> Vec<ToFollow> {
    links.into_iter().map(|link| ToFollow { link, way: way.to_vec() }).collect()
}

impl Follow {
    async fn run(&mut self, ctx: &mut Context<'_>, plan: &mut Plan) -> Result<(), ConversationError> {
        while let Some(ToFollow { link, mut way }) = self.links.pop() {
            let Some(Place { remote, base, below, .. }) = plan.places.get(link.place) else { continue };
            let (directory, base, mut below) = (remote.clone(), base.clone(), below.clone());
            let path = match directory.join(&link.name) {
                Ok(path) => path,
                Err(error) => {
                    plan.fail(&link.name, error.to_string());
                    continue;
                }
            };
            match remote_entry(ctx, &path).await {
                Ok(Some(entry)) if entry.kind == FileKind::File => plan.add_followed(link, entry.size),
                Ok(Some(entry)) if entry.kind == FileKind::Directory => {
                    way.push(directory);
                    let real = real_path(ctx, path.clone()).await?;
                    let real = real.filter(|real| !way.iter().any(|passed| is_in(passed, real)));
                    let (Some(real), true) = (real, self.followed < MOST_FOLLOWED) else {
                        plan.fail(path.as_bytes(), "the link leads back to a directory that it is in");
                        continue;
                    };
                    self.followed += 1;
                    below.push(link.name);
                    let first_link = plan.links.len();
                    list(ctx, plan, &real, base, below).await?;
                    self.links.extend(to_follow(plan.links.split_off(first_link), &way));
                }
                Ok(Some(_)) => plan.skipped.push(Failure::of(path.as_bytes(), "it is no regular file")),
                Ok(None) => plan.fail(path.as_bytes(), "the link leads to nothing"),
                Err(ConversationError::Refused(reply)) => {
                    plan.failures.push(Failure::refused(path.as_bytes(), reply.status, &reply.message));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What a path on the server leads to once it is no link; none if that never ends.
async fn real_path(
    ctx: &mut Context<'_>,
    mut path: RemotePath,
) -> Result<Option<RemotePath>, ConversationError> {
    for _ in 0..MAX_LINKS {
        let request = Request::Stat { path: path.as_bytes().to_vec(), follow: false };
        let reply = match ctx.conversation.request(request, ctx.interrupt).await {
            // Whatever it is, the listing says so.
            Err(ConversationError::Refused(_)) => return Ok(Some(path)),
            reply => reply?,
        };
        let sshome_wire::Payload::Stat(Entry { kind: FileKind::Symlink, target, .. }) = reply.payload else {
            return Ok(Some(path));
        };
        let Some((directory, _)) = path.split() else { return Ok(Some(path)) };
        path = directory.join(&target)?;
    }
    Ok(None)
}

/// Whether a path is a directory, or below it.
fn is_in(path: &RemotePath, directory: &RemotePath) -> bool {
    let mut below = path.components();
    directory.components().all(|name| below.next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_what() {
        let path = |path: &[u8]| RemotePath::root().join(path).unwrap();
        assert!(is_in(&path(b"/a/b"), &path(b"/a")) && is_in(&path(b"/a"), &path(b"/a")));
        assert!(is_in(&path(b"/a"), &path(b"/")));
        assert!(!is_in(&path(b"/a"), &path(b"/a/b")) && !is_in(&path(b"/ab"), &path(b"/a")));
    }
}
