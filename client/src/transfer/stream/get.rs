//! Downloads a file to standard output.

use super::sink::OutputWriter;
use crate::conversation::{ConversationError, unexpected};
use crate::transfer::retries::Retries;
use crate::transfer::{CONTENT_DIFFERS, Failure, FinishedFile, TransferContext, TransferSummary};
use bytes::{Buf, Bytes};
use sshome_wire::{BLOCK_BYTES, End, Frame, Header, RemotePath, Reply, Status, Time};
use std::io::{self, Write};
use tokio::sync::mpsc;

/// The result of writing a file to the output.
#[derive(Debug)]
pub struct StreamedFile {
    /// The summary.
    pub summary: TransferSummary,
    /// Whether everything could be written to the output. If not, the summary is meaningless.
    pub output: io::Result<()>,
}

/// Writes a file to the output as it arrives. Whether it is whole and verified is known only at the end.
///
/// After a lost connection it reconnects if the context allows it. The bytes written so far are compared with the
/// server's file.
///
/// # Errors
/// If the transfer was cancelled (`Cancelled`) or the connection is lost. A refusal, and a file that differs from the
/// server's, are in the summary.
pub async fn get_stream(
    mut ctx: TransferContext<'_>,
    source: &RemotePath,
    output: Box<dyn Write + Send>,
) -> Result<StreamedFile, ConversationError> {
    ctx.progress.begin(1, None);
    let mut stream = StreamDownload { source, size_and_time: None, resumed: 0, under_way: 0, saved: 0 };
    let mut state = Ok(());
    let done = stream.run(&mut ctx, OutputWriter::new(output), &mut state).await;
    let summary = ctx.finish(done).await?;
    Ok(StreamedFile { summary, output: state })
}

struct StreamDownload<'a> {
    source: &'a RemotePath,
    /// Size and time in the first header: if they differ later, it is a different file.
    size_and_time: Option<(u64, Time)>,
    /// The offset of the last resume, in bytes.
    resumed: u64,
    /// Bytes that arrived, or were skipped, on this connection.
    under_way: u64,
    /// Bytes that compression saved.
    saved: u64,
}

/// How the work of one connection ended.
enum StreamEnd {
    /// With the end of the file.
    End(End),
    /// With a refusal.
    Refused(Reply),
    /// The file on the server has changed.
    Changed,
    /// The output was closed.
    Unwanted,
}

