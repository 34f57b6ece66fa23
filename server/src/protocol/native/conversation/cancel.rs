//! Cancelling: every unanswered request gets its answer.

use super::{NativeConversation, ReceiveState};
use sshome_wire::{Frame, PROTOCOL_VERSION, Reply, Status};

impl NativeConversation {
    /// Cancels everything that came before the cancel, replies to each request, and then to the cancel.
    pub(super) fn cancel(&mut self) {
        self.publish();
        if self.job.take().is_some() {
            self.output.fail(Status::Cancelled, String::new());
            self.answered(1);
        }
        match std::mem::replace(&mut self.receiving, ReceiveState::Nothing) {
            ReceiveState::Upload(upload) => {
                upload.give_up();
                self.answer(Reply::new(Status::Cancelled, ""));
            }
            ReceiveState::Blocks(_) => self.answer(Reply::new(Status::Cancelled, "")),
            ReceiveState::Announced(_) => {
                self.known.clear();
                self.description = None;
                self.answer(Reply::new(Status::Cancelled, ""));
            }
            ReceiveState::Nothing | ReceiveState::Refused => {}
        }
        self.joined.leave_all();
        self.timed = None;
        self.queued = 0;
        for frame in std::mem::take(&mut self.queue) {
            match frame {
                Frame::Request(_) => self.answer(Reply::new(Status::Cancelled, "")),
                // The client cancelled right after its hello.
                Frame::Hello(hello) if hello.version == PROTOCOL_VERSION => self.greeted_by(&hello),
                _ => {}
            }
        }
        self.output.reply(Reply::new(Status::Done, ""));
    }
}
