//! Partial uploads and downloads.

use super::{Conversation, ConversationError, encoded, unexpected};
use sshome_wire::{
    Blocks, Chunk, Description, Digest, Frame, Part, Payload, Put, RemotePath, Request, Status, StreamId,
    UploadId,
};
use tokio_util::sync::CancellationToken;

/// The largest number of block digests in an answer: those of 64 TiB.
pub(crate) const MAX_DIGESTS: usize = 1 << 24;

impl Conversation {
    /// Lists partial uploads, the oldest first.
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, or if the conversation is over.
    pub async fn parts(&mut self, cancel: &CancellationToken) -> Result<Vec<Part>, ConversationError> {
        let mut all = Vec::new();
        let mut each = |frame| match frame {
            Frame::Parts(parts) => {
                all.extend(parts);
                Ok(())
            }
            Frame::Progress(_) => Ok(()),
            frame => Err(unexpected(&frame)),
        };
        self.answer(Request::Parts, cancel, &mut each).await?;
        Ok(all)
    }

    /// The digests of the blocks that the server has of a stream whose connection was lost; `None` if it has nothing.
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, or if the conversation is over.
    pub(crate) async fn stream_status(
        &mut self,
        path: &RemotePath,
        id: StreamId,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<Digest>>, ConversationError> {
        let mut digests = Vec::new();
        let mut each = |frame| collect(&mut digests, frame);
        let request = Request::StreamStatus { path: path.as_bytes().to_vec(), id };
        let reply = self.answer(request, cancel, &mut each).await?;
        Ok((reply.status == Status::Resuming).then_some(digests))
    }

    /// Opens an upload over several connections. Returns its id, and the digests of the blocks that the server has from a
    /// partial upload.
    ///
    /// # Errors
    /// `Refused`; `Cancelled` after a cancellation, or if the conversation is over.
    pub(crate) async fn open_upload(
        &mut self,
        put: Put,
        cancel: &CancellationToken,
    ) -> Result<(UploadId, Vec<Digest>), ConversationError> {
        let mut digests = Vec::new();
        let mut each = |frame| collect(&mut digests, frame);
        match self.answer(Request::OpenUpload(put), cancel, &mut each).await?.payload {
            Payload::Upload(id) => Ok((id, digests)),
            _ => Err(ConversationError::Protocol("an upload was opened without an id".into())),
        }
    }

    /// Requests a file, or the rest of it after the blocks that exist locally. The caller receives the answer.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub(crate) async fn send_get(
        &mut self,
        path: &[u8],
        known: &[Digest],
        cancel: &CancellationToken,
    ) -> Result<(), ConversationError> {
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let request = Request::Get { path: path.to_vec(), known: count };
        self.send(encoded(&Frame::Request(request))?, 1, cancel).await?;
        self.send_blocks(known, cancel).await
    }

    /// The same, with an old version of the file that the server may refer to.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub(crate) async fn send_get_delta(
        &mut self,
        path: &[u8],
        known: &[Digest],
        (chunks, key): (&[Chunk], [u8; 32]),
        cancel: &CancellationToken,
    ) -> Result<(), ConversationError> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (known_count, chunk_count) = (count(known.len()), count(chunks.len()));
        let request = Request::GetDelta { path: path.to_vec(), known: known_count, chunks: chunk_count, key };
        self.send(encoded(&Frame::Request(request))?, 1, cancel).await?;
        self.send_blocks(known, cancel).await?;
        // A chunk takes up to 15 bytes, and the length of the list up to 3.
        let most = Description::MAX_PER_FRAME.min(self.max_frame() / 16).max(1);
        for chunks in chunks.chunks(most) {
            let description = encoded(&Frame::Description(Description { chunks: chunks.to_vec() }))?;
            self.send(description, 0, cancel).await?;
        }
        Ok(())
    }

    async fn send_blocks(
        &mut self,
        known: &[Digest],
        cancel: &CancellationToken,
    ) -> Result<(), ConversationError> {
        // A digest takes 32 bytes, and the length of the list up to 3.
        let most = Blocks::MAX_PER_FRAME.min(self.max_frame() / 33).max(1);
        for digests in known.chunks(most) {
            let blocks = encoded(&Frame::Blocks(Blocks { digests: digests.to_vec() }))?;
            self.send(blocks, 0, cancel).await?;
        }
        Ok(())
    }
}

/// Adds the digests of a frame before the reply.
fn collect(digests: &mut Vec<Digest>, frame: Frame) -> Result<(), ConversationError> {
    match frame {
        Frame::Blocks(blocks) if digests.len() < MAX_DIGESTS => {
            digests.extend(blocks.digests);
            Ok(())
        }
        Frame::Progress(_) => Ok(()),
        frame => Err(unexpected(&frame)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::{connect, hello};
    use super::*;
    use sshome_wire::{Status, Time};

    #[tokio::test]
    async fn partial_uploads_arrive_in_several_frames() {
        let part = |path: &[u8]| Part { path: path.to_vec(), length: 1, size: 2, since: Time::default() };
        let (a, b) = (part(b"/a"), part(b"/b"));
        let said = [a.clone(), b.clone()];
        let talk = connect(hello(1), |mut peer| async move {
            assert_eq!(peer.hear_request().await, Request::Parts);
            for part in said {
                peer.say(Frame::Parts(vec![part])).await;
            }
            peer.reply(Status::Done).await;
            peer.hear().await;
        });
        let mut talk = talk.await.unwrap();
        assert_eq!(talk.conversation.parts(&CancellationToken::new()).await.unwrap(), [a, b]);
    }
}
