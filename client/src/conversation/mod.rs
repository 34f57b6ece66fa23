//! The client's side of the native protocol, on one SSH channel.
//!
//! Requests may be sent ahead; the server answers in their order. Every wait, also one to send, receives meanwhile: a
//! peer that cannot send would stop reading, and both would wait forever.

mod abandon;
mod compression;
mod config;
mod decompression;
mod delta;
mod error;
mod frames;
mod greeting;
mod idle_timeout;
mod link;
mod listing;
mod loss;
mod parts;
mod paths;
#[cfg(test)]
pub(crate) mod peer;
mod receive_queue;
mod session;
mod stored_digests;
#[cfg(test)]
mod tests;

pub use config::{RESPONSE_TIMEOUT, config};
pub use error::ConversationError;
pub(crate) use frames::{batch, encoded, unexpected};
pub use idle_timeout::IdleTimeout;
pub use loss::LossReason;
pub(crate) use parts::MAX_DIGESTS;
pub(crate) use stored_digests::{MAX_LOOKED_UP, fill as fill_stored, lookup};

use bytes::Bytes;
use compression::AgreedCompression;
use link::{FrameReceiver, FrameSender};
use receive_queue::ReceiveQueue;
use russh::Channel;
use russh::client::Msg;
use session::{ConversationNumber, KnownSession};
use sshome_ssh::{CompressionMode, LinkMeter};
use sshome_wire::{
    Frame, Hello, MAX_FRAME, Payload, Progress, RemotePath, Reply, Request, SUBSYSTEM, Status,
};
use std::time::SystemTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The largest number of requests with a single reply that are sent ahead.
const MAX_PIPELINED_REQUESTS: usize = 256;

/// A conversation with the server: its own working directory, requests and their answers.
pub struct Conversation {
    incoming: FrameReceiver,
    outgoing: FrameSender,
    /// Frames that arrived during a send.
    receive_queue: ReceiveQueue,
    /// Requests that have no answer yet.
    outstanding: usize,
    /// Whether `Cancel` is sent, and not all answers have arrived.
    is_cancelling: bool,
    number: ConversationNumber,
    hello: Hello,
    session: Option<KnownSession>,
    cwd: RemotePath,
    /// Whether the server is on this machine.
    is_local: bool,
    compression: AgreedCompression,
}

impl Conversation {
    /// Starts the subsystem on a session channel and greets the server. Data is compressed as `compression` says, if the
    /// server can do that. `link` measures the connection.
    ///
    /// # Errors
    /// If the server has no such subsystem, uses a different version, refuses, or does not answer within
    /// [`RESPONSE_TIMEOUT`].
    pub async fn start(
        channel: Channel<Msg>,
        compression: CompressionMode,
        link: LinkMeter,
    ) -> Result<Conversation, ConversationError> {
        let silent = |_| ConversationError::Lost("the server does not answer".into());
        timeout(RESPONSE_TIMEOUT, Conversation::greet(channel, compression, link)).await.map_err(silent)?
    }

    async fn greet(
        channel: Channel<Msg>,
        compression: CompressionMode,
        link: LinkMeter,
    ) -> Result<Conversation, ConversationError> {
        let (read, write) = channel.split();
        // Success is not awaited: the server reads in order, and a refusal arrives as a failure.
        let asked = write.request_subsystem(true, SUBSYSTEM).await;
        asked.map_err(|error| ConversationError::Lost(error.to_string()))?;
        let outgoing = FrameSender::new(write, link.clone());
        let mut incoming = FrameReceiver::new(read);
        let begun = SystemTime::now();
        if let Some(place) = outgoing.place().await {
            place.send(encoded(&Frame::Hello(greeting::ours(compression)))?);
        }
        let hello = match incoming.next().await? {
            Frame::Hello(hello) => greeting::checked(hello)?,
            frame => return Err(unexpected(&frame)),
        };
        let session = KnownSession::receive(&mut incoming, &hello, begun).await?;
        let compression = AgreedCompression::new(compression, link, &hello, &mut incoming.decompression);
        let cwd = RemotePath::root();
        let receive_queue = ReceiveQueue::default();
        Ok(Conversation {
            incoming,
            outgoing,
            receive_queue,
            outstanding: 0,
            is_cancelling: false,
            number: ConversationNumber::next(),
            hello,
            session,
            cwd,
            is_local: false,
            compression,
        })
    }

