//! Uploads standard input.

use super::ExpectedContent;
use super::reader::{self, StreamMessage};
use super::replay_buffer::ReplayBuffer;
use crate::conversation::{ConversationError, encoded, unexpected};
use crate::transfer::blocking::blocking;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, FinishedFile, ResumedFile, TransferContext, TransferSummary};
use bytes::Bytes;
use sshome_ssh::DataCompressor;
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{
    BLOCK_BYTES, Digest, End, Frame, Payload, Put, RemotePath, Reply, Request, Status, Stored, StreamId,
};
use std::io::Read;
use tokio::sync::mpsc;

/// The largest number of chunks read ahead.
const READ_AHEAD_CHUNKS: usize = 4;

/// Uploads a stream, whose length may be unknown. It is published once it is complete and durable. If it fails, or
/// differs from the expected content, nothing is published.
///
/// After a lost connection it reconnects if the context allows it. If the server is busy, it is asked again.
///
/// # Errors
/// If the transfer was cancelled (`Cancelled`) or the connection is lost. A refusal, and a failure of the stream, are
/// in the summary.
pub async fn put_stream(
    mut ctx: TransferContext<'_>,
    input: impl Read + Send + 'static,
    target: &RemotePath,
    expected: ExpectedContent,
) -> Result<TransferSummary, ConversationError> {
    let done = run(&mut ctx, input, target, expected).await;
    ctx.finish(done).await
}

async fn run(
    ctx: &mut TransferContext<'_>,
    input: impl Read + Send + 'static,
    target: &RemotePath,
    expected: ExpectedContent,
) -> Result<TransferSummary, ConversationError> {
    let (out, messages) = mpsc::channel(READ_AHEAD_CHUNKS);
    let (to, max_frame) = (target.clone(), ctx.conversation.max_frame());
    // It is not joined: it may wait for its input forever.
    tokio::task::spawn_blocking(move || reader::read(input, &to, max_frame, expected, &out));
    ctx.progress.begin(1, expected.size);
    let mut stream = StreamUpload {
        id: StreamId(rand::random()),
        target: target.clone(),
        size: expected.size,
        messages,
        replay: ReplayBuffer::default(),
        blocks: Vec::new(),
        last: None,
        begun: false,
        resumed: None,
        under_way: 0,
        compressor: DataCompressor::default(),
        saved: 0,
    };
    let mut retries = Retries::default();
    loop {
        let sent = stream.send(ctx).await;
        stream.saved += ctx.conversation.take_saved();
        if sent.is_err() {
            ctx.progress.rewind(std::mem::take(&mut stream.under_way));
        }
        match sent {
            // A failed stream is discarded, and need not arrive.
            Err(ConversationError::Lost(_)) if stream.has_failed() => return Ok(stream.failed()),
            Err(ConversationError::Lost(why)) => {
                retries.reached.go_on_after(stream.replay.begin());
                retries.recover(ctx, why).await?;
            }
            Ok(reply) if reply.status == Status::Busy && !stream.has_failed() && retries.may_pause(ctx) => {
                ctx.progress.rewind(std::mem::take(&mut stream.under_way));
                retries.reached.go_on_after(stream.replay.begin());
                retries.pause(ctx, &reply).await?;
            }
            Ok(reply) => return Ok(stream.summary(ctx, &reply)),
            Err(error) => return Err(error),
        }
    }
}

/// A stream, over all of its connections.
struct StreamUpload {
    id: StreamId,
    target: RemotePath,
    /// Its length in bytes, if known.
    size: Option<u64>,
    messages: mpsc::Receiver<StreamMessage>,
    replay: ReplayBuffer,
    /// The digests of the blocks read so far.
    blocks: Vec<Digest>,
    /// Its end, once it was read, and the reason if nothing is to be published.
    last: Option<(End, Option<Failure>)>,
    /// Whether the server may have received the request.
    begun: bool,
    /// The offset of the last resume, in bytes.
    resumed: Option<u64>,
    /// Bytes that were sent, or skipped, on this connection.
    under_way: u64,
    /// That of this connection.
    compressor: DataCompressor,
    /// Bytes that compression saved.
    saved: u64,
}

/// Where to resume after a lost connection.
enum ResumePoint {
    /// After this many blocks.
    Block(u32),
    /// Nowhere: it is stored.
    Stored,
    /// None: the server has lost acknowledged data.
    Nowhere,
}

