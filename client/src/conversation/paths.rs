//! Paths on the server.

use super::{Conversation, ConversationError};
use sshome_wire::{Features, PathError, Payload, RemotePath, Request};
use tokio_util::sync::CancellationToken;

impl Conversation {
    /// The absolute path of `path` in the working directory.
    ///
    /// # Errors
    /// If it contains a NUL, or is too long.
    pub fn absolute(&self, path: &[u8]) -> Result<RemotePath, PathError> {
        self.cwd.join(path)
    }

    /// The canonical path of a path, without links, `.` and `..`; the path itself if the server is too old for this
    /// request.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub(crate) async fn real_path(
        &mut self,
        path: &RemotePath,
        cancel: &CancellationToken,
    ) -> Result<RemotePath, ConversationError> {
        if !self.hello.features.has(Features::REAL_PATH) {
            return Ok(path.clone());
        }
        let request = Request::RealPath { path: path.as_bytes().to_vec() };
        match self.request(request, cancel).await?.payload {
            Payload::Path(path) => Ok(RemotePath::root().join(&path)?),
            _ => Err(ConversationError::Protocol("the answer to real-path has no path".to_owned())),
        }
    }
}