    /// Limits the waits for the server. After a timeout the conversation is lost.
    pub fn set_idle_timeout(&mut self, idle_timeout: IdleTimeout) {
        self.incoming.idle_timeout = Some(idle_timeout);
    }

    /// Later losses are explained by the reason recorded there.
    pub(crate) fn explain_loss_by(&mut self, loss: LossReason) {
        self.incoming.loss = Some(loss);
    }

    /// Why the connection is lost, if the loss has been noticed.
    pub(crate) fn loss(&self) -> Option<String> {
        self.incoming.loss.as_ref().and_then(LossReason::get)
    }

    /// The server's message for the user. It is untrusted: show it escaped.
    #[must_use]
    pub fn greeting(&self) -> &str {
        &self.hello.message
    }

    /// The working directory on the server.
    #[must_use]
    pub fn cwd(&self) -> &RemotePath {
        &self.cwd
    }

    /// Sends a request with a single reply. A successful `Cd` changes [`cwd`](Self::cwd).
    ///
    /// # Errors
    /// `Refused` if the reply's status is an error (203 is not); `Cancelled` after a cancellation.
    pub async fn request(
        &mut self,
        request: Request,
        cancel: &CancellationToken,
    ) -> Result<Reply, ConversationError> {
        self.request_with_progress(request, cancel, &mut |_| {}).await
    }

    /// As [`request`](Self::request), with the progress of a long request.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn request_with_progress(
        &mut self,
        request: Request,
        cancel: &CancellationToken,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Reply, ConversationError> {
        let is_cd = matches!(request, Request::Cd { .. });
        let mut each = |frame| match frame {
            Frame::Progress(step) => {
                progress(step);
                Ok(())
            }
            frame => Err(unexpected(&frame)),
        };
        let reply = self.answer(request, cancel, &mut each).await?;
        if is_cd && let Payload::Path(path) = &reply.payload {
            let path = RemotePath::root().join(path);
            self.cwd = path.map_err(|error| ConversationError::Protocol(format!("cd: {error}")))?;
        }
        Ok(reply)
    }

    /// Sends many requests that are answered by one reply each, without waiting in between. `each` gets the number of
    /// the request and its reply, which may be an error.
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, or if the conversation is over.
    pub(crate) async fn ask_all(
        &mut self,
        mut requests: impl ExactSizeIterator<Item = Request> + Send,
        cancel: &CancellationToken,
        each: &mut (dyn FnMut(usize, Reply) + Send),
    ) -> Result<(), ConversationError> {
        let ahead = MAX_PIPELINED_REQUESTS.min(self.max_outstanding());
        let mut answered = 0;
        loop {
            if self.outstanding <= ahead / 2 {
                let next = requests.by_ref().take(ahead - self.outstanding).map(Frame::Request);
                let (bytes, count) = batch(next)?;
                self.send(bytes, count, cancel).await?;
            }
            if self.outstanding == 0 && self.receive_queue.is_empty() {
                return Ok(());
            }
            match self.receive(cancel).await? {
                Frame::Reply(reply) => {
                    each(answered, reply);
                    answered += 1;
                }
                Frame::Progress(_) => {}
                frame => return Err(unexpected(&frame)),
            }
        }
    }

    /// Sends bytes that contain `requests` requests, and receives meanwhile. They are sent completely or, after an
    /// error, not at all.
    ///
    /// # Errors
    /// `Cancelled` if `cancel` is cancelled; [`abandon`](Self::abandon) is then the caller's to call.
    pub(crate) async fn send(
        &mut self,
        bytes: Bytes,
        requests: usize,
        cancel: &CancellationToken,
    ) -> Result<(), ConversationError> {
        if cancel.is_cancelled() {
            return Err(ConversationError::Cancelled);
        }
        tokio::select! {
            biased;
            sent = self.put_out(bytes, requests) => sent,
            () = cancel.cancelled() => Err(ConversationError::Cancelled),
        }
    }

    /// The next frame of an answer. Cancel-safe.
    ///
    /// # Errors
    /// `Cancelled` if `cancel` is cancelled; [`abandon`](Self::abandon) is then the caller's to call.
    pub(crate) async fn receive(&mut self, cancel: &CancellationToken) -> Result<Frame, ConversationError> {
        self.receive_owed(true, cancel).await
    }

