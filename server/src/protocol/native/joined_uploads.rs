//! The uploads over several connections that a conversation takes part in.

use crate::service::SharedUpload;
use std::collections::VecDeque;
use std::sync::Arc;

/// The largest number of uploads that one conversation takes part in. A client opens a file when all blocks of the files
/// before it are under way, so it has about one for each of its connections.
const MAX_JOINED_UPLOADS: usize = 64;

/// The open uploads that a conversation takes part in, the latest last. An upload ends when all have left it.
#[derive(Debug, Default)]
pub(super) struct JoinedUploads(VecDeque<Arc<SharedUpload>>);

impl JoinedUploads {
    /// Takes part in an upload. Leaves those that have ended, and the oldest one if there are too many.
    pub(super) fn join(&mut self, upload: Arc<SharedUpload>) {
        self.leave_ended();
        self.0.retain(|joined| joined.id() != upload.id());
        if self.0.len() >= MAX_JOINED_UPLOADS {
            self.0.pop_front();
        }
        self.0.push_back(upload);
    }

    /// Leaves the uploads that have ended.
    pub(super) fn leave_ended(&mut self) {
        self.0.retain(|joined| joined.is_open());
    }

    /// Leaves all uploads.
    pub(super) fn leave_all(&mut self) {
        self.0.clear();
    }
}
