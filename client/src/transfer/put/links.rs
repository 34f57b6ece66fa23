//! Symbolic links that the server refused to create.

use crate::conversation::ConversationError;
use crate::transfer::{Failure, FinishedLink, TransferContext};
use sshome_wire::{Entry, FileKind, Payload, RemotePath, Reply, Request, Status};

/// Checks which of the links exist already with the same targets. Returns their number, and the failures of the others.
pub(super) async fn judge(
    ctx: &mut TransferContext<'_>,
    refused: &[(RemotePath, Vec<u8>, Reply)],
) -> Result<(u64, Vec<Failure>), ConversationError> {
    let (mut unchanged, mut failures) = (Vec::new(), Vec::new());
    let stat = |path: &RemotePath| Request::Stat { path: path.as_bytes().to_vec(), follow: false };
    let requests = refused.iter().map(|(path, ..)| stat(path));
    let mut each = |index: usize, found: Reply| {
        let Some((path, target, reply)) = refused.get(index) else { return };
        match found.payload {
            Payload::Stat(Entry { kind: FileKind::Symlink, target: there, .. }) if there == *target => {
                unchanged.push((path, target));
            }
            Payload::Stat(_) => {
                let why = "the link's name is taken on the server; remove that file first";
                failures.push(Failure::refused(path.as_bytes(), reply.status, why));
            }
            _ => failures.push(Failure::refused(path.as_bytes(), reply.status, &reply.message)),
        }
    };
    ctx.conversation.ask_all(requests, ctx.cancel, &mut each).await?;
    if let Some(observer) = ctx.progress.observer() {
        for (path, target) in &unchanged {
            let (remote, status) = (path.as_bytes(), Status::FileExists);
            observer.linked(&FinishedLink { remote, local: None, target, status });
        }
    }
    Ok((unchanged.len() as u64, failures))
}
