//! What the answers mean for the items and for the summary.

use super::{OpenUpload, Sending};
use crate::transfer::put::message::{RequestKind, SentRequest};
use crate::transfer::{Failure, FinishedFile, FinishedLink, TransferContext};
use sshome_wire::{Reply, Status};

impl Sending<'_> {
    /// Notes an answer, unless its item is repeated because the server is busy.
    pub(super) fn note_unless_busy(&mut self, ctx: &TransferContext<'_>, asked: SentRequest, reply: &Reply) {
        if self.is_repeated_as_a_whole(ctx, &asked, reply.status) {
            return;
        }
        let is_busy = reply.status == Status::Busy || self.busy.is_some() && reply.status.is_error();
        if self.patient && is_busy && asked.failed.is_none() {
            ctx.progress.end_file_early();
            self.busy.get_or_insert_with(|| reply.clone());
        } else {
            self.note(ctx, asked, reply);
        }
    }

    /// Whether a delta or a copy on the server has failed only because it was one: the old version changed, or was not what its
    /// description says; the copied file is no longer what it was. The file stays unsettled, and is sent as a whole.
    fn is_repeated_as_a_whole(
        &mut self,
        ctx: &TransferContext<'_>,
        asked: &SentRequest,
        status: Status,
    ) -> bool {
        let failed = matches!(status, Status::Changed | Status::DigestMismatch | Status::BadCommand);
        let (size, is_repeated) = match asked.what {
            RequestKind::File { size, is_delta, .. } => (size, is_delta && failed && asked.failed.is_none()),
            // The server may refuse it for more reasons than a put.
            RequestKind::Copied { size, .. } => (size, status.is_error()),
            _ => return false,
        };
        let Some(number) = asked.number.filter(|_| is_repeated) else { return false };
        self.unsettled.as_a_whole(number);
        // If the server refused it before its end, only a part of it counts as sent.
        let is_open = matches!(self.open, OpenUpload::Refused) && self.waiting.is_empty();
        let sent = if is_open { self.open_bytes } else { size };
        ctx.progress.rewind(sent);
        self.under_way = self.under_way.saturating_sub(sent);
        true
    }

    pub(super) fn note(&mut self, ctx: &TransferContext<'_>, asked: SentRequest, reply: &Reply) {
        let SentRequest { number, to, what, failed } = asked;
        if let (RequestKind::Directory(directory), Status::Done) = (&what, reply.status) {
            directory.set_new();
        }
        let Some(number) = number else { return };
        let (remote, summary) = (to.as_bytes(), &mut self.done.summary);
        if let RequestKind::File { size, .. }
        | RequestKind::Copied { size, .. }
        | RequestKind::Same { size } = what
        {
            ctx.progress.end_file();
            self.under_way = self.under_way.saturating_sub(size);
        }
        let finished = |size, digest, resumed_at, status| {
            if let Some(observer) = ctx.progress.observer() {
                observer.done(&FinishedFile { remote, local: None, size, digest, resumed_at, status });
            }
        };
        match (what, reply.status) {
            _ if failed.is_some() => summary.failures.extend(failed),
            (RequestKind::File { size, resumed_at, digest, matched, .. }, status @ Status::Done) => {
                summary.matched += matched;
                summary.files += 1;
                summary.bytes = summary.bytes.saturating_add(size);
                finished(size, digest, resumed_at, status);
            }
            (RequestKind::Copied { size, digest }, status @ Status::Done) => {
                summary.copied = summary.copied.saturating_add(size);
                summary.files += 1;
                summary.bytes = summary.bytes.saturating_add(size);
                finished(size, Some(digest), 0, status);
            }
            // A key that may not change what exists leaves the attributes.
            (RequestKind::Same { size }, Status::Done | Status::Protected | Status::PermissionDenied) => {
                summary.unchanged += 1;
                finished(size, None, 0, Status::FileExists);
            }
            (RequestKind::Directory(directory), Status::Done | Status::DirectoryExists) => {
                directory.set_there()
            }
            (RequestKind::Filled, Status::Done) => {}
            (RequestKind::Link(target), status @ Status::Done) => {
                summary.links += 1;
                if let Some(observer) = ctx.progress.observer() {
                    observer.linked(&FinishedLink { remote, local: None, target: &target, status });
                }
            }
            (RequestKind::Link(target), _) => self.done.refused_links.push((to, target, reply.clone())),
            _ => summary.failures.push(Failure::refused(remote, reply.status, &reply.message)),
        }
        self.settle(number);
    }

    pub(super) fn settle(&mut self, number: u64) {
        self.unsettled.settle(number);
        self.reached.settle();
    }
}
