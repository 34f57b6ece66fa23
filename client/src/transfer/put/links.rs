//! Links that the server has refused to make.

use crate::conversation::ConversationError;
use crate::transfer::{Context, Failure};
use sshome_wire::{Entry, FileKind, Payload, RemotePath, Reply, Request};

/// Looks whether just these links are there already: how many are, and the failures of the others.
pub(super) async fn judge(
    ctx: &mut Context<'_>,
    refused: &[(RemotePath, Vec<u8>, Reply)],
) -> Result<(u64, Vec<Failure>), ConversationError> {
    let (mut unchanged, mut failures) = (0, Vec::new());
    let stat = |path: &RemotePath| Request::Stat { path: path.as_bytes().to_vec(), follow: false };
    let requests = refused.iter().map(|(path, ..)| stat(path));
    let mut each = |index: usize, found: Reply| {
        let Some((path, target, reply)) = refused.get(index) else { return };
        match found.payload {
            Payload::Stat(Entry { kind: FileKind::Symlink, target: there, .. }) if there == *target => {
                unchanged += 1;
            }
            Payload::Stat(_) => {
                let why = "something else has the link's name there; remove it first";
                failures.push(Failure::refused(path.as_bytes(), reply.status, why));
            }
            _ => failures.push(Failure::refused(path.as_bytes(), reply.status, &reply.message)),
        }
    };
    ctx.conversation.ask_all(requests, ctx.interrupt, &mut each).await?;
    Ok((unchanged, failures))
}
