//! Paths on the server.

use super::{Conversation, ConversationError, batch, unexpected};
use sshome_wire::{Features, Frame, PathError, Payload, RemotePath, Reply, Request};
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

    /// The answer to a stat that follows links, and the canonical path, in one round trip. The path is `None` if the server
    /// refuses it; the path itself if the server is too old for that request. `then` is sent with them, if the server accepts
    /// that many requests, and remains [outstanding](Self::outstanding).
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, or if the conversation is over.
    pub(crate) async fn stat_with_real_path(
        &mut self,
        path: &RemotePath,
        then: Option<Request>,
        cancel: &CancellationToken,
    ) -> Result<(Reply, Option<RemotePath>), ConversationError> {
        let bytes = || path.as_bytes().to_vec();
        let mut requests = vec![Request::Stat { path: bytes(), follow: true }];
        let has_real_path = self.hello.features.has(Features::REAL_PATH);
        requests.extend(has_real_path.then(|| Request::RealPath { path: bytes() }));
        let asked = requests.len();
        requests.extend(then.filter(|_| asked < self.max_outstanding()));
        let (bytes, count) = batch(requests.into_iter().map(Frame::Request))?;
        self.send(bytes, count, cancel).await?;
        let mut replies = Vec::with_capacity(asked);
        while replies.len() < asked {
            match self.receive(cancel).await? {
                Frame::Reply(reply) => replies.push(reply),
                Frame::Progress(_) => {}
                frame => return Err(unexpected(&frame)),
            }
        }
        let mut replies = replies.into_iter();
        let missing = || ConversationError::Protocol("a stat was not answered".to_owned());
        let stat = replies.next().ok_or_else(missing)?;
        let real = match replies.next().map(|reply| reply.payload) {
            None => Some(path.clone()),
            Some(Payload::Path(real)) => Some(RemotePath::root().join(&real)?),
            Some(_) => None,
        };
        Ok((stat, real))
    }
}
