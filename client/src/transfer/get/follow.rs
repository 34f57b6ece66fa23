//! Where links on the server lead to.

use super::plan::Attributes;
use crate::conversation::ConversationError;
use crate::transfer::{Context, MAX_LINKS, remote_entry};
use sshome_wire::{Entry, FileKind, Payload, RemotePath, Reply, Request};

/// What a path leads to, links followed.
pub(super) enum Led {
    /// A file of so many bytes.
    ToFile(u64),
    /// The directory of this path, and what it has.
    ToDirectory(RemotePath, Attributes),
    /// Neither.
    ToSpecial,
    ToNothing,
    InCircles,
    /// The server does not tell.
    Refused(Reply),
}

/// Follows a path, which may be a link.
pub(super) async fn look(ctx: &mut Context<'_>, path: &RemotePath) -> Result<Led, ConversationError> {
    match remote_entry(ctx, path).await {
        Ok(Some(Entry { kind: FileKind::File, size, .. })) => Ok(Led::ToFile(size)),
        Ok(Some(entry)) if entry.kind == FileKind::Directory => {
            Ok(match real_path(ctx, path.clone()).await? {
                Some(real) => Led::ToDirectory(real, Attributes::of(&entry)),
                None => Led::InCircles,
            })
        }
        Ok(Some(_)) => Ok(Led::ToSpecial),
        Ok(None) => Ok(Led::ToNothing),
        Err(ConversationError::Refused(reply)) => Ok(Led::Refused(reply)),
        Err(error) => Err(error),
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
        let Payload::Stat(Entry { kind: FileKind::Symlink, target, .. }) = reply.payload else {
            return Ok(Some(path));
        };
        let Some((directory, _)) = path.split() else { return Ok(Some(path)) };
        path = directory.join(&target)?;
    }
    Ok(None)
}

/// Whether a path is a directory, or below it.
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
