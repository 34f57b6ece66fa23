//! Resolves symbolic links on the server.

use super::plan::DirectoryAttributes;
use crate::conversation::ConversationError;
use crate::transfer::TransferContext;
use sshome_wire::{Entry, FileKind, Payload, RemotePath, Reply, Request, Status};

/// The target of a path, with links followed.
pub(super) enum LinkTarget {
    /// A file, with its length in bytes.
    File(u64),
    /// A directory: its path without links, and its attributes.
    Directory(RemotePath, DirectoryAttributes),
    /// Neither.
    Special,
    Missing,
    /// The server refused to say.
    Refused(Reply),
}

/// Resolves a path, which may be a link.
pub(super) async fn resolve(
    ctx: &mut TransferContext<'_>,
    path: &RemotePath,
) -> Result<LinkTarget, ConversationError> {
    let (stat, real) = ctx.conversation.stat_with_real_path(path, None, ctx.cancel).await?;
    evaluate(path, stat, real)
}

/// As [`resolve`], for the only source, which is likely to be a directory: its listing is requested at the same time. If it is a
/// directory that is not behind a link, the listing remains outstanding.
pub(super) async fn resolve_and_list(
    ctx: &mut TransferContext<'_>,
    path: &RemotePath,
) -> Result<LinkTarget, ConversationError> {
    let listing = Request::Ls { path: path.as_bytes().to_vec(), recursive: true };
    let (stat, real) = ctx.conversation.stat_with_real_path(path, Some(listing), ctx.cancel).await?;
    let target = evaluate(path, stat, real)?;
    match &target {
        LinkTarget::Directory(real, _) if real == path => {}
        LinkTarget::Directory(..) => ctx.conversation.settle().await?,
        _ => {
            // The answer is short, and arrives now.
            while !ctx.conversation.is_idle() {
                ctx.conversation.receive(ctx.cancel).await?;
            }
        }
    }
    Ok(target)
}

fn evaluate(
    path: &RemotePath,
    stat: Reply,
    real: Option<RemotePath>,
) -> Result<LinkTarget, ConversationError> {
    match stat.payload {
        _ if matches!(stat.status, Status::NoSuchFile | Status::NoSuchDirectory) => Ok(LinkTarget::Missing),
        _ if stat.status.is_error() => Ok(LinkTarget::Refused(stat)),
        Payload::Stat(Entry { kind: FileKind::File, size, .. }) => Ok(LinkTarget::File(size)),
        Payload::Stat(entry) if entry.kind == FileKind::Directory => {
            // The listing reports why a directory cannot be reached.
            let real = real.unwrap_or_else(|| path.clone());
            Ok(LinkTarget::Directory(real, DirectoryAttributes::of(&entry)))
        }
        Payload::Stat(_) => Ok(LinkTarget::Special),
        _ => Err(ConversationError::Protocol("the answer to stat has no entry".into())),
    }
}

/// Whether a path is the directory itself or below it. Neither may contain links, `.` or `..`.
pub(super) fn is_inside(path: &RemotePath, directory: &RemotePath) -> bool {
    let mut below = path.components();
    directory.components().all(|name| below.next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_inside_itself_and_its_parents() {
        let path = |path: &[u8]| RemotePath::root().join(path).unwrap();
        assert!(is_inside(&path(b"/a/b"), &path(b"/a")) && is_inside(&path(b"/a"), &path(b"/a")));
        assert!(is_inside(&path(b"/a"), &path(b"/")));
        assert!(!is_inside(&path(b"/a"), &path(b"/a/b")) && !is_inside(&path(b"/ab"), &path(b"/a")));
    }
}