impl StreamUpload {
    /// Sends the rest on the current connection, and returns the answer.
    async fn send(&mut self, ctx: &mut TransferContext<'_>) -> Result<Reply, ConversationError> {
        let from = match self.begun {
            true => self.find(ctx).await?,
            false => ResumePoint::Block(0),
        };
        let resume = match from {
            ResumePoint::Block(blocks) => blocks,
            ResumePoint::Stored => return Ok(Reply::new(Status::Done, "")),
            ResumePoint::Nowhere => {
                let why = "the server no longer has the data that had arrived; nothing was published, send it again";
                return Ok(Reply::new(Status::Failed, why));
            }
        };
        self.begin(ctx, resume).await?;
        for frame in self.replay.frames() {
            if let Some(reply) = self.send_piece(ctx, frame).await? {
                return Ok(reply);
            }
        }
        while self.last.is_none() {
            if let Some(reply) = self.send_next(ctx).await? {
                return Ok(reply);
            }
        }
        self.end(ctx).await
    }

    async fn begin(&mut self, ctx: &mut TransferContext<'_>, resume: u32) -> Result<(), ConversationError> {
        let offset = u64::from(resume) * BLOCK_BYTES;
        self.replay.release(offset);
        ctx.progress.begin_stream(self.target.file_name().unwrap_or_default(), self.size);
        if offset > 0 {
            ctx.progress.resume_at(self.target.as_bytes(), offset);
            self.under_way = offset;
            self.resumed = Some(offset);
        }
        let path = self.target.as_bytes().to_vec();
        let put = Put { path, size: self.size, mtime: None, source: None, mode: None, resume };
        let request = encoded(&Frame::Request(Request::PutStream { id: self.id, put }))?;
        self.begun = true;
        self.compressor = ctx.conversation.compressor();
        ctx.conversation.send(request, 1, ctx.cancel).await
    }

    /// Sends the next chunk, or receives a frame of the server, which may be the answer.
    async fn send_next(&mut self, ctx: &mut TransferContext<'_>) -> Result<Option<Reply>, ConversationError> {
        // The server acknowledges a block once a byte follows it.
        let owed = self.replay.length() > BLOCK_BYTES;
        let message = tokio::select! {
            biased;
            frame = ctx.conversation.receive_owed(owed, ctx.cancel) => return self.hear(ctx, frame?).await,
            message = self.messages.recv(), if self.replay.has_room() => message,
        };
        match message {
            Some(StreamMessage::Piece { frame, blocks }) => {
                self.replay.push(&frame);
                self.blocks.extend(blocks);
                self.send_piece(ctx, frame).await
            }
            Some(StreamMessage::Last { end, failed }) => {
                self.last = Some((end, failed));
                Ok(None)
            }
            None => Err(ConversationError::Local("the thread that reads standard input has failed".into())),
        }
    }