impl StreamDownload<'_> {
    async fn run(
        &mut self,
        ctx: &mut TransferContext<'_>,
        mut sink: OutputWriter,
        state: &mut io::Result<()>,
    ) -> Result<TransferSummary, ConversationError> {
        let mut retries = Retries::default();
        loop {
            let begun_at = sink.hasher.length();
            let known = sink.hasher.blocks().to_vec();
            let (pieces, writing) = sink.start();
            let received = match ctx.conversation.send_get(self.source.as_bytes(), &known, ctx.cancel).await {
                Ok(()) => self.receive(ctx, known.len() as u64 * BLOCK_BYTES, begun_at, &pieces).await,
                Err(error) => Err(error),
            };
            drop(pieces);
            self.saved += ctx.conversation.take_saved();
            sink = tokio::select! {
                sink = writing => sink.map_err(|error| ConversationError::Local(error.to_string()))?,
                // The reader of the output may be stuck.
                () = ctx.cancel.cancelled() => return Err(ConversationError::Cancelled),
            };
            if let Err(error) = std::mem::replace(&mut sink.state, Ok(())) {
                *state = Err(error);
                if ctx.conversation.outstanding() > 0 {
                    ctx.conversation.abandon(&mut |_| {}).await?;
                }
                return Ok(TransferSummary::default());
            }
            match received {
                Err(ConversationError::Lost(why)) => {
                    let offset = sink.hasher.length();
                    ctx.progress.rewind(std::mem::take(&mut self.under_way));
                    retries.reached.go_on_after(offset);
                    retries.recover(ctx, why).await?;
                }
                Err(error) => return Err(error),
                Ok(StreamEnd::Changed) => {
                    ctx.conversation.abandon(&mut |_| {}).await?;
                    let why = "it changed on the server meanwhile: the output is not the file";
                    return Ok(self.failed(Status::Changed, why));
                }
                Ok(StreamEnd::Refused(reply)) => return Ok(self.failed(reply.status, &reply.message)),
                Ok(StreamEnd::End(end)) => return Ok(self.judge(ctx, &end, &sink)),
                Ok(StreamEnd::Unwanted) => {
                    return Err(ConversationError::Local("the thread that writes has ended".into()));
                }
            }
        }
    }

    /// Receives one answer, and passes on the bytes after the `begun_at` bytes that were written already.
    async fn receive(
        &mut self,
        ctx: &mut TransferContext<'_>,
        known: u64,
        begun_at: u64,
        pieces: &mpsc::Sender<Bytes>,
    ) -> Result<StreamEnd, ConversationError> {
        let Header { size, offset, mtime, .. } = loop {
            match ctx.conversation.receive(ctx.cancel).await? {
                Frame::Header(header) => break header,
                Frame::Reply(reply) => return Ok(StreamEnd::Refused(reply)),
                Frame::Progress(_) => {}
                frame => return Err(unexpected(&frame)),
            }
        };
        if *self.size_and_time.get_or_insert((size, mtime)) != (size, mtime) || offset != known {
            return Ok(StreamEnd::Changed);
        }
        ctx.progress.begin_stream(self.source.file_name().unwrap_or_default(), Some(size));
        if begun_at > 0 {
            ctx.progress.resume_at(self.source.as_bytes(), begun_at);
            self.resumed = offset;
            self.under_way = begun_at;
        }
        // The bytes of the current block that were written before.
        let mut twice = begun_at.saturating_sub(offset);
        loop {
            let mut data = match ctx.conversation.receive(ctx.cancel).await? {
                Frame::Data(data) => data,
                Frame::End(end) => return Ok(StreamEnd::End(end)),
                frame => return Err(unexpected(&frame)),
            };
            let over = usize::try_from(twice).unwrap_or(usize::MAX).min(data.len());
            data.advance(over);
            twice -= over as u64;
            let length = data.len() as u64;
            if length == 0 {
                continue;
            }
            let sent = tokio::select! {
                biased;
                sent = pieces.send(data) => sent,
                () = ctx.cancel.cancelled() => return Err(ConversationError::Cancelled),
            };
            if sent.is_err() {
                return Ok(StreamEnd::Unwanted);
            }
            self.under_way += length;
            ctx.progress.advance(length);
        }
    }

    fn failed(&self, status: Status, why: &str) -> TransferSummary {
        let failure = Failure::refused(self.source.as_bytes(), status, why);
        TransferSummary { failures: [failure].into_iter().collect(), ..TransferSummary::default() }
    }

    /// Compares the digest of the output with the server's.
    fn judge(&self, ctx: &TransferContext<'_>, end: &End, sink: &OutputWriter) -> TransferSummary {
        ctx.progress.end_file();
        if end.status.is_error() {
            return self.failed(end.status, &end.message);
        }
        let (size, digest) = (sink.hasher.length(), sink.hasher.finish());
        if (size, digest) != (end.size, end.digest) {
            return self.failed(Status::DigestMismatch, CONTENT_DIFFERS);
        }
        if let Some(observer) = ctx.progress.observer() {
            let (remote, resumed_at, status) = (self.source.as_bytes(), self.resumed, end.status);
            observer.done(&FinishedFile {
                remote,
                local: None,
                size,
                digest: Some(digest),
                resumed_at,
                status,
            });
        }
        TransferSummary { files: 1, bytes: size, saved: self.saved, ..TransferSummary::default() }
    }
}
