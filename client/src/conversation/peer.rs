//! A server for tests: a real SSH connection in memory, with a script instead of sshomed.

use super::{Conversation, config};
use bytes::BytesMut;
use russh::client::Handle;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sshome_ssh::{CompressionMode, LinkMeter};
use sshome_wire::{
    Decoder, End, Features, Frame, Hello, MAX_FRAME, PROTOCOL_VERSION, Reply, Request, Status,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The script's end of a conversation.
pub(crate) struct ScriptedPeer {
    read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<Msg>>,
    decoder: Decoder,
}

/// A conversation with a script, and its tasks.
pub(crate) struct Talk {
    pub(crate) conversation: Conversation,
    _connection: Handle<Anybody>,
}

/// The hello of a server that allows this many outstanding requests.
pub(crate) fn hello(max_outstanding: u32) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        features: Features::default(),
        max_frame: MAX_FRAME,
        max_outstanding,
        status: Status::Authenticated,
        message: "welcome".into(),
    }
}

/// Connects to a script, after the hellos.
pub(crate) async fn connect<F: Future<Output = ()> + Send + 'static>(
    hello: Hello,
    script: impl FnOnce(ScriptedPeer) -> F + Send + 'static,
) -> Result<Talk, super::ConversationError> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (opened, channel) = oneshot::channel();
    let server = russh::server::Config {
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        window_size: 1 << 20,
        auth_rejection_time_initial: Some(std::time::Duration::ZERO),
        ..Default::default()
    };
    tokio::spawn(async move {
        let session =
            russh::server::run_stream(Arc::new(server), far, AcceptingHandler(Some(opened))).await.unwrap();
        // The test judges the client, however the session ends.
        let _ = session.await;
    });
    tokio::spawn(async move {
        let channel: Channel<Msg> = channel.await.unwrap();
        let (read, write) = channel.split();
        let mut peer = ScriptedPeer { read, write: Arc::new(write), decoder: Decoder::new() };
        peer.say(Frame::Hello(hello)).await;
        assert!(matches!(peer.hear().await, Some(Frame::Hello(_))));
        let write = Arc::clone(&peer.write);
        script(peer).await;
        // The client may have disconnected.
        let _ = write.close().await;
    });
    let mut connection = russh::client::connect_stream(Arc::new(config()), near, Anybody).await.unwrap();
    assert!(connection.authenticate_none("alex").await.unwrap().success());
    let channel = connection.channel_open_session().await.unwrap();
    let conversation = Conversation::start(channel, CompressionMode::Auto, LinkMeter::default()).await?;
    Ok(Talk { conversation, _connection: connection })
}

impl ScriptedPeer {
    /// The next frame; `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            match self.read.wait().await? {
                ChannelMsg::Data { data } => self.decoder.push(data),
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// The next frame, which must be a request.
    pub(crate) async fn hear_request(&mut self) -> Request {
        match self.hear().await {
            Some(Frame::Request(request)) => request,
            other => panic!("not a request: {other:?}"),
        }
    }

    /// Receives the data of a put, up to its end.
    pub(crate) async fn hear_body(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        loop {
            match self.hear().await {
                Some(Frame::Data(data)) => body.extend_from_slice(&data),
                Some(Frame::End(end)) => return (body, end),
                other => panic!("not of a body: {other:?}"),
            }
        }
    }

    pub(crate) async fn say(&self, frame: Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes).unwrap();
        // The client may have disconnected: then the script ends.
        let _ = self.write.data_bytes(bytes.freeze()).await;
    }

    pub(crate) async fn reply(&self, status: Status) {
        self.say(Frame::Reply(Reply::new(status, "because"))).await;
    }
}

/// A client that trusts every host key.
pub(crate) struct Anybody;

impl russh::client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A server that accepts every login, for one channel.
struct AcceptingHandler(Option<oneshot::Sender<Channel<Msg>>>);

impl russh::server::Handler for AcceptingHandler {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        if let Some(opened) = self.0.take() {
            // The receiver lives until it has the channel.
            let _ = opened.send(channel);
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match name {
            sshome_wire::SUBSYSTEM => session.channel_success(channel),
            _ => session.channel_failure(channel),
        }
    }
}
