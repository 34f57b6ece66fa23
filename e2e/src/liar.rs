use crate::{Client, hello};
use anyhow::Result;
use bytes::BytesMut;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, Disconnect};
use sshome_wire::{Decoder, Features, Frame, Hello};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A malicious server: it accepts every login and sends what a test chooses. It ends when it is dropped.
pub struct Liar {
    dir: TempDir,
    address: SocketAddr,
    running: JoinHandle<()>,
    leaving: watch::Sender<bool>,
}

/// The frames that are sent in answer to a frame.
type Answer = dyn Fn(Frame) -> Vec<Frame> + Send + Sync;

impl Liar {
    /// Starts a server that sends this hello, and answers every frame after the client's hello with `answer`. If the server
    /// announces sessions, it answers the client's hello as well.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(
        greeting: &str,
        answer: impl Fn(Frame) -> Vec<Frame> + Send + Sync + 'static,
    ) -> Result<Liar> {
        Liar::start_with(Hello { message: greeting.to_owned(), ..hello() }, answer).await
    }

    /// The same with any hello.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start_with(
        hello: Hello,
        answer: impl Fn(Frame) -> Vec<Frame> + Send + Sync + 'static,
    ) -> Result<Liar> {
        let dir = TempDir::with_prefix("sshome-liar-")?;
        std::fs::create_dir(dir.path().join("keys"))?;
        let key = write_key(&dir.path().join("keys/host_ed25519"))?;
        write_key(&dir.path().join("id"))?;
        let config = Arc::new(Config { keys: vec![key], nodelay: true, ..Config::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answer: Arc<Answer> = Arc::new(answer);
        let (leaving, left) = watch::channel(false);
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection =
                    LiarConnection { hello: hello.clone(), answer: Arc::clone(&answer), channel: None };
                tokio::spawn(serve(stream, Arc::clone(&config), connection, left.clone()));
            }
        });
        Ok(Liar { dir, address, running, leaving })
    }

    /// A client of this server, which trusts it.
    ///
    /// # Errors
    /// If its folders cannot be made.
    pub fn client(&self) -> Result<Client> {
        Client::of(self.dir.path(), self.address, "ann")
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client that reaches it at another address, and trusts it.
    ///
    /// # Errors
    /// If its folders cannot be made.
    pub fn client_at(&self, address: SocketAddr) -> Result<Client> {
        Client::of(self.dir.path(), address, "ann")
    }

    /// Ends every connection.
    pub fn hang_up(&self) {
        self.leaving.send_replace(true);
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Makes a key, and writes it to a file that only its owner can read.
pub(crate) fn write_key(file: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(key.to_openssh(LineEnding::LF)?.as_bytes())?;
    Ok(key)
}

struct LiarConnection {
    hello: Hello,
    answer: Arc<Answer>,
    channel: Option<Channel<Msg>>,
}

impl Handler for LiarConnection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        if let Some(channel) = self.channel.take() {
            let (hello, answer) = (self.hello.clone(), Arc::clone(&self.answer));
            // The test judges the client, however the conversation ends.
            tokio::spawn(async move {
                let _ = converse(channel, hello, &*answer).await;
            });
        }
        Ok(())
    }
}

/// Serves a connection. Errors are ignored.
async fn serve(
    stream: TcpStream,
    config: Arc<Config>,
    connection: LiarConnection,
    mut left: watch::Receiver<bool>,
) {
    let Ok(mut session) = russh::server::run_stream(config, stream, connection).await else { return };
    let handle = session.handle();
    tokio::select! {
        _ = &mut session => {}
        // Also if the liar is dropped.
        _ = async { left.wait_for(|left| *left).await.is_ok() } => {
            // The client may have disconnected.
            let _ = handle.disconnect(Disconnect::ByApplication, String::new(), String::new()).await;
            let _ = session.await;
        }
    }
}

/// Answers frames until the client disconnects.
async fn converse(mut channel: Channel<Msg>, hello: Hello, answer: &Answer) -> Result<()> {
    let knows_sessions = hello.features.has(Features::SESSION);
    send(&channel, [Frame::Hello(hello)]).await?;
    let mut decoder = Decoder::new();
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::Data { data } = message {
            decoder.push(data);
        }
        while let Some(frame) = decoder.next()? {
            if knows_sessions || !matches!(frame, Frame::Hello(_)) {
                send(&channel, answer(frame)).await?;
            }
        }
    }
    Ok(())
}

async fn send(channel: &Channel<Msg>, frames: impl IntoIterator<Item = Frame>) -> Result<()> {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.encode(&mut bytes)?;
    }
    Ok(channel.data_bytes(bytes.freeze()).await?)
}
