//! Where links on the server lead to.

use super::plan::Attributes;
use crate::conversation::ConversationError;
use crate::transfer::{Context, remote_entry};
use sshome_wire::{Entry, FileKind, RemotePath, Reply};

/// What a path leads to, links followed.
pub(super) enum Led {
    /// A file of so many bytes.
    ToFile(u64),
    /// The directory of this path, which has no links on it, and what it has.
    ToDirectory(RemotePath, Attributes),
    /// Neither.
    ToSpecial,
    ToNothing,
    /// The server does not tell.
    Refused(Reply),
}

/// Follows a path, which may be a link.
pub(super) async fn look(ctx: &mut Context<'_>, path: &RemotePath) -> Result<Led, ConversationError> {
    match remote_entry(ctx, path).await {
        Ok(Some(Entry { kind: FileKind::File, size, .. })) => Ok(Led::ToFile(size)),
        Ok(Some(entry)) if entry.kind == FileKind::Directory => {
            let real = match ctx.conversation.real_path(path, ctx.cancel).await {
                // Whatever it is, the listing says so.
                Err(ConversationError::Refused(_)) => path.clone(),
                real => real?,
            };
            Ok(Led::ToDirectory(real, Attributes::of(&entry)))
        }
        Ok(Some(_)) => Ok(Led::ToSpecial),
        Ok(None) => Ok(Led::ToNothing),
        Err(ConversationError::Refused(reply)) => Ok(Led::Refused(reply)),
        Err(error) => Err(error),
    }
}

/// Whether a path is a directory, or below it. Both are without links, `.` and `..`.
pub(super) fn is_in(path: &RemotePath, directory: &RemotePath) -> bool {
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
