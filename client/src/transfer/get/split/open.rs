//! Opening a divided file: the server's version, and the local partial file.

use super::file::{Opening, SplitPart};
use crate::conversation::{Conversation, ConversationError, encoded, unexpected};
use crate::transfer::get::download::DownloadWork;
use crate::transfer::get::local_part::{self, LocalPart};
use crate::transfer::get::store::Store;
use crate::transfer::get::write_error::{is_full, written};
use crate::transfer::{Failure, TransferContext, blocking};
use sshome_wire::{BLOCK_BYTES, Digest, Frame, RangeHeader, Reply, Request, Status};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// How a file was opened.
pub(super) enum Opened {
    /// Its blocks can be fetched.
    Done,
    /// It is too short to be divided: it is fetched as a whole.
    Short,
    Failed(Failure),
}

/// Opens a file. Nothing may be requested on the connection.
pub(super) async fn open(
    ctx: &mut TransferContext<'_>,
    download: &DownloadWork,
    opening: Opening,
) -> Result<Opened, ConversationError> {
    let (plan, number) = (Arc::clone(&download.plan), opening.file.number);
    let header = match ask(ctx.conversation, &opening.file.path, ctx.cancel).await? {
        Ok(header) => header,
        Err(refused) => {
            opening.give_up();
            return Ok(Opened::Failed(plan.refused(number, refused.status, &refused.message)));
        }
    };
    if header.version.size <= BLOCK_BYTES {
        // Its only block is not a subtree.
        opening.give_up();
        return Ok(Opened::Short);
    }
    let (cancel, progress) = (ctx.cancel.clone(), ctx.progress.clone());
    let full = Arc::clone(&download.full);
    let open_part = move || {
        let is_new = opening.file.part().is_none();
        let found = is_new.then(|| {
            let found = local_part::find(&plan, std::iter::once(number), &cancel, &progress).remove(&number);
            found.map_or_else(|| create(&plan, number), |part| Ok(claimed(part)))
        });
        let file = Arc::clone(&opening.file);
        match found.transpose().and_then(|found| opening.finish(header, found)) {
            Ok(lost) => {
                progress.rewind_shared(lost);
                Opened::Done
            }
            Err(error) => {
                full.fetch_or(is_full(&error), Ordering::Relaxed);
                file.finish();
                Opened::Failed(plan.failure(number, written(&error)))
            }
        }
    };
    blocking(open_part).await
}

/// Asks for the version of a file.
async fn ask(
    conversation: &mut Conversation,
    path: &[u8],
    cancel: &CancellationToken,
) -> Result<Result<RangeHeader, Reply>, ConversationError> {
    let request = Request::GetRange { path: path.to_vec(), block: 0, blocks: 0, expect: None, data: false };
    conversation.send(encoded(&Frame::Request(request))?, 1, cancel).await?;
    let mut header = None;
    loop {
        match (conversation.receive(cancel).await?, header) {
            (Frame::RangeHeader(first), None) => header = Some(first),
            (Frame::End(end), Some(header)) if end.status == Status::Done => return Ok(Ok(header)),
            (Frame::End(end), Some(_)) => return Ok(Err(Reply::new(end.status, end.message))),
            (Frame::Reply(reply), None) if reply.status.is_error() => return Ok(Err(reply)),
            (frame, _) => return Err(unexpected(&frame)),
        }
    }
}

fn create(plan: &Arc<crate::transfer::get::Plan>, number: usize) -> io::Result<(SplitPart, Vec<Digest>)> {
    let file = plan.files.get(number).ok_or(io::ErrorKind::NotFound)?;
    let (_, name, handle) = Store::new(Arc::clone(plan)).create(file.place, file.local_name())?;
    Ok((SplitPart { name, handle }, Vec::new()))
}

fn claimed(LocalPart { part: name, handle, digests }: LocalPart) -> (SplitPart, Vec<Digest>) {
    (SplitPart { name, handle }, digests)
}