    /// As [`receive`](Self::receive), but without a timeout while the server does not owe a frame.
    ///
    /// # Errors
    /// As of [`receive`](Self::receive).
    pub(crate) async fn receive_owed(
        &mut self,
        owed: bool,
        cancel: &CancellationToken,
    ) -> Result<Frame, ConversationError> {
        if cancel.is_cancelled() {
            return Err(ConversationError::Cancelled);
        }
        if let Some(frame) = self.receive_queue.pop() {
            return Ok(frame);
        }
        let frame = tokio::select! {
            biased;
            frame = self.incoming.next_owed(owed) => frame?,
            () = cancel.cancelled() => return Err(ConversationError::Cancelled),
        };
        self.account(&frame)?;
        Ok(frame)
    }

    /// The next frame, if it has arrived.
    ///
    /// # Errors
    /// If the conversation is over.
    pub(crate) async fn ready(&mut self) -> Result<Option<Frame>, ConversationError> {
        if let Some(frame) = self.receive_queue.pop() {
            return Ok(Some(frame));
        }
        let frame = self.incoming.ready().await?;
        if let Some(frame) = &frame {
            self.account(frame)?;
        }
        Ok(frame)
    }

    /// The number of unanswered requests.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The largest number of unanswered requests that the server accepts.
    pub(crate) fn max_outstanding(&self) -> usize {
        self.hello.max_outstanding as usize
    }

    /// The longest frame that both sides read, counted from the kind on, in bytes.
    pub(crate) fn max_frame(&self) -> usize {
        self.hello.max_frame.min(MAX_FRAME) as usize
    }

    /// Sends one request; frames before its reply go to `each`.
    async fn answer(
        &mut self,
        request: Request,
        cancel: &CancellationToken,
        each: &mut (dyn FnMut(Frame) -> Result<(), ConversationError> + Send),
    ) -> Result<Reply, ConversationError> {
        let bytes = encoded(&Frame::Request(request))?;
        let mut reply = None;
        match self.exchange(bytes, cancel, each).await {
            Err(ConversationError::Cancelled) => {
                // The answer may have been in flight; a completed request is not reported as cancelled.
                self.abandon(&mut |frame| {
                    if let Frame::Reply(last) = frame {
                        reply = Some(last);
                    }
                })
                .await?;
            }
            other => reply = Some(other?),
        }
        match reply {
            Some(reply) if reply.status == Status::Cancelled => Err(ConversationError::Cancelled),
            Some(reply) if reply.status.is_error() => Err(ConversationError::Refused(reply)),
            Some(reply) => Ok(reply),
            None => Err(ConversationError::Cancelled),
        }
    }

    async fn exchange(
        &mut self,
        request: Bytes,
        cancel: &CancellationToken,
        each: &mut (dyn FnMut(Frame) -> Result<(), ConversationError> + Send),
    ) -> Result<Reply, ConversationError> {
        self.send(request, 1, cancel).await?;
        loop {
            match self.receive(cancel).await? {
                Frame::Reply(reply) => return Ok(reply),
                frame => each(frame)?,
            }
        }
    }

    async fn put_out(&mut self, bytes: Bytes, requests: usize) -> Result<(), ConversationError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Earlier frames were requested.
        self.incoming.taken();
        loop {
            let frame = tokio::select! {
                biased;
                place = self.outgoing.place() => match place {
                    Some(place) => {
                        place.send(bytes);
                        self.outstanding += requests;
                        return Ok(());
                    }
                    None => return Err(self.incoming.lost().await),
                },
                frame = self.incoming.next() => frame?,
            };
            self.account(&frame)?;
            self.receive_queue.push(frame, self.incoming.taken())?;
        }
    }

    /// Counts the answers, so that a surplus one is detected on arrival.
    fn account(&mut self, frame: &Frame) -> Result<(), ConversationError> {
        if self.outstanding == 0 || matches!(frame, Frame::Hello(_)) {
            return Err(unexpected(frame));
        }
        if matches!(frame, Frame::Reply(_) | Frame::End(_)) {
            self.outstanding -= 1;
        }
        Ok(())
    }
}