    /// Sends a chunk. An answer that arrives before the end is a refusal.
    async fn send_piece(
        &mut self,
        ctx: &mut TransferContext<'_>,
        frame: Bytes,
    ) -> Result<Option<Reply>, ConversationError> {
        let length = frame.len().saturating_sub(HEADER_BYTES) as u64;
        let frame = self.compressed(frame).await?;
        ctx.conversation.send(frame, 0, ctx.cancel).await?;
        self.under_way += length;
        ctx.progress.advance(length);
        while let Some(frame) = ctx.conversation.ready().await? {
            if let Some(reply) = self.hear(ctx, frame).await? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// The frame to send in place of one of plain data. Compressing is work for another thread.
    async fn compressed(&mut self, frame: Bytes) -> Result<Bytes, ConversationError> {
        let data = frame.slice(HEADER_BYTES.min(frame.len())..);
        if !self.compressor.attempts(data.len()) {
            return Ok(self.compressor.compress(&data).map_or(frame, Bytes::from));
        }
        let mut compressor = std::mem::take(&mut self.compressor);
        let work = move || (compressor.compress(&data), compressor);
        let (compressed, compressor) = blocking(work).await?;
        self.compressor = compressor;
        Ok(compressed.map_or(frame, Bytes::from))
    }

    /// Processes a frame that arrives before the end was sent.
    async fn hear(
        &mut self,
        ctx: &mut TransferContext<'_>,
        frame: Frame,
    ) -> Result<Option<Reply>, ConversationError> {
        match frame {
            Frame::Reply(reply) if reply.status.is_error() => {
                match ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.cancel).await {
                    // The answer has arrived; a loss is reported by the next operation.
                    Ok(()) | Err(ConversationError::Lost(_)) => Ok(Some(reply)),
                    Err(error) => Err(error),
                }
            }
            Frame::Reply(_) => {
                Err(ConversationError::Protocol("it accepted a stream before the stream's end".into()))
            }
            frame => self.note(frame).map(|()| None),
        }
    }

    fn note(&mut self, frame: Frame) -> Result<(), ConversationError> {
        match frame {
            Frame::Progress(_) => Ok(()),
            Frame::Stored(Stored { bytes })
                if bytes.is_multiple_of(BLOCK_BYTES) && bytes <= self.replay.end() =>
            {
                self.replay.release(bytes);
                Ok(())
            }
            frame => Err(unexpected(&frame)),
        }
    }

    /// Sends the end and waits for the answer.
    async fn end(&mut self, ctx: &mut TransferContext<'_>) -> Result<Reply, ConversationError> {
        if let Some((end, _)) = &self.last {
            ctx.conversation.send(encoded(&Frame::End(end.clone()))?, 0, ctx.cancel).await?;
        }
        loop {
            match ctx.conversation.receive(ctx.cancel).await? {
                Frame::Reply(reply) => return Ok(reply),
                frame => self.note(frame)?,
            }
        }
    }

    /// Asks the server where to resume.
    async fn find(&mut self, ctx: &mut TransferContext<'_>) -> Result<ResumePoint, ConversationError> {
        let theirs = ctx.conversation.stream_status(&self.target, self.id, ctx.cancel).await?;
        let theirs = match theirs {
            Some(theirs) => theirs,
            // Perhaps only the answer was lost.
            None if self.is_stored(ctx).await? => return Ok(ResumePoint::Stored),
            None => Vec::new(),
        };
        let agreeing = self.blocks.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
        match agreeing as u64 * BLOCK_BYTES < self.replay.begin() {
            true => Ok(ResumePoint::Nowhere),
            false => Ok(ResumePoint::Block(u32::try_from(agreeing).unwrap_or(u32::MAX))),
        }
    }

    /// Whether the file on the server has exactly this content, and is durable.
    async fn is_stored(&self, ctx: &mut TransferContext<'_>) -> Result<bool, ConversationError> {
        let Some((end, None)) = &self.last else { return Ok(false) };
        let hash = Request::Hash { path: self.target.as_bytes().to_vec(), verify: false };
        let there = match ctx.conversation.request(hash, ctx.cancel).await {
            Ok(reply) => reply.payload,
            Err(ConversationError::Refused(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        match there {
            Payload::Hash(there) if (there.digest, there.size) == (end.digest, end.size) => {
                ctx.conversation.request(Request::Sync, ctx.cancel).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self.last, Some((_, Some(_))))
    }

    /// The summary of a failed stream.
    fn failed(&self) -> TransferSummary {
        let failure = self.last.as_ref().and_then(|(_, failed)| failed.clone());
        TransferSummary { failures: failure.into_iter().collect(), ..TransferSummary::default() }
    }

    fn summary(&self, ctx: &TransferContext<'_>, reply: &Reply) -> TransferSummary {
        ctx.progress.end_file();
        let path = self.target.as_bytes();
        let mut summary = match (&self.last, reply.status) {
            (Some((_, Some(_))), _) => self.failed(),
            (Some((end, None)), status @ Status::Done) => {
                if let Some(observer) = ctx.progress.observer() {
                    let (size, digest) = (end.size, Some(end.digest));
                    let resumed_at = self.resumed.unwrap_or(0);
                    observer.done(&FinishedFile {
                        remote: path,
                        local: None,
                        size,
                        digest,
                        resumed_at,
                        status,
                    });
                }
                TransferSummary { files: 1, bytes: end.size, ..TransferSummary::default() }
            }
            _ => {
                let failure = Failure::refused(path, reply.status, &reply.message);
                TransferSummary { failures: [failure].into_iter().collect(), ..TransferSummary::default() }
            }
        };
        summary.saved = self.saved;
        summary.resumed.extend(self.resumed.map(|offset| ResumedFile::of(path, offset)));
        summary
    }
}
