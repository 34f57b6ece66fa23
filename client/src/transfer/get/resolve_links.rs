//! Resolves symbolic links on the server.

use super::plan::DirectoryAttributes;
use crate::conversation::ConversationError;
use crate::transfer::{TransferContext, remote_entry};
use sshome_wire::{Entry, FileKind, RemotePath, Reply};

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
    match remote_entry(ctx, path).await {
        Ok(Some(Entry { kind: FileKind::File, size, .. })) => Ok(LinkTarget::File(size)),
        Ok(Some(entry)) if entry.kind == FileKind::Directory => {
            let real = match ctx.conversation.real_path(path, ctx.cancel).await {
                // The listing reports the reason.
                Err(ConversationError::Refused(_)) => path.clone(),
                real => real?,
            };
            Ok(LinkTarget::Directory(real, DirectoryAttributes::of(&entry)))
        }
        Ok(Some(_)) => Ok(LinkTarget::Special),
        Ok(None) => Ok(LinkTarget::Missing),
        Err(ConversationError::Refused(reply)) => Ok(LinkTarget::Refused(reply)),
        Err(error) => Err(error),
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
